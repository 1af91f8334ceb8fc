#!/usr/bin/env python3
"""read.py BUILD_DIR [WORK_DIR]: reading a file through a mount against reading the plain file.

One file of 512 MiB is pushed as a volume and mounted; the file and its twin outside of the mount
are read in turn, from the page cache. The plain file is a copy on the same file system.
"""
import pathlib
import shutil
import sys

import lab


def main():
    build = sys.argv[1]
    work = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else "/var/tmp") / "bdn-bench-read"
    lab.remove(work)
    plain = work / "tree" / "weights.bin"
    lab.fill_file(plain, 512 * lab.MIB)
    bdn = lab.Bdn(build, work / "home")
    try:
        bdn("volume", "push", plain.parent, "bdn:bench/read")
        target = work / "mounted"
        bdn("mount", "bdn:bench/read", target)
        try:
            lab.wait_until_quiet()
            _, _, text = lab.run([lab.find(build, "read_bench"), plain, target / "weights.bin", "9"])
        finally:
            bdn("unmount", target)
    finally:
        bdn.stop()
        shutil.rmtree(work, ignore_errors=True)
    for line in text.splitlines():
        name, plain_speed, mounted_speed, ratio = line.split("\t")
        lab.row("read", name, f"{ratio} of plain",
                f"{mounted_speed} GB/s mounted, {plain_speed} GB/s plain")


main()
