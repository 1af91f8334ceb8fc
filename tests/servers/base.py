"""What the servers of other projects have in common that tests start: processes that end with the test."""

import contextlib
import ctypes
import os
import pathlib
import signal
import socket
import subprocess
import time

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


class StartError(Exception):
    """A server did not come up; the text has the end of its output."""


def free_ports(count):
    """Ports of 127.0.0.1 that nobody listens on. Somebody may take one before the server does: then
    the server says so, and `started` tries again with others."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def answers(port, seconds=0.2):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), seconds):
        return True
    return False


class Cluster:
    """Daemons in one directory, in the order in which they were started."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.daemons = []

    def env(self):
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "CEPH_", "BDN_"))}
        return {**keep, "LC_ALL": "C.UTF-8"}

    def spawn(self, name, *argv):
        """A daemon in the foreground; it also dies when this process is killed."""
        with open(self.directory / f"{name}.out", "ab") as out:
            daemon = subprocess.Popen(
                [str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=self.env(),
                cwd=self.directory, preexec_fn=lambda: _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL))
        self.daemons.append((name, daemon))
        return daemon

    def run(self, *argv, seconds=30, check=True):
        """The standard output of a command that ends."""
        try:
            done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=seconds,
                                  env=self.env(), cwd=self.directory, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired as late:
            raise StartError(f"{argv[0]} took more than {seconds} s\n{self.tails()}") from late
        if check and done.returncode:
            raise StartError(f"{' '.join(map(str, argv))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def wait_until(self, ready, seconds, what):
        """Polls `ready` until it is true; fails at the deadline or when a daemon has ended."""
        deadline = time.monotonic() + seconds
        while not ready():
            for name, daemon in self.daemons:
                if daemon.poll() is not None:
                    raise StartError(f"{name} ended with {daemon.returncode} before {what}\n{self.tails()}")
            if time.monotonic() > deadline:
                raise StartError(f"{what} took more than {seconds} s\n{self.tails()}")
            time.sleep(0.05)

    def tails(self):
        texts = []
        for path in sorted(self.directory.glob("*.out")) + sorted(self.directory.glob("*.log")):
            texts.append(f"--- {path.name}\n{path.read_text(errors='replace')[-1500:]}")
        return "\n".join(texts)

    def stop(self):
        """Ends the daemons at once: nobody reads their data again, and an orderly end takes seconds."""
        for _, daemon in reversed(self.daemons):
            daemon.kill()
        for _, daemon in self.daemons:
            daemon.wait()
        self.daemons.clear()


def started(make, tries=3):
    """`make()` gives a server that is up. Another program may be faster in taking a port, so a start
    that fails is tried again, with other ports and another directory."""
    for left in range(tries - 1, -1, -1):
        try:
            return make()
        except StartError:
            if not left:
                raise
    return None
