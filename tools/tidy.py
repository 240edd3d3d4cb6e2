#!/usr/bin/env python3
"""House rules that no compiler checks: floors, banned calls, sizes, leftovers, dead files.

usage: tools/tidy.py [--root DIR] [--headers]
Prints `path:line: rule: text` per finding and exits 1 if there are any. `--headers` also compiles every header alone.
Exceptions stand in tools/tidy_exceptions.txt; one that is no longer needed is itself a finding.
"""
import argparse
import os
import re
import subprocess
import sys
from collections import namedtuple

LINE_LENGTH_MAX = 110
FILE_LINES_WARN = 500
FILE_LINES_MAX = 800
FUNCTION_LINES_MAX = 70
FILE_BYTES_MAX = 1 << 20  # of what is no weight: a download or a build output that was added by mistake
TEXT_SUFFIXES = (".cpp", ".hpp", ".md", ".py", ".sh", ".txt", ".cmake", ".json", ".toml", ".proto", ".js", ".mjs",
                 ".ts", ".yml", ".yaml", ".svg", ".html", ".css")
# Put together here, so that this file does not mention them itself.
FORBIDDEN_PATHS = ["/wo" + "rk/", "../sha" + "red", ".libr" + "ary/"]
LEFTOVER = re.compile(r"\b(FIX" + r"ME|TO" + r"DO|X" + r"XX)\b")

# What the precompiled header (cmake/pch.hpp) provides by accident: code names the headers of what it uses from it.
STD_NAMES = {
    "algorithm": "all_of any_of none_of find find_if find_if_not count count_if sort stable_sort min max minmax clamp fill "
                 "fill_n copy copy_n copy_if transform remove remove_if reverse rotate unique lower_bound upper_bound "
                 "equal_range binary_search min_element max_element equal mismatch search for_each nth_element "
                 "partial_sort partition is_sorted lexicographical_compare",
    "array": "array", "chrono": "", "deque": "deque", "expected": "expected unexpected",
    "functional": "function move_only_function", "map": "map multimap",
    "memory": "unique_ptr shared_ptr weak_ptr make_unique make_shared enable_shared_from_this",
    "optional": "optional nullopt", "span": "span", "string": "string to_string", "string_view": "string_view",
    "unordered_map": "unordered_map", "utility": "exchange swap pair", "variant": "variant visit get_if "
    "holds_alternative monostate", "vector": "vector"}
STD_HEADER = {name: header for header, names in STD_NAMES.items() for name in names.split()}
STD_PATTERN = re.compile(r"\bstd::(?:ranges::)?(\w+)|\b(chrono)::")

Ban = namedtuple("Ban", "rule pattern instead allowed")


def in_floor(*floors):
    return lambda source: source.floor in floors


def is_test(source):
    return source.kind == "test"


def either(*tests):
    return lambda source: any(test(source) for test in tests)


def library(*names):
    return lambda source: source.library in names


OS_CODE = either(in_floor(4, 5), is_test)
BANS = [
    Ban("clock", r"\b(?:std::chrono::)?\w+_clock::now\b|\bgettimeofday\b|\bclock_gettime\b|\bstd::time\s*\(",
        "the Clock port", OS_CODE),
    Ban("sleep", r"\bthis_thread::sleep_|(?<![\w:.>])(?:::)?u?sleep\s*\(", "sleep_for(clock, ...)", OS_CODE),
    Ban("thread", r"\bstd::j?thread\b|\bpthread_create\b", "offload() through the WorkPool port", OS_CODE),
    Ban("async", r"\bstd::async\b", "Task and offload()", lambda source: False),
    Ban("entropy", r"\bstd::random_device\b|(?<![\w:.>])s?rand\s*\(|\bgetrandom\b|\bRAND_bytes\b|\barc4random",
        "the Random port", OS_CODE),
    Ban("distribution", r"\bstd::\w+_distribution\b|\bstd::shuffle\b",
        "Random::below, unit, chance: the standard ones differ between libraries", is_test),
    Ban("file", r"\bfopen\s*\(|\bstd::(?:basic_)?[io]?fstream\b|(?<![\w.>:])(?:::)?open\s*\(|"
                r"#\s*include\s*<(?:filesystem|fstream)>", "a port, implemented in host", OS_CODE),
    Ban("socket", r"(?<![\w.>])(?:::)?socket\s*\(|\bip::(?:tcp|udp)::", "a port, implemented in http", OS_CODE),
    Ban("environment", r"\bgetenv\b", "a setting, read by app", OS_CODE),
    Ban("asio-timer", r"\b(?:steady|system|deadline|high_resolution|waitable)_timer\b", "sleep_for, with_deadline",
        OS_CODE),
    Ban("detached", r"\basio::detached\b|\bdetached_t\b|\busing\s+[\w:]*\bdetached\b|\.detach\s*\(\s*\)",
        "TaskGroup::spawn", lambda source: False),
    Ban("awaitable-operators", r"\bawaitable_operators\b", "all_of, first_of", library("runtime")),
    Ban("catch-all", r"\bcatch\s*\(\s*\.\.\.\s*\)", "errors as values; exceptions stop at the adapter that gets them",
        either(in_floor(4), library("runtime"), is_test)),
    Ban("assert", r"(?<![\w.>:])assert\s*\(|#\s*include\s*<(?:cassert|assert\.h)>", "FG_ASSERT", lambda source: False),
]
# A mutable static or thread_local variable: a declaration without a parameter list before its end.
STATIC = re.compile(
    r"(?:^|[;{}]|\n)\s*(?:inline\s+)?((?:static|thread_local)(?:\s+(?:static|inline|thread_local))*)\s+"
    r"(?!(?:\w+\s+)*(?:const|constexpr|consteval|assert)\b)([\w:<>,\s*&]+?)\s*(=|;|\{)")


class Source:
    """One C++ file: its text, the text without comments and literals, and where it belongs."""

    def __init__(self, path, text, floors):
        self.path = path
        self.text = text
        self.code = strip(text)
        parts = path.split("/")
        self.library = parts[1] if parts[0] == "framegrid" and len(parts) > 2 else None
        self.floor = floors.get(self.library)
        name = parts[-1]
        self.kind = "product"
        if parts[0] in ("tests", "bench") or re.search(r"(_(test|fuzz|bench)(_\w+)?|_for_test)\.[ch]pp$", name):
            self.kind = "test"
        elif parts[0] == "sim":
            self.kind = "sim"

    def line_of(self, offset):
        return self.text.count("\n", 0, offset) + 1

    def includes(self):
        for match in re.finditer(r'^[ \t]*#[ \t]*include[ \t]*[<"]([^>"\n]+)[>"]', self.text, re.M):
            yield match.group(1), self.line_of(match.start())


def blank(text):
    return re.sub(r"[^\n]", " ", text)


TOKEN = re.compile(
    r'//(?:[^\n\\]|\\.|\\\n)*|/\*.*?\*/|(?:u8|[uUL])?R"([^()\\\s]{0,16})\(.*?\)\1"|"(?:[^"\\\n]|\\.)*"|'
    r"(?<![0-9a-fA-F])'(?:[^'\\\n]|\\.)+'", re.S)


def strip(text):
    """The text with comments and literals blanked, include lines kept; offsets and lines stay the same."""
    def replace(match):
        token = match.group(0)
        before = text[text.rfind("\n", 0, match.start()) + 1:match.start()]
        if token[0] == '"' and re.match(r"\s*#\s*include", before):
            return token
        return blank(token)
    return TOKEN.sub(replace, text)


class Report:
    def __init__(self, exceptions):
        self.exceptions = exceptions  # (rule, path) -> (limit or None, line)
        self.used = set()
        self.findings = []
        self.warnings = []

    def add(self, rule, path, line, text, size=None):
        known = self.exceptions.get((rule, path))
        if known is not None and (known[0] is None or size is None or size <= known[0]):
            self.used.add((rule, path))
            return
        self.findings.append((path, line, f"{rule}: {text}"))

    def warn(self, path, text):
        self.warnings.append(f"{path}: {text}")


def read_text(root, path):
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
        return file.read()


def read_exceptions(root, report_bad):
    """Lines `rule path [limit] # reason`."""
    out = {}
    path = "tools/tidy_exceptions.txt"
    if not os.path.exists(os.path.join(root, path)):
        return out
    for number, line in enumerate(read_text(root, path).splitlines(), 1):
        body, _, reason = line.partition("#")
        words = body.split()
        if not words:
            continue
        if len(words) not in (2, 3) or not reason.strip():
            report_bad(number)
            continue
        out[(words[0], words[1])] = (int(words[2]) if len(words) == 3 else None, number)
    return out


def read_layers(root):
    floors, edges = {}, set()
    for line in read_text(root, "cmake/layers.txt").splitlines():
        words = line.partition("#")[0].split()
        if not words:
            continue
        if words[0] == "edge":
            edges.add((words[1], words[2]))
        else:
            floors[words[1]] = int(words[0])
    return floors, edges


def list_files(root):
    """Tracked and new files; without a usable git, everything that is not a build output."""
    names = set()
    if os.path.exists(os.path.join(root, ".git")):
        done = subprocess.run(["git", "-c", "safe.directory=*", "-C", root, "ls-files", "-z", "--cached", "--others",
                               "--exclude-standard"], capture_output=True, check=False)
        names = set(done.stdout.decode().split("\0")) - {""}
    if not names:
        for folder, folders, files in os.walk(root):
            folders[:] = [f for f in folders if f not in ("build", "node_modules", ".git", "__pycache__")]
            names.update(os.path.relpath(os.path.join(folder, f), root) for f in files)
    return sorted(n for n in names if os.path.isfile(os.path.join(root, n)))


def check_bans(source, report):
    for ban in BANS:
        if ban.allowed(source):
            continue
        for match in re.finditer(ban.pattern, source.code):
            found = match.group(0).strip()
            report.add(ban.rule, source.path, source.line_of(match.start()), f"`{found}`: use {ban.instead}")
    for match in STATIC.finditer(source.code):
        constant = re.search(r"\bconst\s+\w+\s*$", match.group(2))
        if "(" in match.group(2) or constant or source.kind == "test":
            continue
        report.add("static-state", source.path, source.line_of(match.start(1)),
                   "mutable static state: two nodes must be able to run in one process")


def check_lines(path, text, report):
    lines = text.split("\n")
    is_code = path.endswith((".cpp", ".hpp"))
    for number, line in enumerate(lines, 1):
        if is_code and len(line) > LINE_LENGTH_MAX and "http" not in line:
            report.add("line-length", path, number, f"{len(line)} characters, at most {LINE_LENGTH_MAX}")
        if LEFTOVER.search(line):
            report.add("leftover", path, number, "finish it, or write down what is missing in the documentation")
        for place in FORBIDDEN_PATHS:
            if place in line:
                report.add("foreign-path", path, number, f"mentions {place}, which is outside this repository")
    if is_code and len(lines) - 1 > FILE_LINES_MAX:
        report.add("file-length", path, 1, f"{len(lines) - 1} lines, at most {FILE_LINES_MAX}", len(lines) - 1)
    elif is_code and len(lines) - 1 > FILE_LINES_WARN:
        report.warn(path, f"{len(lines) - 1} lines: split it before it reaches {FILE_LINES_MAX}")


Function = namedtuple("Function", "head start open end")
TYPE_HEAD = re.compile(r"^(?:template\s*<[^{]*>\s*)?(?:export\s+|typedef\s+)?(?:class|struct|union|enum|namespace|"
                       r"extern)\b(?![^{]*\)\s*(?:const|noexcept|override|final)?\s*$)")


def functions(code):
    """Functions by brace matching: a body is a `{` after a `)` at namespace or class scope. Lambdas and inner blocks
    belong to the function around them."""
    code = re.sub(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", lambda m: blank(m.group(0)), code, flags=re.M)
    stack = []  # the Function being read, or None for a namespace, class or initialiser
    begin, depth_in_function = 0, None
    for match in re.finditer(r"[{};]", code):
        char, at = match.group(0), match.start()
        if char == "{":
            head = code[begin:at].strip()
            head = re.sub(r"^(?:(?:public|private|protected)\s*:\s*)+", "", head)
            start = at - len(code[begin:at].lstrip())
            if depth_in_function is None and "(" in head and not TYPE_HEAD.match(head) and not head.endswith("="):
                stack.append((head, start, at))
                depth_in_function = len(stack)
            else:
                stack.append(None)
        elif char == "}" and stack:
            top = stack.pop()
            if top is not None:
                depth_in_function = None
                yield Function(top[0], top[1], top[2], at)
        if depth_in_function is None:
            begin = at + 1


def check_functions(source, report):
    for function in functions(source.code):
        first, last = source.line_of(function.start), source.line_of(function.end)
        size = last - first + 1
        name = re.search(r"([\w:~]+|operator\W+)\s*\(", function.head)
        if size > FUNCTION_LINES_MAX:
            report.add("function-length", source.path, first,
                       f"{name.group(1) if name else 'function'}: {size} lines, at most {FUNCTION_LINES_MAX}", size)
        if re.match(r"(?:template\s*<.*?>\s*)?(?:static\s+|inline\s+|virtual\s+)*(?:framegrid::)?Task<", function.head):
            check_task_in_try(source, function, report)


def check_task_in_try(source, function, report):
    body = source.code[function.open:function.end]
    for match in re.finditer(r"\btry\s*\{", body):
        depth, at = 1, match.end()
        while at < len(body) and depth:
            depth += {"{": 1, "}": -1}.get(body[at], 0)
            at += 1
        found = re.search(r"(?<!co_)\breturn\b(?!\s*;)", body[match.end():at])
        if found:
            report.add("task-in-try", source.path, source.line_of(function.open + match.end() + found.start()),
                       "`return` of a task inside `try`: the catch never runs; co_return co_await it")


def check_layers(sources, floors, edges, report):
    """Returns, per library, the libraries that its product code and all its code include."""
    used = {}
    for source in sources:
        for name, line in source.includes():
            parts = name.split("/")
            if parts[0] != "framegrid":
                continue
            other = parts[1]
            if other not in floors:
                report.add("layers", source.path, line, f"library {other} is not in cmake/layers.txt")
            elif source.kind == "sim" and floors[other] > 3:
                report.add("layers", source.path, line, f"sim may include floors 0 to 3, not {other}")
            elif source.library and source.library != other:
                used.setdefault(source.library, {}).setdefault(other, (source.path, line))
                upwards = floors[other] > (source.floor if source.floor is not None else -1)
                sideways = floors[other] == source.floor and (source.library, other) not in edges
                if upwards or sideways:
                    report.add("layers", source.path, line,
                               f"{source.library} (floor {source.floor}) must not include {other} (floor "
                               f"{floors[other]})")
        if source.path.startswith("framegrid/") and source.floor is None:
            report.add("layers", source.path, 1, "its folder is not in cmake/layers.txt")
    return used


def read_cmake(root, files):
    """CMakeLists.txt path -> text without comments."""
    return {f: re.sub(r"#.*", "", read_text(root, f))
            for f in files if os.path.basename(f) == "CMakeLists.txt"}


def declared_deps(cmake, floors):
    out = {}
    for path, text in cmake.items():
        for call in re.finditer(r"framegrid_library\(\s*(\w+)([^)]*)\)", text):
            deps = re.search(r"\bDEPS\b(.*?)(?:\b(?:SOURCES|LIBS|TESTS|TEST_DEPS|TEST_LIBS)\b|$)", call.group(2), re.S)
            words = deps.group(1).split() if deps else []
            out[call.group(1)] = (path, [w for w in words if w in floors])
        # A program of one floor, such as app: whatever it links.
        parts = path.split("/")
        name = parts[1] if len(parts) == 3 and parts[0] == "framegrid" else None
        if name in floors and name not in out and "add_executable" in text:
            out[name] = (path, re.findall(r"framegrid::(\w+)", text))
    return out


def check_deps(used, cmake, floors, report):
    deps = declared_deps(cmake, floors)

    def closure(name, seen):
        for other in deps.get(name, (None, []))[1]:
            if other not in seen:
                seen.add(other)
                closure(other, seen)
        return seen

    for name, (path, direct) in sorted(deps.items()):
        includes = used.get(name, {})
        linked = closure(name, set())
        for other, (where, line) in sorted(includes.items()):
            if other not in linked:
                report.add("deps", where, line, f"{name} includes {other} but does not link it ({path})")
        for other in direct:
            if other not in includes:
                report.add("deps", path, 1, f"{name} links {other} but includes nothing of it")


def check_mentions(files, sources, cmake, report):
    included = {name for source in sources for name, _ in source.includes()}
    by_name = {os.path.basename(name) for name in included if "/" not in name}
    for source in sources:
        folder, name = os.path.split(source.path)
        if name.endswith(".cpp"):
            texts, at = [], folder
            while True:
                texts.append(cmake.get(os.path.join(at, "CMakeLists.txt") if at else "CMakeLists.txt", ""))
                if not at:
                    break
                at = os.path.dirname(at)
            texts.append(cmake.get("cmake/framegrid.cmake", ""))
            if not any(re.search(r"(?<![\w-])" + re.escape(name), text) for text in texts):
                report.add("dead-file", source.path, 1, "no CMakeLists.txt mentions it")
            header = source.path[:-4] + ".hpp"
            first = next(source.includes(), (None, 1))
            if header in files and not folder.startswith("cmake") and first[0] not in (header, os.path.basename(header)):
                report.add("own-header", source.path, first[1], f"its own header comes first: <{header}>")
        else:
            if source.path not in included and name not in by_name and not source.path.startswith("cmake/"):
                report.add("dead-file", source.path, 1, "nothing includes it")
            if "#pragma once" not in source.text:
                report.add("header", source.path, 1, "#pragma once is missing")
            if not source.text.startswith("//"):
                report.add("header", source.path, 1, "a header starts with a comment that says what it owns")


def check_std_includes(sources, report):
    by_path = {source.path: source for source in sources}
    reach = {}

    def reachable(path):
        if path not in reach:
            reach[path] = set()
            for name, _ in by_path[path].includes():
                name = name if name in by_path or "/" in name else os.path.join(os.path.dirname(path), name)
                reach[path] |= reachable(name) if name in by_path else {os.path.basename(name)}
        return reach[path]

    for source in sources:
        if source.path.startswith("cmake/"):
            continue
        missing = {}
        for match in STD_PATTERN.finditer(source.code):
            header = "chrono" if match.group(2) or match.group(1) == "chrono" else STD_HEADER.get(match.group(1))
            if header and header not in reachable(source.path):
                missing.setdefault(header, (source.line_of(match.start()), match.group(0)))
        for header, (line, name) in missing.items():
            report.add("std-include", source.path, line, f"{name} needs #include <{header}>")


def check_headers_alone(root, sources, report):
    for source in sources:
        if source.path.endswith(".hpp") and source.path.startswith(("framegrid/", "sim/")):
            done = subprocess.run(
                ["g++-14", "-std=c++23", "-fsyntax-only", "-I" + root, "-x", "c++", os.path.join(root, source.path)],
                capture_output=True, text=True, check=False)
            if done.returncode:
                report.add("self-contained", source.path, 1, (done.stderr.strip().splitlines() or ["?"])[0])


def check_tree(root, headers=False):
    """All findings as `path:line: rule: text`, and the warnings."""
    bad_exceptions = []
    report = Report(read_exceptions(root, bad_exceptions.append))
    for number in bad_exceptions:
        report.add("exceptions", "tools/tidy_exceptions.txt", number, "wants: rule path [limit] # reason")
    floors, edges = read_layers(root)
    files = list_files(root)
    sources = []
    for path in files:
        if os.path.getsize(os.path.join(root, path)) > FILE_BYTES_MAX and not path.startswith("models/"):
            report.add("large-file", path, 1, f"over {FILE_BYTES_MAX} bytes outside models/: does it belong here?")
        if not path.endswith(TEXT_SUFFIXES) and os.path.basename(path) not in ("run", "Dockerfile"):
            continue
        if path == "tools/tidy_exceptions.txt" or os.path.basename(path) == "package-lock.json":
            continue
        text = read_text(root, path)
        check_lines(path, text, report)
        if path.endswith((".cpp", ".hpp")):
            sources.append(Source(path, text, floors))
    for source in sources:
        check_bans(source, report)
        check_functions(source, report)
    used = check_layers(sources, floors, edges, report)
    cmake = read_cmake(root, files)
    check_deps(used, cmake, floors, report)
    if "cmake/framegrid.cmake" in files:
        cmake["cmake/framegrid.cmake"] = read_text(root, "cmake/framegrid.cmake")
    check_mentions(set(files), sources, cmake, report)
    check_std_includes(sources, report)
    if headers:
        check_headers_alone(root, sources, report)
    for (rule, path), (_, number) in report.exceptions.items():
        if (rule, path) not in report.used:
            report.findings.append(("tools/tidy_exceptions.txt", number, f"exceptions: {rule} {path} is not needed"))
    return [f"{p}:{n}: {t}" for p, n, t in sorted(set(report.findings))], report.warnings, len(sources)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--root", default=os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    parser.add_argument("--headers", action="store_true", help="also compile every header alone")
    options = parser.parse_args()
    findings, warnings, count = check_tree(options.root, options.headers)
    for warning in warnings:
        print("warning:", warning)
    for finding in findings:
        print(finding)
    print(f"tidy: {count} C++ files, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
