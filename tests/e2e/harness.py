"""What the end-to-end tests drive: the real programs, their directories and their traffic."""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import random
import re
import signal
import struct
import subprocess
import time
import urllib.request

BUILD_DIR = pathlib.Path(os.environ.get("BDN_BUILD_DIR", "build/debug")).resolve()
BDN = BUILD_DIR / "bdn"
HUB = BUILD_DIR / "bdn-fake-hub"
KILL_AT = BUILD_DIR / "libbdn_kill_at.so"
CHUNK = 16 << 20  # bytes of a chunk, docs/formats
MIB = 1 << 20
REPO = "acme/tiny"
EVERY = os.environ.get("BDN_E2E_EVERY") == "1"  # every kill point, not a sample


def wait_until(condition, seconds=30, what="the condition"):
    """Polls until `condition` returns something true, and returns that."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {seconds} s")
        time.sleep(0.02)


# --- files ---


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(MIB):
            digest.update(block)
    return digest.hexdigest()


def tree_of(root):
    """Relative path → (size, sha256) of every file, and the relative paths of all directories."""
    root = pathlib.Path(root)
    files, directories = {}, set()
    for path in root.rglob("*"):
        name = str(path.relative_to(root))
        if path.is_dir():
            directories.add(name)
        else:
            files[name] = (path.stat().st_size, sha256(path))
    return files, directories


def write_safetensors(path, data, seed_name="weight"):
    """A real safetensors file of one byte tensor: length of the header, header, data."""
    header = json.dumps(
        {seed_name: {"dtype": "U8", "shape": [len(data)], "data_offsets": [0, len(data)]}}
    ).encode()
    header += b" " * (-len(header) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)


def pseudo_random(size, seed):
    return random.Random(seed).randbytes(size)


def make_model(root, big=40 * MIB, seed=1):
    """A repository with nested folders, a file of several chunks, an empty one and odd names."""
    root = pathlib.Path(root)
    root.mkdir(parents=True, exist_ok=True)
    (root / "config.json").write_text('{"model_type": "tiny"}\n')
    (root / "empty.txt").write_bytes(b"")
    write_safetensors(root / "model.safetensors", pseudo_random(big, seed))
    write_safetensors(root / "unet/blocks/0/part.safetensors", pseudo_random(300_000, seed + 1))
    write_safetensors(root / "unet/blocks/1/part.safetensors", pseudo_random(300_000, seed + 2))
    odd = root / "odd names"
    odd.mkdir()
    for name in ["ünï cödé.txt", "100%41+&=?#.txt", "'quoted\".txt", "模型.json", "..almost", "a\\b"]:
        (odd / name).write_text(name)
    return root


def make_small_model(root, seed=1):
    root = pathlib.Path(root)
    root.mkdir(parents=True, exist_ok=True)
    (root / "config.json").write_text(f'{{"model_type": "tiny", "seed": {seed}}}\n')
    write_safetensors(root / "model.safetensors", pseudo_random(200_000, seed))
    write_safetensors(root / "text/encoder.safetensors", pseudo_random(100_000, seed + 1))
    return root


def inodes(root):
    """Inode → allocated names, of the regular files below `root`."""
    found = {}
    for path in pathlib.Path(root).rglob("*"):
        if path.is_file() and not path.is_symlink():
            found.setdefault(path.stat().st_ino, []).append(path)
    return found


def mount_points():
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        return [line.split()[4] for line in file]


def write_config(directory, weights, **rest):
    """A config.yaml; JSON is YAML, so json.dumps writes it."""
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.yaml").write_text(json.dumps({"weights": weights, **rest}, indent=1))
    return directory


# --- processes ---


@dataclasses.dataclass
class Done:
    code: int
    out: str
    err: str

    def json(self):
        return json.loads(self.out)

    def __str__(self):
        return f"exit {self.code}\n--- out\n{self.out}\n--- err\n{self.err}"


class Process:
    """A program in a session of its own; its output goes to a file and is kept."""

    def __init__(self, argv, log, env=None, cwd=None):
        self.log = pathlib.Path(log)
        self.argv = [str(a) for a in argv]
        with open(self.log, "ab") as out:
            self.popen = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, cwd=cwd,
                start_new_session=True,
            )

    @property
    def pid(self):
        return self.popen.pid

    def text(self):
        return self.log.read_text(errors="replace")

    def wait_for(self, pattern, seconds=30):
        """The match of `pattern` in the output; fails when the program ends before."""

        def look():
            match = re.search(pattern, self.text())
            if not match and self.popen.poll() is not None:
                match = re.search(pattern, self.text())
                assert match, f"{self.argv} ended with {self.popen.returncode}:\n{self.text()}"
            return match

        return wait_until(look, seconds, f"{pattern!r} in the output of {self.argv[:2]}")

    def wait(self, seconds=30):
        return self.popen.wait(seconds)

    def signal(self, number):
        self.popen.send_signal(number)

    def kill(self):
        self.popen.kill()
        return self.popen.wait()

    def stop(self, seconds=20):
        """An orderly end, else the whole session is killed."""
        if self.popen.poll() is None:
            self.popen.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(seconds)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()
        return self.popen.returncode


class FakeHub:
    """bdn-fake-hub over directories."""

    def __init__(self, work, repositories, *options):
        argv = [HUB, *options]
        for name, directory in repositories.items():
            argv += ["--repo", f"{name}={directory}"]
        self.process = Process(argv, work / "hub.log")
        self.url = self.process.wait_for(r"fake hub ready at (\S+)")[1]

    def _call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.url}/_fake/{path}", data=data, method=method,
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def log(self):
        return self._call("GET", "log")

    def clear_log(self):
        self._call("DELETE", "log")

    def commit(self, directory=None, repo=REPO, **rest):
        body = {"repo": repo, **rest}
        if directory is not None:
            body["dir"] = str(directory)
        return self._call("POST", "commit", body)["sha"]

    def throttle(self, bytes_per_second):
        self._call("POST", "throttle", {"bytes_per_second": bytes_per_second})

    def fault(self, **fault):
        self._call("POST", "faults", fault)

    def content(self):
        """The log entries that carried bytes of files: of the storage host or of /resolve/."""
        return [
            e for e in self.log()
            if e["method"] == "GET" and e["status"] in (200, 206)
            and (e["server"] == "cdn" or re.search("/(resolve|resolve-cache|raw)/", e["path"]))
        ]

    def asked_files(self):
        """The paths in the repository of every file that was asked for."""
        found = set()
        for e in self.log():
            match = re.search(r"/resolve/[^/]+/(.*)", e["path"])
            if match:
                found.add(urllib.request.unquote(match[1]))
        return found

    def stop(self):
        self.process.stop()


class Killer:
    """Counts the calls of a program that change files, and kills it before the n-th (kill_at.cc)."""

    CALLS_MAX = 1 << 20

    def __init__(self, file, number=None):
        self.file = pathlib.Path(file)
        with open(self.file, "wb") as counter:
            counter.truncate(8 + self.CALLS_MAX)
        self.env = {"LD_PRELOAD": str(KILL_AT), "BDN_KILL_COUNTER": str(self.file)}
        if number is not None:
            self.env["BDN_KILL_AT"] = str(number)

    def kinds(self):
        """A letter for each call so far."""
        with open(self.file, "rb") as counter:
            count = struct.unpack("<Q", counter.read(8))[0]
            return counter.read(min(count, self.CALLS_MAX)).decode()


class Node:
    """One data directory with `bdn up` on it, and the commands of its user."""

    def __init__(self, work, hub_url, role="up", name="node", options=(), listen="127.0.0.1:0"):
        self.work = pathlib.Path(work) / name
        self.work.mkdir(parents=True, exist_ok=True)
        self.role = role
        self.data = self.work / "data"
        self.options = [role, "--data", self.data, "--listen", listen, *options]
        if hub_url:
            self.options += ["--hf-endpoint", hub_url]
        self.env = {
            "PATH": f"{BUILD_DIR}:{os.environ['PATH']}",
            "HOME": str(self.work),
            "XDG_CONFIG_HOME": str(self.work / "config"),
            "BDN_DATA": str(self.data),
            "LANG": "C.UTF-8",
        }
        self.process = None
        self.url = None
        self.starts = 0
        self.others = []

    def launch(self, prefix=(), env=None):
        """Starts the daemon; does not wait until it is ready."""
        self.starts += 1
        log = self.work / f"{self.role}-{self.starts}.log"
        self.process = Process([*prefix, BDN, *self.options], log, {**self.env, **(env or {})})
        return self.process

    def start(self, **launch):
        self.launch(**launch)
        self.url = self.process.wait_for(r"bdn (?:agent )?is ready at (\S+)")[1]
        return self

    def bdn(self, *args, stdin=None, env=None, timeout=60, cwd=None, prefix=()):
        argv = [str(a) for a in (*prefix, BDN, *args)]
        done = subprocess.run(
            argv, input=stdin, capture_output=True, text=True, timeout=timeout, cwd=cwd,
            env={**self.env, **(env or {})}, errors="replace",
            **({} if stdin is not None else {"stdin": subprocess.DEVNULL}),
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def ok(self, *args, **options):
        done = self.bdn(*args, **options)
        assert done.code == 0, f"bdn {args}: {done}\n--- log\n{self.process and self.process.text()}"
        return done

    def spawn(self, *args, env=None, prefix=()):
        """A command of bdn that keeps running."""
        log = self.work / f"spawned-{len(self.others)}.log"
        process = Process([*prefix, BDN, *args], log, {**self.env, **(env or {})})
        self.others.append(process)
        return process

    def push(self, config, *options, **run):
        return self.ok("push", config, "--json", *options, **run).json()

    def status(self, deployment):
        return self.ok("status", deployment, "--json").json()

    def get(self, path):
        """One GET of the control plane's API, without the cost of a process."""
        client = json.loads((self.data / "client.json").read_text())
        request = urllib.request.Request(
            client["url"] + path, headers={"Authorization": "Bearer " + client["api_key"]})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read())

    def object_count(self):
        return sum(1 for p in (self.data / "origin").rglob("*") if p.is_file())

    def leftovers(self):
        """Temporary and half-made things below the data directory."""
        found = []
        for part in ("origin", "cache", "agent"):
            for path in (self.data / part).rglob("*"):
                parts = path.relative_to(self.data).parts
                if path.is_file() and ("tmp" in parts or "partial" in parts or ".tmp" in path.name):
                    found.append(str(path.relative_to(self.data)))
        return sorted(found)

    def stop(self):
        for process in self.others:
            process.stop()
        if self.process:
            return self.process.stop()
        return None


def deployment_id(pushed):
    return pushed.get("deployment_id") or pushed["id"]
