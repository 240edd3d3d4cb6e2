# Flags shared by every target, and framegrid_library(): one folder = one library = one namespace.

add_library(fg_flags INTERFACE)
target_include_directories(fg_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(fg_flags INTERFACE
  -Wall -Wextra -Wpedantic -Werror -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wimplicit-fallthrough)
target_compile_definitions(fg_flags INTERFACE BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_DISABLE_BOOST_COROUTINE)
target_link_libraries(fg_flags INTERFACE Threads::Threads)
# Of Boost.JSON and fmt, whose headers are in the precompiled one: all that include it must be compiled alike.
target_compile_definitions(fg_flags INTERFACE BOOST_CONTAINER_DYN_LINK BOOST_CONTAINER_NO_LIB BOOST_JSON_DYN_LINK
  BOOST_JSON_NO_LIB FMT_SHARED)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 14 reports these inside its own coroutine frames and <regex>/<variant> at -O2; Clang checks the same code.
  target_compile_options(fg_flags INTERFACE -Wno-maybe-uninitialized -Wno-dangling-reference
    -Wno-mismatched-new-delete)
endif()
if(CMAKE_UNITY_BUILD AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # A file that another one includes may not have coroutines, as far as this warning goes.
  target_compile_options(fg_flags INTERFACE -Wno-subobject-linkage)
endif()
if(FG_SANITIZE)
  target_compile_options(fg_flags INTERFACE -fsanitize=${FG_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  if(FG_SANITIZE MATCHES "undefined")
    # A fifth of the compile time, for what AddressSanitizer finds as well, or a crash shows.
    target_compile_options(fg_flags INTERFACE -fno-sanitize=vptr,null,alignment,object-size)
  endif()
  target_link_options(fg_flags INTERFACE -fsanitize=${FG_SANITIZE})
  if(FG_SANITIZE MATCHES "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # protobuf's headers would lay out maps as they are in a libprotobuf that was built with it, which Debian's was not.
    target_compile_options(fg_flags INTERFACE -U__SANITIZE_THREAD__)
    # Asio's fences (its mutexes order the same accesses), and its pair of frame allocation functions.
    target_compile_options(fg_flags INTERFACE -Wno-tsan -Wno-mismatched-new-delete)
  endif()
endif()

# One precompiled header for all libraries: Asio's coroutine headers cost more than our own code.
add_library(fg_pch STATIC ${PROJECT_SOURCE_DIR}/cmake/pch.cpp)
target_link_libraries(fg_pch PUBLIC fg_flags)
target_precompile_headers(fg_pch PRIVATE ${PROJECT_SOURCE_DIR}/cmake/pch.hpp)

# What only tests are compiled with. In the optimised build they are not optimised themselves: it doubles their compile
# time, and what they measure is in the libraries.
add_library(fg_test_flags INTERFACE)
target_link_libraries(fg_test_flags INTERFACE fg_flags)
set(FG_TEST_PCH fg_pch)
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_options(fg_test_flags INTERFACE -O0)
  add_library(fg_test_pch STATIC ${PROJECT_SOURCE_DIR}/cmake/pch.cpp)
  target_link_libraries(fg_test_pch PUBLIC fg_test_flags)
  target_precompile_headers(fg_test_pch PRIVATE ${PROJECT_SOURCE_DIR}/cmake/pch.hpp)
  set(FG_TEST_PCH fg_test_pch)
endif()

# framegrid_proto(<target> <file.proto>) compiles generated code apart from ours, whose warnings it does not pass; it is
# included as <framegrid/FOLDER/FILE.pb.h>.
function(framegrid_proto target file)
  cmake_path(GET CMAKE_CURRENT_SOURCE_DIR FILENAME folder)
  set(generated ${CMAKE_CURRENT_BINARY_DIR}/gen)
  file(MAKE_DIRECTORY ${generated}/framegrid/${folder})
  add_library(${target} STATIC ${file})
  protobuf_generate(TARGET ${target} LANGUAGE cpp
    IMPORT_DIRS ${CMAKE_CURRENT_SOURCE_DIR} PROTOC_OUT_DIR ${generated}/framegrid/${folder})
  target_include_directories(${target} SYSTEM PUBLIC ${generated})
  target_link_libraries(${target} PUBLIC protobuf::libprotobuf)
endfunction()

# framegrid_library(<name> SOURCES <files> [DEPS <framegrid libraries>] [LIBS <third-party targets>] [TESTS <x_test.cpp>])
# makes framegrid::<name>, and <name>_test run by CTest under the label `unit`.
# SEPARATE: its files have helpers of the same name, so they are never compiled in batches.
# GLUE: most of its time is waiting for others, so it is compiled quickly (-O1), with the command line's header in its own
# precompiled one.
function(framegrid_library name)
  cmake_parse_arguments(ARG "SEPARATE;GLUE" "" "SOURCES;DEPS;LIBS;TESTS" ${ARGN})
  list(TRANSFORM ARG_DEPS PREPEND framegrid::)
  if(ARG_SOURCES)
    add_library(fg_${name} STATIC ${ARG_SOURCES})
    target_link_libraries(fg_${name} PUBLIC fg_flags ${ARG_DEPS} ${ARG_LIBS})
    if(ARG_GLUE)
      target_precompile_headers(fg_${name} PRIVATE ${PROJECT_SOURCE_DIR}/cmake/pch.hpp <CLI/CLI.hpp>)
      target_compile_options(fg_${name} PRIVATE $<$<CONFIG:Release>:-O1>)
    else()
      target_precompile_headers(fg_${name} REUSE_FROM fg_pch)
    endif()
    if(ARG_SEPARATE)
      set_target_properties(fg_${name} PROPERTIES UNITY_BUILD OFF)
    endif()
  else()
    add_library(fg_${name} INTERFACE)
    target_link_libraries(fg_${name} INTERFACE fg_flags ${ARG_DEPS} ${ARG_LIBS})
  endif()
  add_library(framegrid::${name} ALIAS fg_${name})
  if(FG_TESTS AND ARG_TESTS)
    set(separate)
    if(ARG_SEPARATE)
      set(separate SEPARATE)
    endif()
    framegrid_test(${name}_test LABEL unit SOURCES ${ARG_TESTS} DEPS ${name} ${separate})
  endif()
endfunction()

# Everything that `ctest -L unit` runs.
add_custom_target(unit_tests)

# framegrid_test(<target> LABEL <unit|e2e|sim|conformance> SOURCES <files> [DEPS ...] [LIBS ...] [SEPARATE])
function(framegrid_test target)
  cmake_parse_arguments(ARG "SEPARATE" "LABEL" "SOURCES;DEPS;LIBS" ${ARGN})
  list(TRANSFORM ARG_DEPS PREPEND framegrid::)
  add_executable(${target} ${ARG_SOURCES})
  if(ARG_SEPARATE)
    set_target_properties(${target} PROPERTIES UNITY_BUILD OFF)
  endif()
  target_link_libraries(${target} PRIVATE fg_test_flags ${ARG_DEPS} ${ARG_LIBS} GTest::gmock GTest::gtest_main)
  target_precompile_headers(${target} REUSE_FROM ${FG_TEST_PCH})
  if(ARG_LABEL STREQUAL unit)
    add_dependencies(unit_tests ${target})
  endif()
  add_test(NAME ${target} COMMAND ${target})
  set_tests_properties(${target} PROPERTIES LABELS ${ARG_LABEL} TIMEOUT 120
    ENVIRONMENT "ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1;UBSAN_OPTIONS=print_stacktrace=1;TSAN_OPTIONS=halt_on_error=1")
endfunction()
