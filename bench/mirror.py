#!/usr/bin/env python3
"""mirror.py BUILD_DIR [WORK_DIR] [CASE...]: `bdn push --wait` against aria2c, rclone and curl.

All of them take the same files from the same server, the stand-in for the Hub with its redirects to
a storage host, which runs here and reads from memory. bdn mirrors into a data directory that is new
each round: it resolves and lists first, checks each file's SHA-256 or git hash and BLAKE3, and has
everything durable when it returns. The others get the list of addresses as a gift, and check and
sync nothing; what `sync` and `openssl dgst -sha256` need after each of them is measured apart.

Cases: large (1 GiB and four small files), many (2,000 files of 64 KiB), limited (256 MiB from a server
that gives each connection 32 MiB a second). Prints medians of alternating rounds, and ratios: above 1
means that bdn is faster.
"""
import os
import pathlib
import shutil
import sys
import tempfile
import urllib.request

import lab

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
REPOSITORY = "bench/repo"
SHM = pathlib.Path("/dev/shm")


def make_large(root, size):
    lab.fill_file(root / "model.safetensors", size)
    for name in ("config.json", "tokenizer.json", "README.md", "generation_config.json"):
        lab.fill_file(root / name, 20_000)


def make_many(root):
    for i in range(2000):
        lab.fill_file(root / f"part-{i // 200}" / f"w{i:04}.bin", 64 << 10)


class Case:
    def __init__(self, name, title, make, rate=0):
        self.name, self.title, self.make, self.rate = name, title, make, rate


CASES = [
    Case("large", "1 GiB + 4 small", lambda root: make_large(root, 1 << 30)),
    Case("many", "2,000 x 64 KiB", make_many),
    Case("limited", "256 MiB at 32 MiB/s a connection",
         lambda root: make_large(root, 256 << 20), rate=32 << 20),
]


def head_commit(hub):
    with urllib.request.urlopen(f"{hub.url}/api/models/{REPOSITORY}/revision/main") as answer:
        return lab.read_json(answer.read())["sha"]


class Peers:
    """The commands of the other programs; each downloads all files below a directory."""

    def __init__(self, base, files, work):
        self.base, self.files, self.work = base, files, work

    def aria2c(self, to):
        urls = self.work / "aria2.txt"
        urls.write_text("".join(f"{self.base}/{f}\n  out={f}\n" for f in self.files))
        return ["aria2c", "-q", "--no-conf", "-x8", "-s8", "-j4", "-k1M", "-d", str(to), "-i",
                str(urls)]

    def rclone(self, to):
        names = self.work / "rclone.txt"
        names.write_text("".join(f"{f}\n" for f in self.files))
        return ["rclone", "copy", "-q", "--config", "/dev/null", ":http:", str(to), "--http-url",
                self.base + "/", "--files-from", str(names), "--no-traverse", "--transfers", "8",
                "--multi-thread-streams", "8", "--multi-thread-cutoff", "64M"]

    def curl(self, to):
        config = self.work / "curl.txt"
        config.write_text("".join(f'url = "{self.base}/{f}"\noutput = "{to}/{f}"\n'
                                  for f in self.files))
        return ["curl", "-sSfL", "--parallel", "--parallel-max", "8", "--create-dirs", "--config",
                str(config)]


def finish(to, files):
    """What would make a plain download verified and durable: seconds of hashing and of syncing."""
    synced = lab.sync(to)
    hashed, _, text = lab.run(["xargs", "-0", "-a", os.fspath(files), "-P2", "-n500", "openssl", "dgst",
                               "-sha256"], cwd=to)
    assert text.count("SHA2-256") + text.count("SHA256") > 0
    return synced, hashed


def check_same(tree, to, files):
    for name in (files[0], files[-1]):
        a, b = (tree / name).stat().st_size, (to / name).stat().st_size
        assert a == b, f"{name}: {b} bytes instead of {a}"


def run_bdn(build, hub, work, deployment):
    home = work / "bdn"
    lab.remove(home)
    bdn = lab.Bdn(build, home, hub.url)
    try:
        wall, cpu, _ = bdn("push", deployment, "--wait")
    finally:
        bdn.stop()
    return wall, cpu


def measure(build, work, case, results):
    # The source rests in memory, so that neither the disk nor its cache is part of the comparison.
    tree = pathlib.Path(tempfile.mkdtemp(prefix="bdn-bench-", dir=SHM))
    try:
        case.make(tree)
        files = sorted(str(p.relative_to(tree)) for p in tree.rglob("*") if p.is_file())
        names = work / "names"
        names.write_text("\0".join(files))
        command = [lab.find(build, "bdn-fake-hub"), "--repo", f"{REPOSITORY}={tree}"]
        if case.rate:
            command += ["--rate", str(case.rate)]
        hub = lab.Server(command, "ready at")
        try:
            peers = Peers(f"{hub.url}/{REPOSITORY}/resolve/{head_commit(hub)}", files, work)
            deployment = lab.make_deployment(work / "deployment", f"hf://{REPOSITORY}")
            for _ in range(ROUNDS):
                load = lab.wait_until_quiet()
                wall, cpu = run_bdn(build, hub, work, deployment)
                results.add("bdn", wall=wall, cpu=cpu, load=load)
                lab.remove(work / "bdn")
                for name in ("aria2c", "rclone", "curl"):
                    to = work / name
                    lab.sync(work)
                    to.mkdir()
                    wall, cpu, _ = lab.run(getattr(peers, name)(to))
                    check_same(tree, to, files)
                    synced, hashed = finish(to, names)
                    results.add(name, wall=wall, cpu=cpu, synced=synced, hashed=hashed)
                    lab.remove(to)
                lab.sync(work)
        finally:
            hub.stop()
    finally:
        shutil.rmtree(tree)


def report(case, results):
    ours = results.median("bdn", "wall")
    low, high = results.spread("bdn", "wall")
    lab.row("mirror", f"{case.title}: bdn", f"{ours:.2f} s",
            f"CPU {results.median('bdn', 'cpu'):.2f} s, {low:.2f}-{high:.2f} s, verified and durable, "
            f"load {results.median('bdn', 'load'):.1f}")
    for name in ("aria2c", "rclone", "curl"):
        wall, cpu = results.median(name, "wall"), results.median(name, "cpu")
        low, high = results.spread(name, "wall")
        whole = wall + results.median(name, "synced") + results.median(name, "hashed")
        lab.row("mirror", f"{case.title}: {name}", f"{wall:.2f} s",
                f"CPU {cpu:.2f} s, {low:.2f}-{high:.2f} s; bdn is {wall / ours:.2f} x as fast, "
                f"{whole / ours:.2f} x with its sync and SHA-256")


def main():
    build = sys.argv[1]
    work = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else "/var/tmp") / "bdn-bench-mirror"
    wanted = sys.argv[3:]
    for case in CASES:
        if wanted and case.name not in wanted:
            continue
        lab.remove(work)
        work.mkdir(parents=True)
        results = lab.Results("mirror")
        try:
            measure(build, work, case, results)
        finally:
            lab.remove(work)
        report(case, results)


main()
