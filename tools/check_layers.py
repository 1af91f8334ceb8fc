#!/usr/bin/env python3
"""Fails when a component includes a header of a component that its CMakeLists.txt does not name.

usage: check_layers.py REPO. DEPS govern headers and sources; PRIVATE_DEPS only .cc files; a test file
(*_test.cc, testing/) may also use TEST_DEPS and any component's testing/ folder."""
import pathlib, re, sys
root = pathlib.Path(sys.argv[1]) / "src"
KEYS = "HEADERS SOURCES DEPS PRIVATE_DEPS LIBS TESTING_HEADERS TESTING_SOURCES TESTING_DEPS TESTS TEST_DEPS TEST_LIBS".split()
deps, bad = {}, []
for cmake in root.glob("*/CMakeLists.txt"):
    words = re.sub(r"#.*", "", cmake.read_text()).replace("(", " ").replace(")", " ").split()
    key, out = None, {k: set() for k in KEYS}
    for word in words[2:]:
        if word in KEYS: key = word
        elif key: out[key].add(word)
    deps[words[1]] = out
def reach(name):
    seen, todo = set(), [name]
    while todo:
        for dep in deps.get(todo.pop(), {}).get("DEPS", ()):
            if dep not in seen: seen.add(dep); todo.append(dep)
    return seen
for path in sorted(root.glob("**/*.[hc]*")):
    rel = path.relative_to(root); own = rel.parts[0]
    if own not in deps: continue
    test = rel.name.endswith("_test.cc") or "testing" in rel.parts
    allowed = {own} | reach(own)
    if path.suffix == ".cc" or test:
        for dep in deps[own]["PRIVATE_DEPS"]: allowed |= {dep} | reach(dep)
    for number, line in enumerate(path.read_text().splitlines(), 1):
        m = re.match(r'\s*#\s*include\s+"([a-z0-9_]+)/([^"]+)"', line)
        if not m: continue
        if not test and m[2].startswith("testing/"):
            bad.append(f"src/{rel}:{number}: product code may not include {m[1]}/{m[2]}")
            continue
        if m[1] in allowed: continue
        if test and (m[2].startswith("testing/") or m[1] + "_testing" in deps[own]["TEST_DEPS"] or m[1] in deps[own]["TEST_DEPS"]): continue
        bad.append(f"src/{rel}:{number}: {own} may not include {m[1]}/{m[2]} (not in DEPS)")
print("\n".join(bad) or f"layers ok: {len(deps)} components")
sys.exit(bool(bad))
