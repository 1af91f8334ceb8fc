#!/usr/bin/env bash
# run.sh BUILD_DIR [WORK_DIR]: all benches that need no second machine, one after another, and one
# table in Markdown on standard output. WORK_DIR (/var/tmp) is where data rests: a disk, 8 GiB free.
# Needs root (mounts), python3, aria2c, rclone, curl, b3sum, openssl. Takes about five minutes.
set -euo pipefail
build=$(realpath "${1:?usage: run.sh BUILD_DIR [WORK_DIR]}")
work=${2:-/var/tmp}
cd "$(dirname "$0")"

python3 -c 'import lab; print(lab.machine())'
echo
echo '| bench | case | result | remark |'
echo '| --- | --- | --- | --- |'
for bench in mirror mount fill read; do
  python3 "$bench.py" "$build" "$work" | awk -F'\t' '{ print "| " $1 " | " $2 " | " $3 " | " $4 " |" }'
done
echo
./blake3.sh "$build"
