#!/usr/bin/env bash
# Runs shellcheck over every tracked shell script: those named *.sh and those whose first line says so.
# Exit: 0 clean, 1 findings, 77 no shellcheck on this machine.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v shellcheck >/dev/null || { echo "shellcheck is not installed" >&2; exit 77; }
scripts=()
while IFS= read -r file; do
  if [[ $file == *.sh ]] || { [ -f "$file" ] && [ -x "$file" ] && head -c 64 "$file" | head -1 | tr -d '\0' | grep -qE '^#!.*\b(ba)?sh$'; }; then
    scripts+=("$file")
  fi
done < <(git ls-files)
shellcheck "${scripts[@]}"
echo "shellcheck ok: ${#scripts[@]} scripts"
