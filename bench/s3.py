#!/usr/bin/env python3
"""s3.py BUILD_DIR [WORK_DIR] [CASE...]: `bdn push --wait` from a bucket against rclone, aws s3 cp and s3cmd.

All of them read the same objects from one Ceph gateway, which runs here with its objects in memory and shares
the CPUs with them. bdn mirrors into a data directory that is new each round: it lists, hashes all bytes, and has
everything durable when it returns. rclone compares MD5 where the ETag is one; none of the others syncs. What
`sync` and `openssl dgst -sha256` need after each of them is measured apart.

Cases: large (512 MiB in one object, and four small ones), many (1,000 objects of 64 KiB). Prints medians of
alternating rounds, and ratios: above 1 means that bdn is faster. Needs awscli, s3cmd and rclone, and the
packages of tests/servers/rgw.py.
"""
import os
import pathlib
import subprocess
import sys
import tempfile

import lab

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "servers"))

from rgw import Rgw  # noqa: E402

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
PREFIX = "models/w"
PEERS = ("rclone", "aws", "s3cmd")
SMALL = ("config.json", "tokenizer.json", "README.md", "generation_config.json")


def large():
    return {"model.safetensors": 512 << 20, **{name: 20_000 for name in SMALL}}


def many():
    return {f"part-{i // 100}/w{i:04}.bin": 64 << 10 for i in range(1000)}


CASES = {"large": ("512 MiB + 4 small", large), "many": ("1,000 x 64 KiB", many)}


class Peers:
    """The commands of the other programs; each downloads all objects below PREFIX to a directory."""

    def __init__(self, rgw, bucket):
        self.rgw, self.bucket = rgw, bucket

    def env(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "RCLONE_"))}
        return {**env, "AWS_ACCESS_KEY_ID": self.rgw.access_key, "AWS_SECRET_ACCESS_KEY": self.rgw.secret_key,
                "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
                "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}

    def rclone(self, to):
        return ["rclone", "copy", "-q", "--config", os.devnull, f":s3:{self.bucket}/{PREFIX}", str(to),
                "--s3-provider", "Ceph", "--s3-env-auth", "--s3-endpoint", self.rgw.endpoint, "--transfers", "8",
                "--multi-thread-streams", "8", "--multi-thread-cutoff", "64M"]

    def aws(self, to):
        return ["/usr/bin/aws", "s3", "cp", "--only-show-errors", "--recursive", "--endpoint-url", self.rgw.endpoint,
                f"s3://{self.bucket}/{PREFIX}", str(to)]

    def s3cmd(self, to):
        host = f"127.0.0.1:{self.rgw.port}"
        return ["s3cmd", "-c", os.devnull, "-q", "--no-ssl", "--host", host, "--host-bucket", host, "--access_key",
                self.rgw.access_key, "--secret_key", self.rgw.secret_key, "get", "--recursive",
                f"s3://{self.bucket}/{PREFIX}/", f"{to}/"]


def upload(rgw, bucket, files):
    s3 = rgw.client("s3")
    s3.create_bucket(Bucket=bucket)
    for name, size in files.items():
        s3.put_object(Bucket=bucket, Key=f"{PREFIX}/{name}", Body=os.urandom(size))


def make_deployment(directory, bucket):
    directory.mkdir(parents=True)
    (directory / "config.yaml").write_text(
        "model_name: bench\nweights:\n"
        f"  - source: s3://{bucket}/{PREFIX}\n    mount_location: /models/bench\n"
        "    auth: {auth_method: CUSTOM_SECRET, auth_secret_name: keys}\n")
    return directory


def run_bdn(build, rgw, work, deployment):
    home = work / "bdn"
    lab.remove(home)
    bdn = lab.Bdn(build, home, env={"AWS_ENDPOINT_URL_S3": rgw.endpoint})
    try:
        subprocess.run([bdn.program, "secret", "set", "keys"], input=rgw.secret_json(), text=True, env=bdn.env,
                       check=True, capture_output=True)
        wall, cpu, _ = bdn("push", deployment, "--wait")
    finally:
        bdn.stop()
    lab.remove(home)
    return wall, cpu


def check_same(to, files):
    found = {str(p.relative_to(to)): p.stat().st_size for p in to.rglob("*") if p.is_file()}
    assert found == files, f"{to}: {len(found)} files"


def finish(to, names):
    """What would make a plain download verified and durable: seconds of syncing and of hashing."""
    synced = lab.sync(to)
    hashed, _, _ = lab.run(["xargs", "-0", "-a", os.fspath(names), "-P2", "-n500", "openssl", "dgst", "-sha256"],
                           cwd=to)
    return synced, hashed


def measure(build, work, rgw, case, results):
    files = CASES[case][1]()
    bucket = f"bench-{case}"
    upload(rgw, bucket, files)
    names = work / "names"
    names.write_text("\0".join(files))
    peers = Peers(rgw, bucket)
    deployment = make_deployment(work / f"deployment-{case}", bucket)
    for _ in range(ROUNDS):
        load = lab.wait_until_quiet()
        wall, cpu = run_bdn(build, rgw, work, deployment)
        results.add("bdn", wall=wall, cpu=cpu, load=load)
        for name in PEERS:
            to = work / name
            lab.sync(work)
            to.mkdir()
            wall, cpu, _ = lab.run(getattr(peers, name)(to), env=peers.env())
            check_same(to, files)
            synced, hashed = finish(to, names)
            results.add(name, wall=wall, cpu=cpu, synced=synced, hashed=hashed)
            lab.remove(to)
        lab.sync(work)


def report(case, results):
    title = CASES[case][0]
    ours = results.median("bdn", "wall")
    low, high = results.spread("bdn", "wall")
    lab.row("s3", f"{title}: bdn", f"{ours:.2f} s", f"CPU {results.median('bdn', 'cpu'):.2f} s, {low:.2f}-{high:.2f} s, "
            f"hashed and durable, load {results.median('bdn', 'load'):.1f}")
    for name in PEERS:
        wall, cpu = results.median(name, "wall"), results.median(name, "cpu")
        low, high = results.spread(name, "wall")
        whole = wall + results.median(name, "synced") + results.median(name, "hashed")
        lab.row("s3", f"{title}: {name}", f"{wall:.2f} s",
                f"CPU {cpu:.2f} s, {low:.2f}-{high:.2f} s; bdn is {wall / ours:.2f} x as fast, "
                f"{whole / ours:.2f} x with its sync and SHA-256")


def main():
    build = sys.argv[1]
    work = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else "/var/tmp") / "bdn-bench-s3"
    lab.remove(work)
    work.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="bdn-rgw-") as directory:
        rgw = Rgw.start(directory)
        try:
            for case in sys.argv[3:] or CASES:
                results = lab.Results("s3")
                measure(build, work, rgw, case, results)
                report(case, results)
        finally:
            rgw.stop()
            lab.remove(work)


main()
