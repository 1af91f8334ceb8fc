"""What the benches share: a bdn of their own, measured commands, medians and tables.

Every measurement runs real programs. CPU seconds of a command are those of the command and all of
its children; those of a server are read from /proc before and after, so that its work counts too.
"""
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

MIB = 1 << 20
QUIET_LOAD = 3.0
TICKS = os.sysconf("SC_CLK_TCK")


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def wait_until_quiet():
    """Other work on the machine falsifies figures: waits for it to end, but not for ever."""
    end = time.monotonic() + float(os.environ.get("BENCH_WAIT_SECONDS", "60"))
    while os.getloadavg()[0] >= QUIET_LOAD and time.monotonic() < end:
        time.sleep(3)
    return os.getloadavg()[0]


def cpu_of(pid):
    """User and system seconds of a process so far, with all of its threads."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def run(command, env=None, cwd=None, servers=()):
    """Runs a command to its end: (wall seconds, CPU seconds, standard output)."""
    before = [cpu_of(pid) for pid in servers]
    started = time.monotonic()
    with tempfile.TemporaryFile() as out:
        child = subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, env=env, cwd=cwd)
        errors = child.stderr.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - started
        out.seek(0)
        text = out.read().decode(errors="replace")
    if child.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} ended with {child.returncode}:\n"
                 f"{errors.decode(errors='replace')[-2000:]}{text[-2000:]}")
    cpu = usage.ru_utime + usage.ru_stime
    cpu += sum(cpu_of(pid) - b for pid, b in zip(servers, before))
    return wall, cpu, text


def sync(directory):
    """Makes what was written durable, so that no round pays for the one before it."""
    return run(["sync", "-f", str(directory)])[0]


def remove(path):
    shutil.rmtree(path, ignore_errors=True)


def fill_file(path, size):
    """Random bytes: nothing on the way can compress them or find them twice."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        for at in range(0, size, MIB):
            file.write(os.urandom(min(MIB, size - at)))


class Server:
    """A server program that says a line with its address when it is ready."""

    def __init__(self, command, ready, env=None):
        self.child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                      env=env, text=True)
        for line in self.child.stdout:
            if ready in line:
                self.url = next(w for w in line.split() if w.startswith("http")).rstrip("/")
                return
        sys.exit(f"{command[0]} did not start:\n{self.child.stderr.read()[-2000:]}")

    @property
    def pid(self):
        return self.child.pid

    def stop(self):
        self.child.send_signal(signal.SIGTERM)
        self.child.communicate()


class Bdn(Server):
    """`bdn up` on a data directory, and commands against it; nothing outside of `home` changes."""

    def __init__(self, build, home, hub=None, options=(), env=None):
        self.program = str(pathlib.Path(build) / "bdn")
        if not os.path.exists(self.program):
            self.program = str(next(pathlib.Path(build).glob("**/bdn")))
        self.home = pathlib.Path(home)
        self.home.mkdir(parents=True, exist_ok=True)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("BDN_", "HF_"))}
        self.env |= {"HOME": str(self.home), "XDG_CONFIG_HOME": str(self.home / "config"),
                     "BDN_DATA": str(self.home / "data"), "NO_COLOR": "1", **(env or {})}
        command = [self.program, "up", "--data", str(self.home / "data"), "--listen",
                   "127.0.0.1:0", *options]
        if hub:
            command += ["--hf-endpoint", hub, "--allow-private", "127.0.0.0/8"]
        super().__init__(command, "bdn is ready", self.env)

    def __call__(self, *words):
        """A command of the CLI: (wall seconds, CPU seconds of client and server, output)."""
        return run([self.program, *map(str, words)], env=self.env, servers=[self.pid])


def make_deployment(directory, source, location="/models/bench"):
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.yaml").write_text(
        "model_name: bench\n"
        "docker_server:\n  start_command: /bin/true\n  server_port: 8000\n"
        "  predict_endpoint: /\n  readiness_endpoint: /\n  liveness_endpoint: /\n"
        f"weights:\n  - source: {source}\n    mount_location: {location}\n")
    return directory


def find(build, name):
    for path in pathlib.Path(build).glob(f"**/{name}"):
        if path.is_file() and os.access(path, os.X_OK):
            return str(path)
    sys.exit(f"{name} is not in {build}: build it first (cmake --build --preset release)")


class Results:
    """Rounds of named measurements; prints medians, and keeps rows for run.sh's table."""

    def __init__(self, bench):
        self.bench = bench
        self.rounds = {}

    def add(self, name, **values):
        self.rounds.setdefault(name, []).append(values)

    def median(self, name, key):
        return statistics.median(r[key] for r in self.rounds[name])

    def spread(self, name, key):
        values = [r[key] for r in self.rounds[name]]
        return min(values), max(values)


def row(bench, case, value, remark=""):
    """One line of the table: tab-separated on standard output."""
    print("\t".join((bench, case, value, remark)), flush=True)


def machine():
    model = next((l.split(":", 1)[1].strip() for l in open("/proc/cpuinfo") if "model name" in l), "?")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return (f"{os.cpu_count()} CPUs ({model}), {memory:.0f} GiB, Linux {os.uname().release}, "
            f"load {os.getloadavg()[0]:.1f}, {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC")


def read_json(text):
    return json.loads(text)
