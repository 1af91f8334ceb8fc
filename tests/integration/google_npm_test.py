#!/usr/bin/env python3
"""Proves the stand-in for Google with Google's own clients, npm's @google-cloud/storage and google-auth-library.

usage: google_npm_test.py FAKE_GOOGLE CLIENT_MJS WORK_DIRECTORY

Installs the clients once into WORK_DIRECTORY, serves a directory of random files as a bucket, lets the clients get tokens by
a service account's key and by Workload Identity Federation, list, read ranges and compare all bytes, then looks at
what was asked of the stand-in."""
import http.server, json, os, pathlib, random, re, subprocess, sys, tempfile, threading, urllib.request

VERSIONS = {"@google-cloud/storage": "7.19.0", "google-auth-library": "9.15.1"}
PROVIDER = "projects/123456789/locations/global/workloadIdentityPools/pool/providers/bdn"
READER = "reader@fake-project.iam.gserviceaccount.com"
fake_google, client, work = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3]).resolve()


def install():
    def there(name):
        package = work / "node_modules" / name / "package.json"
        return package.exists() and json.loads(package.read_text())["version"] == VERSIONS[name]
    if all(there(name) for name in VERSIONS):
        return
    work.mkdir(parents=True, exist_ok=True)
    subprocess.run(["npm", "install", "--prefix", str(work), "--no-audit", "--no-fund", "--no-save", "--ignore-scripts",
                    "--no-package-lock", *(f"{n}@{v}" for n, v in VERSIONS.items())], check=True, timeout=240)


def write_files(root):
    """Small and large, plain and odd names; more than a page of them."""
    rng = random.Random(7)
    sizes = {"config.json": 700, "model.safetensors": 3_000_001, "a b+c#d?e%41.txt": 10, "déjà/vu.md": 20, "one": 1, "empty": 0}
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


def serve_issuer(directory):
    """An OIDC issuer whose documents the client writes; returns its address."""
    handler = lambda *args: http.server.SimpleHTTPRequestHandler(*args, directory=str(directory))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def check_log(entries):
    assert entries, "nothing was asked"
    by = {part: [e for e in entries if e["server"] == part] for part in ("storage", "oauth2", "sts", "iam")}
    assert all(by.values()), {part: len(found) for part, found in by.items()}
    assert not any(e["authorization"] for e in by["sts"] + by["oauth2"])
    assert all(e["authorization"] for e in by["iam"])
    assert any("pageToken=" in e["query"] for e in by["storage"]), "no second page was asked for"
    assert any(e["status"] == 206 for e in by["storage"])
    assert any(e["path"].endswith("/o/a%20b%2Bc%23d%3Fe%2541.txt") for e in by["storage"])
    assert {400, 401, 403, 404} <= {e["status"] for e in entries}


def main():
    install()
    with tempfile.TemporaryDirectory() as temporary:
        root, issuer_root = pathlib.Path(temporary) / "files", pathlib.Path(temporary) / "issuer"
        (issuer_root / ".well-known").mkdir(parents=True)
        write_files(root)
        issuer = serve_issuer(issuer_root)
        fake = subprocess.Popen([fake_google, "--bucket", f"weights={root}", "--page-size", "9", "--log", f"{temporary}/log"],
                                stdout=subprocess.PIPE, text=True)
        try:
            line = fake.stdout.readline()
            url = re.fullmatch(r"fake google ready at (http://127\.0\.0\.1:\d+)\n", line)[1]
            control(url, "POST", "provider", {"name": PROVIDER, "issuer": issuer, "subject_prefix": "v=1:org=lab:"})
            key = control(url, "POST", "account", {"email": READER, "bind": PROVIDER})
            other = control(url, "POST", "account", {"email": "other@fake-project.iam.gserviceaccount.com"})
            control(url, "POST", "bucket", {"bucket": "closed", "readers": ["nobody@x"]})
            control(url, "POST", "bucket", {"bucket": "paid", "requester_pays": True})
            text = '{"compressed": "' + "x" * 5000 + '"}'
            control(url, "POST", "objects", {"bucket": "weights", "name": "zipped.json", "text": text, "gzip": True})
            control(url, "POST", "objects", {"bucket": "weights", "name": "zcomposed", "text": "parts", "composed": True})
            setup = {"url": url, "directory": str(root), "package": str(work), "key": key, "other": other, "issuer": issuer,
                     "issuerDirectory": str(issuer_root), "provider": PROVIDER, "reader": READER, "zipped": text,
                     "scratch": temporary}
            (pathlib.Path(temporary) / "setup.json").write_text(json.dumps(setup))
            subprocess.run(["node", client, f"{temporary}/setup.json"], check=True, timeout=120,
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
