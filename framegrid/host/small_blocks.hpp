// How the C library keeps small blocks of memory for the next who wants one.
#pragma once

#include <string>
#include <vector>

namespace framegrid::host {

// glibc keeps 7 freed blocks of a size at hand, a node with a hundred jobs at once frees hundreds: with room
// for them it does a quarter more jobs a second (docs/benchmarks.md). glibc reads this from the environment
// when a program starts and at no other time, so this starts the running program again in its place, once,
// with `arguments` (without the program's name). To be called before there is a thread or an open file. Does
// nothing where GLIBC_TUNABLES is set already, or the C library is another one.
void keep_small_blocks(const std::vector<std::string>& arguments);

}  // namespace framegrid::host
