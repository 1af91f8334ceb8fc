#!/usr/bin/env python3
"""Proves the stand-in for the Hugging Face Hub with the real client, npm's @huggingface/hub.

usage: hub_npm_test.py FAKE_HUB CLIENT_MJS WORK_DIRECTORY

Installs the client once into WORK_DIRECTORY, serves a directory of random files as several
repositories, lets the client compare all bytes, then looks at what was asked of the stand-in."""
import json, os, pathlib, random, re, subprocess, sys, tempfile, urllib.request

VERSION = "2.17.5"
fake_hub, client, work = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])


def install():
    package = work / "node_modules/@huggingface/hub/package.json"
    if package.exists() and json.loads(package.read_text())["version"] == VERSION:
        return
    work.mkdir(parents=True, exist_ok=True)
    subprocess.run(["npm", "install", "--prefix", str(work), "--no-audit", "--no-fund", "--no-save", "--ignore-scripts",
                    "--no-package-lock", f"@huggingface/hub@{VERSION}"], check=True, timeout=240)


def write_files(root):
    """Small and large, regular and LFS, plain and odd names; more than a page of them."""
    rng = random.Random(7)
    sizes = {"config.json": 700, "model.safetensors": 3_000_001, "onnx/model.onnx": 70_000, "big.txt": 1_500_000,
             "a b+c.txt": 10, "déjà.md": 20, "one": 1}
    sizes.update({f"shards/{i:02}.json": 100 + i for i in range(30)})
    for name, size in sizes.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(rng.randbytes(size))


def control(url, method, name, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}/_fake/{name}", data=data, method=method)
    with urllib.request.urlopen(request, timeout=20) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def check_log(entries):
    assert entries, "nothing was asked"
    cdn = [e for e in entries if e["server"] == "cdn"]
    assert any(e["status"] == 206 for e in cdn) and any(e["status"] == 200 for e in cdn)
    assert not any(e["authorization"] for e in cdn), "the client sent its token to the storage host"
    assert any(e["path"].startswith("/api/resolve-cache/") for e in entries)
    assert {302, 307} <= {e["status"] for e in entries if "/resolve/" in e["path"]}
    assert any("cursor=" in e["query"] for e in entries), "no second page was asked for"
    assert any(e["method"] == "POST" and "/paths-info/" in e["path"] for e in entries)


def main():
    install()
    with tempfile.TemporaryDirectory() as temporary:
        root = pathlib.Path(temporary) / "files"
        write_files(root)
        command = [fake_hub, "--repo", f"lab/public={root}", "--repo", f"lab/old-name={root}", "--repo",
                   f"lab/private={root}", "--dataset", f"lab/data={root}", "--space", f"lab/space={root}",
                   "--token", "hf_test", "--page-size", "9", "--lfs-min", "1000000", "--log", f"{temporary}/log"]
        fake = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            line = fake.stdout.readline()
            url = re.fullmatch(r"fake hub ready at (http://127\.0\.0\.1:\d+)\n", line)[1]
            control(url, "POST", "repository", {"repo": "lab/private", "private": True})
            control(url, "POST", "repository", {"repo": "lab/old-name", "rename_to": "lab/new-name"})
            subprocess.run(["node", client, url, str(root), f"{temporary}/cache", str(work)], check=True, timeout=120,
                           env={**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"})
            entries = control(url, "GET", "log")
            check_log(entries)
        finally:
            fake.terminate()
            code = fake.wait(20)
        assert code == 0, f"the stand-in ended with {code}"
        lines = pathlib.Path(f"{temporary}/log").read_text().splitlines()
        assert len(lines) == len(entries), (len(lines), len(entries))
        print(f"{len(entries)} requests")


main()
