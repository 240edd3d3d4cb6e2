#!/usr/bin/env python3
"""Tests of tools/tidy.py: each rule finds what it is for, and leaves alone what only looks like it."""
import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))
import tidy  # noqa: E402

LAYERS = "0 base\n1 runtime\n2 api\n2 market\n3 gateway\n4 host\n4 wire\nedge market api\n"
MARK = "TO" + "DO"


class Tree(unittest.TestCase):
    def check(self, files, exceptions=""):
        """Findings of a tree that holds `files`, without their paths' line numbers: "path: rule"."""
        with tempfile.TemporaryDirectory() as root:
            files = {"cmake/layers.txt": LAYERS, "tools/tidy_exceptions.txt": exceptions, **files}
            for path, text in files.items():
                os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
                with open(os.path.join(root, path), "w", encoding="utf-8") as out:
                    out.write(text)
            findings, self.warnings, _ = tidy.check_tree(root)
        return [": ".join((f.split(":")[0], f.split(": ")[1])) for f in findings]

    def source(self, code, path="framegrid/gateway/x.cpp", exceptions="", name=None):
        """Rules that one source file breaks, in a tree where it is mentioned."""
        folder = os.path.dirname(path)
        cmake = {folder + "/CMakeLists.txt": f"framegrid_library(y SOURCES {os.path.basename(path)})"}
        return [f.split(": ")[1] for f in self.check({path: code, **cmake}, exceptions)]

    def test_floors(self):
        self.assertEqual(self.source("#include <framegrid/api/a.hpp>\n"), [])
        self.assertEqual(self.source("#include <framegrid/host/a.hpp>\n"), ["layers"])
        self.assertEqual(self.source("#include <framegrid/api/a.hpp>\n", "framegrid/market/x.cpp"), [])
        self.assertEqual(self.source("#include <framegrid/market/a.hpp>\n", "framegrid/api/x.cpp"), ["layers"])
        self.assertEqual(self.source("#include <framegrid/nowhere/a.hpp>\n"), ["layers"])
        self.assertEqual(self.source("int a;\n", "framegrid/nowhere/x.cpp"), ["layers"])

    def test_sim_includes_floors_0_to_3(self):
        self.assertEqual(self.source("#include <framegrid/gateway/a.hpp>\n", "sim/x.cpp"), [])
        self.assertEqual(self.source("#include <framegrid/host/a.hpp>\n", "sim/x.cpp"), ["layers"])

    def test_links_what_it_includes(self):
        def deps(cmake, code):
            return self.check({"framegrid/market/x.cpp": code, "framegrid/market/CMakeLists.txt": cmake,
                               "framegrid/api/CMakeLists.txt": "framegrid_library(api DEPS base)",
                               "framegrid/api/a.hpp": "// x\n#pragma once\n#include <framegrid/base/b.hpp>\n"})
        use = "#include <framegrid/api/a.hpp>\n"
        self.assertEqual(deps("framegrid_library(market SOURCES x.cpp DEPS api)", use), [])
        self.assertEqual(deps("framegrid_library(market SOURCES x.cpp)", use), ["framegrid/market/x.cpp: deps"])
        self.assertEqual(deps("framegrid_library(market SOURCES x.cpp DEPS api runtime LIBS z)", use),
                         ["framegrid/market/CMakeLists.txt: deps"])
        through = "#include <framegrid/base/b.hpp>\n#include <framegrid/api/a.hpp>\n"
        self.assertEqual(deps("framegrid_library(market SOURCES x.cpp DEPS api)", through), [])

    def test_bans(self):
        for rule, code in [
            ("clock", "#include <chrono>\nauto t = std::chrono::steady_clock::now();"),
            ("sleep", "std::this_thread::sleep_for(1s);"),
            ("thread", "std::jthread t([] {});"),
            ("async", "auto f = std::async(g);"),
            ("entropy", "std::random_device d;"),
            ("entropy", "int x = rand();"),
            ("distribution", "std::uniform_int_distribution<int> d;"),
            ("file", "std::ifstream in(path);"),
            ("file", "int fd = ::open(path, 0);"),
            ("socket", "int fd = socket(AF_INET, SOCK_STREAM, 0);"),
            ("environment", 'std::getenv("HOME");'),
            ("asio-timer", "boost::asio::steady_timer timer(executor);"),
            ("detached", "co_spawn(e, f(), boost::asio::detached);"),
            ("awaitable-operators", "using namespace boost::asio::experimental::awaitable_operators;"),
            ("catch-all", "void f() { try { g(); } catch (...) { } }"),
            ("assert", "void f() { assert(x); }"),
        ]:
            with self.subTest(code):
                self.assertEqual(self.source(code + "\n"), [rule])

    def test_bans_know_where_they_hold(self):
        now = "#include <chrono>\nauto t = std::chrono::steady_clock::now();\n"
        self.assertEqual(self.source(now, "framegrid/host/x.cpp"), [])
        self.assertEqual(self.source(now, "framegrid/gateway/x_test.cpp"), [])
        self.assertEqual(self.source(now, "sim/x.cpp"), ["clock"])
        self.assertEqual(self.source("co_spawn(e, f(), asio::detached);\n", "framegrid/host/x.cpp"), ["detached"])
        self.assertEqual(self.source("void f() { try { g(); } catch (...) { } }\n", "framegrid/runtime/x.cpp"), [])

    def test_comments_texts_and_methods_are_not_calls(self):
        self.assertEqual(self.source(
            "// rand() and std::thread\n/* socket(1) */\n"
            'auto a = "open(x)"; auto b = R"(std::async)"; int n = 1\'000;\n'
            "auto c = file.open(p); auto d = operand(x); Task<void> s = sleep_for(clock, d);\n"), [])

    def test_static_state(self):
        self.assertEqual(self.source("int f() {\n    static int count = 0;\n    return ++count;\n}\n"), ["static-state"])
        self.assertEqual(self.source("#include <map>\nstruct A {\n    static inline std::map<int, int> all;\n};\n"), ["static-state"])
        self.assertEqual(self.source("thread_local Cache cache;\n"), ["static-state"])
        self.assertEqual(self.source(
            "#include <string>\nstatic int helper(int a) { return a; }\nint f() {\n    static const std::string kNone;\n"
            "    static T* const made = make();\n    static constexpr int kOne = 1;\n    static_assert(kOne == 1);\n    return 0;\n}\n"
            "struct S {\n    static Task<Result<bool>> once(Notifier& n) { co_return true; }\n};\n"), [])

    def test_task_in_try(self):
        bad = "Task<Result<void>> f() {\n    try {\n        return g();\n    } catch (const E& e) {\n    }\n}\n"
        self.assertEqual(self.source(bad), ["task-in-try"])
        self.assertEqual(self.source(bad.replace("return", "co_return co_await")), [])
        self.assertEqual(self.source(bad.replace("Task<Result<void>>", "Result<void>")), [])

    def test_sizes(self):
        body = "".join(f"    a({i});\n" for i in range(70))
        self.assertEqual(self.source("void f() {\n" + body + "}\n"), ["function-length"])
        self.assertEqual(self.source("class A {\n" + body.replace("a(", "void a(int x") + "};\n"), [])
        self.assertEqual(self.source("namespace n {\nvoid f() {\n" + body[:-len("    a(69);\n") * 3] + "}\n}\n"), [])
        self.assertEqual(self.source("int a;\n" * 801), ["file-length"])
        self.assertEqual(self.source("int a;\n" * 600), [])
        self.assertEqual(len(self.warnings), 1)
        self.assertEqual(self.source("int " + "a" * 110 + ";\n"), ["line-length"])

    def test_constructor_lists_and_lambdas(self):
        inner = "".join(f"        b({i});\n" for i in range(60))
        code = "A::A() : a_{1}, b_(2) {\n    run([&] {\n" + inner + "    });\n" + "    c();\n" * 10 + "}\n"
        self.assertEqual(self.source(code), ["function-length"])

    def test_leftovers_and_foreign_paths(self):
        self.assertEqual(self.source(f"// {MARK}: later\n"), ["leftover"])
        self.assertEqual(self.check({"docs/a.md": "see /wo" + "rk/x\n"}), ["docs/a.md: foreign-path"])

    def test_dead_files_and_headers(self):
        self.assertEqual(self.check({"framegrid/base/x.cpp": "int a;\n"}), ["framegrid/base/x.cpp: dead-file"])
        cmake = "framegrid_library(base SOURCES x.cpp)"
        files = {"framegrid/base/CMakeLists.txt": cmake, "framegrid/base/x.hpp": "// What.\n#pragma once\n"}
        own = "#include <framegrid/base/x.hpp>\n"
        self.assertEqual(self.check({**files, "framegrid/base/x.cpp": own}), [])
        self.assertEqual(self.check({**files, "framegrid/base/x.cpp": "#include <map>\n" + own}),
                         ["framegrid/base/x.cpp: own-header"])
        self.assertEqual(self.check({**files, "framegrid/base/x.cpp": own, "framegrid/base/x.hpp": "int a;\n"}),
                         ["framegrid/base/x.hpp: header"] * 2)

    def test_std_includes(self):
        self.assertEqual(self.source("std::vector<int> v;\n"), ["std-include"])
        self.assertEqual(self.source("#include <vector>\nstd::vector<int> v;\n"), [])
        files = {"framegrid/base/CMakeLists.txt": "framegrid_library(base SOURCES x.cpp)",
                 "framegrid/base/x.hpp": "// What.\n#pragma once\n#include <vector>\n",
                 "framegrid/base/x.cpp": "#include <framegrid/base/x.hpp>\nstd::vector<int> v;\n"}
        self.assertEqual(self.check(files), [])

    def test_large_files(self):
        large = "x" * (tidy.FILE_BYTES_MAX + 1)
        self.assertEqual(self.check({"wheel.whl": large, "small.whl": large[1:]}), ["wheel.whl: large-file"])
        self.assertEqual(self.check({"models/framegrid/scenes/unet/model.onnx": large}), [])

    def test_exceptions_hold_and_expire(self):
        body = "int a;\n" * 850
        path = "framegrid/gateway/x.cpp"
        self.assertEqual(self.source(body, exceptions=f"file-length {path} 850 # a table\n"), [])
        self.assertEqual(self.source(body, exceptions=f"file-length {path} 820 # a table\n"),
                         ["file-length", "exceptions"])
        self.assertEqual(self.source("int a;\n", exceptions=f"file-length {path} 850 # a table\n"), ["exceptions"])
        self.assertEqual(self.source(body, exceptions=f"file-length {path} 850\n"), ["file-length", "exceptions"])


if __name__ == "__main__":
    unittest.main()
