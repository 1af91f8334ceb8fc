"""bdn migrate as a person meets it: colours and prompts on a real terminal, sources listed for changed
patterns, and places where nothing can be written."""

import contextlib
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import time

import pytest
from harness import BDN, Done

OLD = """# kept
model_name: m
model_cache:
  - repo_id: acme/pipeline
    revision: main
    use_volume: true
    volume_folder: pipe
    allow_patterns: ["*.json", "*.safetensors"]
    ignore_patterns:
      - "*/old.bin"  # why
      - README.md
"""
FILES = ["model_index.json", "README.md", "unet/config.json", "unet/a.safetensors", "vae/config.json",
         "unet/x/old.bin", "vae/old.bin"]


class Tty:
    """bdn on a pseudo terminal of its own, as the leader of a session."""

    def __init__(self, *args, **env):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            base = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "TERM": "xterm"}
            os.execve(BDN, [str(BDN), *map(str, args)], {**base, **env})
        self.text = ""

    def read_until(self, pattern, seconds=20):
        deadline = time.monotonic() + seconds
        while not re.search(pattern, self.text):
            ready, _, _ = select.select([self.fd], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"{pattern!r} is not in {self.text!r}"
            try:
                part = os.read(self.fd, 65536)
            except OSError:  # the other end closed
                part = b""
            assert part, f"{pattern!r} is not in {self.text!r}"
            self.text += part.decode()

    def send(self, text):
        os.write(self.fd, text.encode())

    def end(self):
        with contextlib.suppress(OSError):
            while part := os.read(self.fd, 65536):
                self.text += part.decode()
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def bdn(*args, stdin="", **env):
    done = subprocess.run(
        [str(BDN), *map(str, args)], input=stdin, capture_output=True, text=True, timeout=60,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **env}, check=False)
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def truss(work):
    directory = work / "truss"
    directory.mkdir()
    (directory / "config.yaml").write_text(OLD)
    return directory


@pytest.fixture
def hub(start, work):
    root = work / "pipeline"
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return start.hub({"acme/pipeline": root})


def names(directory):
    return sorted(p.name for p in directory.iterdir())


def test_a_terminal_gets_a_coloured_diff_and_a_prompt(truss):
    tty = Tty("migrate", truss, "--offline")
    tty.read_until(r"rewritten\]: ")
    assert "\x1b[31m-model_cache:\x1b[0m\r\n" in tty.text
    assert "\x1b[32m+weights:\x1b[0m\r\n" in tty.text
    assert "\x1b[1m--- config.yaml\x1b[0m" in tty.text and "\x1b[33mwarning:\x1b[0m" in tty.text
    tty.send("y\n")
    assert tty.end() == 0
    assert "Migration complete!" in tty.text
    assert "hf://acme/pipeline@main" in (truss / "config.yaml").read_text()


@pytest.mark.parametrize("how", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, "--no-color"])
def test_no_colours_when_they_are_not_wanted(truss, how):
    options = [how] if isinstance(how, str) else []
    tty = Tty("migrate", truss, "--offline", "--dry-run", *options, **({} if options else how))
    assert tty.end() == 0 and "\x1b" not in tty.text


def test_escape_sequences_of_files_do_not_reach_the_terminal(truss):
    (truss / "config.yaml").write_text(OLD + 'x: "a\x1b[2Jb"\n'.replace("\x1b", "\\e"))
    (truss / "evil\x1b[2J.py").write_text("x = '/app/model_cache/other'\n")
    tty = Tty("migrate", truss, "--offline", "--dry-run")
    tty.end()
    assert "\x1b[2J" not in tty.text and "evil\\x1b[2J.py:1" in tty.text


def test_the_patterns_are_rewritten_on_request(truss, hub):
    tty = Tty("migrate", truss, HF_ENDPOINT=hub.url)
    tty.read_until(r"rewritten\]: ")
    tty.send("what\n")
    tty.read_until(r"invalid input(?s:.*)rewritten\]: ")
    tty.send("r\n")
    tty.read_until(r"\[y/N\]: ")
    assert "\x1b[32m+    allow_patterns: [\"**/*.json\", \"**/*.safetensors\"]" in tty.text
    tty.send("y\n")
    assert tty.end() == 0
    text = (truss / "config.yaml").read_text()
    assert text == """# kept
model_name: m
weights:
  # why
  - source: hf://acme/pipeline@main
    mount_location: /app/model_cache/pipe
    auth:
      auth_method: CUSTOM_SECRET
      auth_secret_name: hf_access_token
    allow_patterns: ["**/*.json", "**/*.safetensors"]
    ignore_patterns:
      - "*/**/old.bin"
      - README.md
"""


@pytest.mark.parametrize("key, code", [("\x03", 130), ("\x04", 1), ("n\n", 0), ("\n", 0), ("r\nn\n", 0), ("r\n\x03", 130)])
def test_whatever_is_not_yes_changes_nothing(truss, key, code):
    tty = Tty("migrate", truss, "--offline")
    tty.read_until(r"rewritten\]: ")
    for part in re.split("(?<=\n)", key):
        tty.send(part)
        time.sleep(0.3)
    assert tty.end() == code, tty.text
    assert (truss / "config.yaml").read_text() == OLD and names(truss) == ["config.yaml"]


def test_a_signal_while_a_source_hangs_ends_at_once(truss):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        begun = time.monotonic()
        running = subprocess.Popen(
            [str(BDN), "migrate", str(truss)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], "HOME": "/nonexistent",
                 "HF_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}"})
        time.sleep(0.5)
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=10)
        assert running.returncode == 130 and time.monotonic() - begun < 6
    assert names(truss) == ["config.yaml"]


# --- which files change ---


def test_changed_patterns_come_with_the_files_of_the_source(truss, hub):
    done = bdn("migrate", truss, "--dry-run", HF_ENDPOINT=hub.url)
    assert done.code == 0, done
    assert "the pattern '*.json' changes its meaning" in done.err
    assert "    of hf://acme/pipeline@main\n    no longer selected (2): unet/config.json, vae/config.json\n" in done.err
    assert "    still selected (1): model_index.json\n" in done.err
    assert "    no longer left out (1): unet/x/old.bin\n    still left out (1): vae/old.bin\n" in done.err
    assert "README.md' changes" not in done.err
    answer = bdn("migrate", truss, "--dry-run", "--json", HF_ENDPOINT=hub.url).json()
    first = answer["warnings"][0]["pattern"]
    assert first == {
        "source": "hf://acme/pipeline@main", "list": "allow_patterns", "pattern": "*.json", "offer": ["**/*.json"],
        "rewritten": False, "listed": True, "not_listed": None, "kept": ["model_index.json"],
        "lost": ["unet/config.json", "vae/config.json"], "gained": []}


def test_rewritten_patterns_select_what_the_old_ones_did(truss, hub):
    answer = bdn("migrate", truss, "--yes", "--rewrite-patterns", "--json", HF_ENDPOINT=hub.url).json()
    patterns = [w["pattern"] for w in answer["warnings"] if w["pattern"]]
    assert len(patterns) == 3
    for p in patterns:
        assert p["rewritten"] and p["listed"] and p["lost"] == p["gained"] == [] and p["kept"]
    assert '"**/*.json"' in (truss / "config.yaml").read_text()
    assert bdn("validate", truss).code == 0


def test_a_source_that_cannot_be_listed_is_said_and_waited_for_shortly(truss, hub):
    hub.stop()
    begun = time.monotonic()
    done = bdn("migrate", truss, "--yes", HF_ENDPOINT=hub.url)
    assert done.code == 0 and time.monotonic() - begun < 15
    assert "note: hf://acme/pipeline@main could not be listed: " in done.err
    assert "to select what it selected before, write '**/*.json'" in done.err


def test_offline_and_configs_without_such_patterns_contact_nothing(truss, hub):
    hub.clear_log()
    assert bdn("migrate", truss, "--dry-run", "--offline", HF_ENDPOINT=hub.url).code == 0
    (truss / "config.yaml").write_text(OLD.partition("    allow")[0])
    assert bdn("migrate", truss, "--yes", HF_ENDPOINT=hub.url).code == 0
    assert hub.log() == []


# --- places where it cannot write ---


def unchanged(truss, done, said):
    assert done.code == 1, done
    assert said in done.err and "Traceback" not in done.err, done
    assert (truss / "config.yaml").read_text() == OLD
    return True


def as_nobody(*args):
    """The command without root's rights, which would write anywhere."""
    if os.geteuid() != 0:
        return bdn(*args)
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", str(BDN), *map(str, args)], capture_output=True,
        text=True, timeout=30, stdin=subprocess.DEVNULL, env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"}, check=False)
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def open_way(work):
    """Directories above `work` that everybody may pass through, put back at the end."""
    changed = []
    for parent in work.parents:
        mode = parent.stat().st_mode & 0o7777
        if not mode & 0o001 and parent.stat().st_uid == os.geteuid():
            changed.append((parent, mode))
            parent.chmod(mode | 0o001)
    yield
    for parent, mode in changed:
        parent.chmod(mode)


def test_a_read_only_directory(truss, open_way):
    truss.chmod(0o555)
    assert unchanged(truss, as_nobody("migrate", truss, "--yes", "--offline"), "no backup could be made")
    assert names(truss) == ["config.yaml"]
    truss.chmod(0o755)


def test_an_unreadable_config(truss, open_way):
    (truss / "config.yaml").chmod(0o000)
    done = as_nobody("migrate", truss, "--yes", "--offline")
    assert done.code == 1 and "config.yaml" in done.err, done
    (truss / "config.yaml").chmod(0o644)


def test_a_full_disk_leaves_the_file_and_no_backup(work):
    disk = work / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=755", "tmpfs", str(disk)], check=True)
    try:
        (disk / "config.yaml").write_text(OLD)
        with contextlib.suppress(OSError), open(disk / "ballast", "wb", buffering=0) as ballast:
            while True:
                ballast.write(bytes(4096))
        assert unchanged(disk, bdn("migrate", disk, "--yes", "--offline"), "no backup could be made")
        assert names(disk) == ["ballast", "config.yaml"]
        # Room for the backup and not for the new file.
        with open(disk / "ballast", "r+b") as ballast:
            ballast.truncate(os.stat(disk / "ballast").st_size - 4096)
        assert unchanged(disk, bdn("migrate", disk, "--yes", "--offline"), "nothing is changed")
        assert names(disk) == ["ballast", "config.yaml"]
        (disk / "ballast").unlink()
        assert bdn("migrate", disk, "--yes", "--offline").code == 0
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


def test_a_symbolic_link_is_not_replaced(truss, work):
    (truss / "config.yaml").rename(work / "real.yaml")
    (truss / "config.yaml").symlink_to(work / "real.yaml")
    done = bdn("migrate", truss, "--yes", "--offline")
    assert done.code == 1 and f"is a symbolic link to {work}/real.yaml" in done.err, done
    assert (truss / "config.yaml").is_symlink() and (work / "real.yaml").read_text() == OLD
    # A linked directory is only another name of it.
    (truss / "config.yaml").unlink()
    (work / "real.yaml").rename(truss / "config.yaml")
    (work / "link").symlink_to(truss)
    assert bdn("migrate", work / "link", "--yes", "--offline").code == 0


def test_a_huge_file_and_no_directory(truss, work):
    (truss / "config.yaml").write_text(OLD + "#" * (1 << 20))
    done = bdn("migrate", truss, "--yes", "--offline")
    assert done.code == 1 and "config.yaml" in done.err and "1048576" in done.err, done
    for missing in (work / "nothing", work / "nothing" / "config.yaml"):
        done = bdn("migrate", missing)
        assert done.code == 1 and "No config.yaml found at" in done.err, done
    (work / "empty").mkdir()
    assert bdn("migrate", work / "empty").code == 1
    (truss / "config.yaml").unlink()
    (truss / "config.yaml").mkdir()
    done = bdn("migrate", truss)
    assert done.code == 1 and "config.yaml" in done.err


def test_answers_of_a_pipe_are_read_to_the_end_of_their_line_only(truss):
    done = subprocess.run(
        ["sh", "-c", '"$0" migrate "$1" --offline >/dev/null 2>&1; cat', str(BDN), str(truss)], input="n\nrest\n",
        capture_output=True, text=True, timeout=30, check=False, env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"})
    assert done.stdout == "rest\n"


def test_the_owner_of_the_file_stays(truss):
    os.chown(truss / "config.yaml", 12345, 23456)
    assert bdn("migrate", truss, "--yes", "--offline").code == 0
    info = os.stat(truss / "config.yaml")
    assert (info.st_uid, info.st_gid) == (12345, 23456)


def test_json_of_a_failure_is_json(truss):
    (truss / "config.yaml").write_text("model_cache: [{repo_id: a/b}]\n")
    answer = json.loads(bdn("migrate", truss, "--yes", "--json").out)
    assert answer["status"] == "refused" and answer["errors"][0]["loc"] == "model_cache.0.use_volume"
