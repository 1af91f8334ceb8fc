#!/usr/bin/env python3
"""Small rules of the tree that neither the compiler nor clang-format knows; docs/style.md says why.

usage: tidy.py REPO. Looks at tracked files only. Prints `file:line: what, and what to do instead`, warnings
first, and exits with 1 when a rule is broken."""
import pathlib
import re
import subprocess
import sys

COLUMNS_MAX = 100
LINES_WARN, LINES_MAX = 500, 800
FILE_BYTES_MAX = 1 << 20
# Tracked files that may be larger, each with a reason.
LARGE_FILES: dict[str, str] = {}

# pattern, what to use instead, files in which it is the implementation of that very thing
BANNED = [
    (r"\bstd::thread\b", "use std::jthread, ThreadPool or TaskGroup (base/executor.h)", ()),
    (r"\bsleep_for\b|\bsleep_until\b|\busleep\(", "use Context::Sleep or Clock::SleepFor", ()),
    (r"\bstd::w?regex\b", "write a parser, or use model::PatternSet (model/pattern.h)", ()),
    (r"\bsystem_clock::now\b", "use the Clock that is passed in", ("src/base/clock.cc",)),
    (r"\b(?:secure_)?getenv\(", "pass it in: cli::ReadEnvironment is the only reader", ("src/cli/client.cc",)),
    (r"\bco_(?:await|return|yield)\b", "no coroutines (docs/decisions.md)", ()),
    (r"(?:\.|->)detach\(", "keep the thread and join it", ()),
    (r"\bFIXME\b", "fix it, or describe the limit", ()),
]
# Tests may read the variable that rewrites golden files.
BANNED_EXCEPT_TESTS = r"getenv"


def tracked(root):
    out = subprocess.run(["git", "-C", root, "ls-files", "-z"], check=True, capture_output=True).stdout
    return [name for name in out.decode().split("\0") if name and (root / name).is_file()]


def is_test(name):
    return name.endswith("_test.cc") or name.startswith("tests/") or "/testing/" in name


def check_code(name, text, bad, warn):
    lines = text.splitlines()
    if len(lines) > LINES_MAX:
        bad.append(f"{name}: {len(lines)} lines, at most {LINES_MAX}: split it")
    elif len(lines) > LINES_WARN:
        warn.append(f"{name}: {len(lines)} lines, more than {LINES_WARN}")
    for number, line in enumerate(lines, 1):
        if len(line) > COLUMNS_MAX:
            bad.append(f"{name}:{number}: {len(line)} columns, at most {COLUMNS_MAX}")
        comment = line.find("//")
        code = line if comment < 0 or "FIXME" in line else line[:comment]
        for pattern, instead, allowed in BANNED:
            if name in allowed or not re.search(pattern, code):
                continue
            if is_test(name) and BANNED_EXCEPT_TESTS in pattern:
                continue
            bad.append(f"{name}:{number}: '{re.search(pattern, code)[0]}': {instead}")


def check_named_in_cmake(root, names, bad):
    """A source that no CMakeLists.txt names is not built, not tested and not linted. Headers count in src only."""
    words = {}
    for name in names:
        if not name.endswith((".cc", ".h") if name.startswith("src/") else ".cc"):
            continue
        path = pathlib.PurePosixPath(name)
        for parent in path.parents:
            if str(parent) == ".":
                bad.append(f"{name}: no CMakeLists.txt above it names it")
                break
            cmake = str(parent / "CMakeLists.txt")
            if cmake not in names:
                continue
            if cmake not in words:
                words[cmake] = set(re.split(r"[\s()\"]+", (root / cmake).read_text()))
            if str(path.relative_to(parent)) not in words[cmake]:
                bad.append(f"{name}: {cmake} does not name it")
            break


def check_links(root, name, text, bad):
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        if fenced:
            continue
        for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", line)):
            if re.match(r"[a-z]+:", target) or target.startswith("#"):
                continue
            file = target.split("#")[0]
            if not (root / pathlib.PurePosixPath(name).parent / file).exists():
                bad.append(f"{name}:{number}: the link {target} leads nowhere")


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    names = tracked(root)
    bad, warn = [], []
    for name in names:
        size = (root / name).stat().st_size
        if size > FILE_BYTES_MAX and name not in LARGE_FILES:
            bad.append(f"{name}: {size} bytes, at most {FILE_BYTES_MAX}: make it when it is needed, do not commit it")
            continue
        if name.endswith((".cc", ".h")):
            check_code(name, (root / name).read_text(), bad, warn)
        elif name.endswith(".md"):
            check_links(root, name, (root / name).read_text(), bad)
    check_named_in_cmake(root, set(names), bad)
    for line in warn:
        print(f"warning: {line}")
    for line in bad:
        print(line)
    if not bad:
        print(f"tidy ok: {len(names)} files")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
