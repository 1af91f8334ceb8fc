#!/usr/bin/env bash
# Checks or fixes the formatting of C++ files with clang-format 14 and the repository's .clang-format.
#
# usage: tools/format.sh [--check|--fix] [FILE...]     (default: --check, all tracked .h and .cc files)
#
# Other versions are refused: each formats some constructs differently, and the tree would never rest.
# Exit: 0 formatted, 1 some files differ (they are named), 77 no clang-format 14 on this machine.
set -euo pipefail
cd "$(dirname "$0")/.."

mode=--check
case "${1:-}" in
  --check | --fix) mode=$1; shift ;;
  -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
  -*) echo "format.sh: unknown option $1; see --help" >&2; exit 2 ;;
esac

formatter=
for name in clang-format-14 clang-format; do
  if command -v "$name" >/dev/null && "$name" --version | grep -q 'version 14\.'; then
    formatter=$name
    break
  fi
done
if [ -z "$formatter" ]; then
  echo "format.sh: needs clang-format 14 (Debian 12: apt-get install clang-format-14)" >&2
  exit 77
fi

files=("$@")
[ ${#files[@]} -gt 0 ] || mapfile -t files < <(git ls-files '*.h' '*.cc')
[ ${#files[@]} -gt 0 ] || exit 0

if [ "$mode" = --fix ]; then
  printf '%s\0' "${files[@]}" | xargs -0 -P 2 -n 40 "$formatter" -i
  exit 0
fi
bad=$(printf '%s\0' "${files[@]}" | xargs -0 -P 2 -n 40 "$formatter" --dry-run 2>&1 |
  sed -n 's/^\([^: ]*\):[0-9]*:[0-9]*: warning: code should be clang-formatted.*/\1/p' | sort -u)
if [ -n "$bad" ]; then
  echo "not formatted (tools/format.sh --fix repairs):"
  echo "$bad"
  exit 1
fi
echo "format ok: ${#files[@]} files"
