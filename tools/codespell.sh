#!/usr/bin/env bash
# Runs codespell over tracked text; test data and fuzz seeds are what they are.
# Exit: 0 clean, 1 findings, 77 no codespell on this machine.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v codespell >/dev/null || { echo "codespell is not installed" >&2; exit 77; }
# unexpect is the standard library's; nd and fo stand in test texts; kOwn and kNo are constants.
git ls-files -z -- . ':!fuzz/corpus' ':!*/testdata/*' ':!LICENSE' ':!*.json' |
  xargs -0 codespell --ignore-words-list 'unexpect,nd,fo,kown,te,kno,acces' --
echo "codespell ok"
