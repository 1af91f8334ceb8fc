#!/usr/bin/env python3
"""Proves the stand-in for the Azure Blob service with the real client, and bdn with the vendor's emulator.

usage: azure_npm_test.py BUILD_DIRECTORY CLIENT_MJS EMULATOR_MJS WORK_DIRECTORY

Installs npm's @azure/storage-blob and azurite once into WORK_DIRECTORY. First the client lists and reads everything
that the stand-in serves, with every kind of credential. Then bdn lists what the client stored in azurite, which
verifies signatures and SAS tokens by code of its own."""
import base64, json, os, pathlib, random, re, socket, subprocess, sys, tempfile, time

VERSIONS = {"@azure/storage-blob": "12.32.0", "azurite": "3.35.0"}
build, client, emulator, work = (pathlib.Path(a).resolve() for a in sys.argv[1:5])
KEY = base64.b64encode(b"a key of thirty-two bytes or so.").decode()
# The published account and key of the emulator.
EMULATOR_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
LOCAL = {**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}


def install():
    def installed(name):
        package = work / "node_modules" / name / "package.json"
        return package.exists() and json.loads(package.read_text())["version"] == VERSIONS[name]

    if all(installed(name) for name in VERSIONS):
        return
    work.mkdir(parents=True, exist_ok=True)
    subprocess.run(["npm", "install", "--prefix", str(work), "--no-audit", "--no-fund", "--no-save", "--ignore-scripts",
                    "--no-package-lock", *(f"{n}@{v}" for n, v in VERSIONS.items())], check=True, timeout=360)


def write_files(root):
    rng = random.Random(7)
    sizes = {"config.json": 700, "model.safetensors": 3_000_001, "empty": 0, "a b+c%2B.txt": 10, "déjà/vü": 20,
             "q#&=;'.txt": 30}
    sizes.update({f"shards/{i:02}.json": 100 + i for i in range(30)})
    for name, size in sizes.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(rng.randbytes(size))
    return sizes


def prove_the_stand_in(temporary, root):
    fake = subprocess.Popen([build / "bdn-fake-azure", "--account", f"acme={KEY}", "--container", f"acme/models={root}"],
                            stdout=subprocess.PIPE, text=True)
    try:
        url = re.fullmatch(r"fake azure ready at (http://127\.0\.0\.1:\d+)\n", fake.stdout.readline())[1]
        subprocess.run(["node", client, url, str(root), str(work), KEY], check=True, timeout=120, env=LOCAL)
    finally:
        fake.terminate()
        code = fake.wait(20)
    assert code == 0, f"the stand-in ended with {code}"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def bdn_ls(url, secret, temporary, path="w"):
    file = pathlib.Path(temporary) / "secret"
    file.write_text(secret)
    return subprocess.run(
        [build / "bdn", "ls", f"azure://devstoreaccount1/models/{path}", "--token-file", file, "--json"], text=True,
        capture_output=True, timeout=60, env={**LOCAL, "AZURE_STORAGE_BLOB_ENDPOINT": url, "HOME": str(temporary)})


def check_with_the_emulator(temporary, root, sizes):
    port = free_port()
    log = open(f"{temporary}/azurite.log", "wb")
    server = subprocess.Popen(
        ["node", work / "node_modules/azurite/dist/src/blob/main.js", "--blobHost", "127.0.0.1", "--blobPort", str(port),
         "--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck"], stdout=log, stderr=log, cwd=temporary)
    try:
        deadline = time.monotonic() + 30
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert server.poll() is None and time.monotonic() < deadline, pathlib.Path(log.name).read_text()
            time.sleep(0.05)
        url = f"http://127.0.0.1:{port}"
        made = subprocess.run(["node", emulator, url, str(root), str(work), EMULATOR_KEY], check=True, timeout=120,
                              env=LOCAL, capture_output=True, text=True)
        sas = json.loads(made.stdout)
        good = [json.dumps({"azure_account_key": EMULATOR_KEY}), EMULATOR_KEY, sas["rl"], "?" + sas["account"],
                f"AccountName=devstoreaccount1;AccountKey={EMULATOR_KEY}"]
        for secret in good:
            done = bdn_ls(url, secret, temporary)
            assert done.returncode == 0, done.stderr
            files = json.loads(done.stdout)["files"]
            assert {f["path"]: f["size"] for f in files} == {**sizes, "cold.bin": 4}
            assert [f["path"] for f in files if "problem" in f] == ["cold.bin"]
        bad = {sas["r"]: "AuthorizationPermissionMismatch", sas["ended"]: "ended at",
               json.dumps({"azure_account_key": KEY}): "HTTP 403"}
        for secret, message in bad.items():
            done = bdn_ls(url, secret, temporary)
            assert done.returncode != 0 and message in done.stderr, done.stderr
            assert "sig=" not in done.stderr
        done = bdn_ls(url, sas["rl"], temporary, "w/config.json")
        assert [f["path"] for f in json.loads(done.stdout)["files"]] == ["config.json"], done.stderr
    finally:
        server.terminate()
        server.wait(20)


def main():
    install()
    with tempfile.TemporaryDirectory() as temporary:
        root = pathlib.Path(temporary) / "files"
        sizes = write_files(root)
        prove_the_stand_in(temporary, root)
        check_with_the_emulator(temporary, root, sizes)


main()
