#!/usr/bin/env bash
# blake3.sh BUILD_DIR: our BLAKE3 against b3sum on a 1 GiB file in memory, one thread each, five
# alternations in one run. b3sum is measured twice: as it is by default (mmap), and reading into a
# buffer as we do. Prints medians of wall and CPU time, and ratios: above 1 means that we are faster.
set -euo pipefail
ours=${1:?usage: blake3.sh BUILD_DIR}/bench/blake3_file
rounds=5
file=$(mktemp /dev/shm/blake3.XXXXXX)
trap 'rm -f "$file" "$file".*' EXIT
head -c $((1 << 30)) /dev/urandom >"$file"

# measure NAME COMMAND...: appends "wall cpu" seconds to NAME's list; prints the digest.
measure() {
  local name=$1; shift
  local TIMEFORMAT='%R %U %S'
  { time "$@" 2>&3; } 3>&2 2>>"$file.$name"
}

for _ in $(seq $rounds); do
  a=$(measure ours "$ours" "$file")
  b=$(measure mmap b3sum --no-names --num-threads 1 "$file")
  c=$(measure read b3sum --no-names --num-threads 1 --no-mmap "$file")
  [[ $a == "$b" && $a == "$c" ]] || { echo "digests differ: $a $b $c" >&2; exit 1; }
done

median() { sort -n | sed -n "$(((rounds + 1) / 2))p"; }
wall() { awk '{print $1}' "$file.$1" | median; }
cpu() { awk '{print $2 + $3}' "$file.$1" | median; }
for name in ours mmap read; do
  printf '%-12s wall %s s  cpu %s s\n' "$name" "$(wall $name)" "$(cpu $name)"
done
for name in mmap read; do
  awk -v name="$name" -v w="$(wall $name)" -v c="$(cpu $name)" -v ow="$(wall ours)" -v oc="$(cpu ours)" \
    'BEGIN {printf "ours/b3sum %s: speed by wall time %.2f, by CPU time %.2f\n", name, w / ow, c / oc}'
done
