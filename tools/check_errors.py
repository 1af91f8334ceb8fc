#!/usr/bin/env python3
"""Holds docs/errors.md against the code.

usage: check_errors.py REPO. The table of codes must say what src/base/error.cc says, row by row. Every message
in the tables of messages (the first cell, in backticks, `…` for what varies) must be in the sources."""
import pathlib
import re
import sys

ROW = re.compile(r'\{Code::k(\w+), "(\w+)", (\d+), (\d+), (true|false)\}')
DOC_ROW = re.compile(r"^\| `(\w+)` \| (\d+) \| (\d+) \| (yes|no) \|")
MESSAGE = re.compile(r"^\| `([^`]*…?[^`]*)` \| `(\w+)` \|")
PIECE_CHARS_MIN = 6  # shorter pieces between two … prove nothing


def literals(root):
    """All string literals of the product's sources, adjacent ones joined, escapes undone."""
    parts = []
    for path in sorted((root / "src").rglob("*.cc")):
        text = re.sub(r'"\s*\n\s*"', "", path.read_text())
        for literal in re.findall(r'"((?:[^"\\\n]|\\.)*)"', text):
            parts.append(re.sub(r'\\(["\\])', r"\1", literal))
    return "\n".join(parts)


def main():
    root = pathlib.Path(sys.argv[1])
    code = {m[2]: (m[3], m[4], "yes" if m[5] == "true" else "no")
            for m in ROW.finditer((root / "src/base/error.cc").read_text())}
    bad, doc, messages = [], {}, 0
    source = literals(root)
    for number, line in enumerate((root / "docs/errors.md").read_text().splitlines(), 1):
        if m := DOC_ROW.match(line):
            doc[m[1]] = (m[2], m[3], m[4])
            if m[1] not in code:
                bad.append(f"docs/errors.md:{number}: the code has no '{m[1]}'")
            elif code[m[1]] != doc[m[1]]:
                bad.append(f"docs/errors.md:{number}: '{m[1]}' is {code[m[1]]} in src/base/error.cc")
        elif m := MESSAGE.match(line):
            messages += 1
            if m[2] not in code:
                bad.append(f"docs/errors.md:{number}: the code has no '{m[2]}'")
            for piece in re.split("…", m[1]):
                if len(piece.strip()) >= PIECE_CHARS_MIN and piece.strip() not in source:
                    bad.append(f"docs/errors.md:{number}: no source says '{piece.strip()}'")
    bad += [f"docs/errors.md: '{name}' is missing" for name in code if name not in doc]
    if not code or not messages:
        bad.append("check_errors.py: found nothing to compare; the format of a file has changed")
    print("\n".join(bad) or f"errors ok: {len(code)} codes, {messages} messages")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
