#!/usr/bin/env python3
"""mount.py BUILD_DIR [WORK_DIR] [COUNT...]: how long a version takes to be mounted.

For trees of 1, 1,000 and 100,000 files of 1 KiB each: the first mount (fetches the files from the
origin directory into the node cache, links the tree, makes it durable), a mount of the version that
is cached by then, and its unmount. Each is one command of the CLI, so the start of a process and two
requests over loopback are in it; `bdn mount --list` is measured beside them as that floor.
"""
import pathlib
import shutil
import sys

import lab

ROUNDS = 7


def make_tree(root, count):
    """Files of different content, 500 to a directory."""
    for i in range(count):
        if i % 500 == 0:
            directory = root / f"d{i // 500:04}"
            directory.mkdir(parents=True)
        (directory / f"f{i:06}").write_bytes(b"%012d" % i + bytes(1012))


def measure(bdn, work, count):
    tree = work / f"tree-{count}"
    make_tree(tree, count)
    ref = f"bdn:bench/files-{count}"
    pushed, pushed_cpu, _ = bdn("volume", "push", tree, ref)
    target = work / "mounted"
    load = lab.wait_until_quiet()
    first, first_cpu, _ = bdn("mount", ref, target)
    present = sum(1 for p in target.rglob("*") if p.is_file()) if count <= 1000 else count
    assert present == count, f"{present} of {count} files are there"
    bdn("unmount", target)
    results = lab.Results("mount")
    for _ in range(ROUNDS):
        floor, _, _ = bdn("mount", "--list")
        mounted, cpu, _ = bdn("mount", ref, target)
        assert any(target.iterdir())
        unmounted, _, _ = bdn("unmount", target)
        results.add("cached", floor=floor, mount=mounted, cpu=cpu, unmount=unmounted)
    floor = results.median("cached", "floor")
    mounted = results.median("cached", "mount")
    name = f"{count:,} files"
    lab.row("mount", name + ": cached version", f"{mounted * 1e3:.1f} ms",
            f"{(mounted - floor) * 1e3:.1f} ms above `bdn mount --list`; "
            f"budget {max(count * 0.01, 10):,.0f} ms")
    lab.row("mount", name + ": unmount", f"{results.median('cached', 'unmount') * 1e3:.1f} ms")
    lab.row("mount", name + ": first mount, with the fill", f"{first * 1e3:.0f} ms",
            f"{first / count * 1e6:,.0f} µs a file, CPU {first_cpu:.2f} s, load {load:.1f}")
    lab.row("mount", name + ": volume push", f"{pushed * 1e3:.0f} ms",
            f"{pushed / count * 1e6:,.0f} µs a file, CPU {pushed_cpu:.2f} s")
    shutil.rmtree(tree)


def main():
    build = sys.argv[1]
    work = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else "/var/tmp") / "bdn-bench-mount"
    counts = [int(word) for word in sys.argv[3:]] or [1, 1_000, 100_000]
    lab.remove(work)
    bdn = lab.Bdn(build, work / "home")
    try:
        for count in counts:
            measure(bdn, work, count)
    finally:
        bdn.stop()
        shutil.rmtree(work, ignore_errors=True)


main()
