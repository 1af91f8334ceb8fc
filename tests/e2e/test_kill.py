"""kill -9 of every process between any two steps: the next start makes it right."""

import collections
import concurrent.futures
import itertools
import re
import shutil
import signal
import subprocess
import urllib.error

import pytest
from harness import (
    CHUNK, MIB, REPO, FakeHub, Killer, Node, make_model, make_small_model, sample_of, sha256,
    tree_of, wait_until, write_config,
)

TOGETHER = 3  # kills under way at the same time
ONE_BY_ONE = ("--parallel", "1", "--mirrors", "1")


def sums_of(node, name, location):
    """sha256sum's lines of a deployment's files, seen by a command that runs on them."""
    return node.ok("run", name, "--", "sh", "-c",
                   f"cd {location} && find . -type f | sort | xargs sha256sum").out


def sums_of_directory(root):
    return "".join(
        f"{digest}  ./{name}\n" for name, (_, digest) in sorted(tree_of(root)[0].items()))


def wholly_fetched(hub):
    """How often each range of each content was sent to its end."""
    counts = collections.Counter()
    for e in hub.content():
        first, last = re.fullmatch(r"bytes=(\d+)-(\d+)", e["range"]).groups()
        if e["bytes"] == int(last) - int(first) + 1:
            counts[(e["path"], e["range"])] += 1
    return counts


def assert_clean(node, objects):
    """Whatever a kill left is found by garbage collection, and what is needed stays."""
    node.ok("gc", "--grace", "0")
    assert node.ok("gc", "--grace", "0", "--dry-run", "--json").json()["deleted"] == 0
    assert node.object_count() == objects
    assert node.leftovers() == []


def dies_or(node, condition):
    """Waits until the daemon is dead (True) or `condition` holds (False)."""

    def look():
        if node.process.popen.poll() is not None:
            return "dead"
        try:
            return "held" if condition() else None
        except (urllib.error.URLError, OSError, ValueError):
            return None

    return wait_until(look, 60, "the end of a kill's round") == "dead"


def start_or_die(node, killer):
    node.launch(env=killer.env)
    return dies_or(node, lambda: "is ready at" in node.process.text())


def all_active(node):
    deployments = node.get("/v1/deployments")["deployments"]
    return deployments and all(d["status"] == "ACTIVE" for d in deployments)


class Reference:
    """What an undisturbed run does and leaves."""

    def __init__(self, work, repo, location):
        self.work, self.repo, self.location = work, repo, location
        self.config = write_config(
            work / "model", [{"source": f"hf://{REPO}", "mount_location": str(location)}],
            model_name="m")
        self.sums = sums_of_directory(repo)
        self.bytes = sum(size for size, _ in tree_of(repo)[0].values())
        hub = FakeHub(self._sub("reference"), {REPO: repo})
        self.node = Node(work / "reference", hub.url, options=ONE_BY_ONE)
        try:
            killer = Killer(work / "reference" / "counter")
            self.node.start(env=killer.env)
            self.manifest = self.node.push(self.config, "--wait")["mounts"][0]["manifest"]
            self.mirror_kinds = killer.kinds()
            self.node.stop()
            self.mirrored = work / "mirrored"
            shutil.copytree(self.node.data, self.mirrored)
            killer = Killer(work / "reference" / "counter-fill")
            self.node.start(env=killer.env)
            assert sums_of(self.node, "m", location) == self.sums
            self.fill_kinds = killer.kinds()
            self.objects = self.node.object_count()
        finally:
            self.node.stop()
            hub.stop()

    def _sub(self, name):
        directory = self.work / name
        directory.mkdir()
        return directory

    def kill_mirror(self, number):
        """Kills `bdn up` before its call `number`; True when it came to that."""
        work = self._sub(f"mirror-{number}")
        hub = FakeHub(work, {REPO: self.repo})
        node = Node(work, hub.url, options=ONE_BY_ONE)
        try:
            dead = start_or_die(node, Killer(work / "counter", number))
            if not dead:
                node.bdn("push", self.config)
                dead = dies_or(node, lambda: all_active(node))
            code = node.stop()
            killed = code == -signal.SIGKILL
            assert killed or not dead, f"ended with {code}: {node.process.text()}"
            node.start()
            pushed = node.push(self.config, "--wait")
            assert pushed["mounts"][0]["manifest"] == self.manifest
            wait_until(lambda: all_active(node), 30, "every deployment that was pushed")
            # A small file is on record a moment after it is stored: those of one moment may come again.
            again = sum(e["bytes"] for e in hub.content()) - self.bytes
            assert again <= CHUNK, f"{again} bytes were fetched again"
            assert max(wholly_fetched(hub).values()) <= 2
            assert sums_of(node, "m", self.location) == self.sums
            assert_clean(node, self.objects)
            return killed
        finally:
            node.stop()
            hub.stop()
            shutil.rmtree(work, ignore_errors=True)

    def kill_fill(self, number):
        """Kills `bdn up` before its call `number`, of a start and a node fill."""
        work = self._sub(f"fill-{number}")
        node = Node(work, "http://127.0.0.1:1", options=ONE_BY_ONE)
        shutil.copytree(self.mirrored, node.data)
        try:
            dead = start_or_die(node, Killer(work / "counter", number))
            run = None if dead else node.bdn("run", "m", "--", "true")
            code = node.stop()
            killed = code == -signal.SIGKILL
            assert killed or run.code == 0, run
            assert killed or not dead, f"ended with {code}: {node.process.text()}"
            node.start()
            assert sums_of(node, "m", self.location) == self.sums
            assert_clean(node, self.objects)
            return killed
        finally:
            node.stop()
            shutil.rmtree(work, ignore_errors=True)

    def rounds(self, kill, kinds):
        numbers = sample_of(kinds)
        with concurrent.futures.ThreadPoolExecutor(TOGETHER) as pool:
            rounds = {n: pool.submit(kill, n) for n in numbers}
        wrong = {n: r.exception() for n, r in rounds.items() if r.exception()}
        assert not wrong, "\n".join(f"before call {n}: {e}" for n, e in wrong.items())
        killed = {n: r.result() for n, r in rounds.items()}
        # Timing moves a few calls at the end; before it, every round must have been a kill.
        missed = [n for n in numbers if not killed[n]]
        assert not [n for n in missed if n < len(kinds) * 3 // 4], missed
        for number in itertools.count(len(kinds) + 1, 7):
            if not kill(number):
                return


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    work = tmp_path_factory.mktemp("kill")
    repo = make_small_model(work / "repo")
    yield Reference(work, repo, f"/bdn-e2e-kill-{work.name}/model")
    shutil.rmtree(work, ignore_errors=True)


def test_a_mirror_survives_a_kill_before_any_of_its_steps(reference):
    reference.rounds(reference.kill_mirror, reference.mirror_kinds)


def test_a_node_fill_survives_a_kill_before_any_of_its_steps(reference):
    reference.rounds(reference.kill_fill, reference.fill_kinds)


def test_a_killed_mirror_continues_in_the_middle_of_a_file(start, big_model, work, location):
    hub = start.hub({REPO: big_model}, "--rate", str(8 * MIB))
    node = start.node(hub.url, options=ONE_BY_ONE)
    config = write_config(
        work / "model", [{"source": f"hf://{REPO}", "mount_location": str(location)}],
        model_name="m")
    node.push(config)
    wait_until(lambda: sum(t for (_, r), t in wholly_fetched(hub).items()
                           if r == f"bytes=0-{CHUNK - 1}"), 30, "the first chunk")
    wait_until(lambda: any(p.stat().st_size > 8 * MIB for p in
                           (node.data / "origin" / "bdn").rglob("*") if p.is_file()),
               10, "the first chunk at the origin")
    wait_until(lambda: sum(e["bytes"] for e in hub.content() if e["range"].startswith(
        f"bytes={CHUNK}-")) > MIB, 20, "a part of the second chunk")
    node.process.kill()
    hub.throttle(0)
    first = f"bytes=0-{CHUNK - 1}"
    assert first in {r for _, r in wholly_fetched(hub)}
    hub.clear_log()
    node.start()
    assert node.ok("watch", "m", "--json").json()["status"] == "ACTIVE"
    assert first not in {r for _, r in wholly_fetched(hub)}, "a stored chunk was fetched again"
    assert sha256(big_model / "model.safetensors") in node.ok(
        "run", "m", "--", "sha256sum", f"{location}/model.safetensors").out


# --- the roles apart ---


@pytest.fixture
def apart(start, big_model, work, location):
    """A control plane with a mirrored deployment "m", and an agent with a cache of its own."""
    hub = start.hub({REPO: big_model})
    control = start.node(hub.url, role="control", name="control")
    config = write_config(
        work / "model", [{"source": f"hf://{REPO}", "mount_location": str(location)}],
        model_name="m")
    control.push(config, "--wait")
    agent = start.stopped_node(role="agent", name="agent", options=ONE_BY_ONE[:2])
    client = agent.work / "config" / "bdn"
    client.mkdir(parents=True)
    shutil.copy(control.data / "client.json", client)
    # Commands find the agent by the client.json that it writes into its data directory.
    agent.env["XDG_CONFIG_HOME"] = str(agent.work / "nothing")
    agent.launch(env={"XDG_CONFIG_HOME": str(agent.work / "config")})
    agent.process.wait_for("agent is ready")

    def restart(**launch):
        agent.launch(env={"XDG_CONFIG_HOME": str(agent.work / "config"), **launch.get("env", {})})
        agent.process.wait_for("agent is ready")

    agent.restart = restart
    return control, agent


def test_an_agent_of_its_own_fills_over_the_network(apart, big_model, location):
    _, agent = apart
    digest = sha256(big_model / "model.safetensors")
    assert digest in agent.ok("run", "m", "--", "sha256sum", f"{location}/model.safetensors").out


def test_a_running_server_keeps_its_mount_when_the_agent_is_killed(apart, big_model, location):
    _, agent = apart
    server = agent.spawn(
        "run", "m", "--", "sh", "-c",
        f"echo up; read -r go < {agent.work}/go; exec sha256sum {location}/model.safetensors")
    subprocess.run(["mkfifo", str(agent.work / "go")], check=True)
    server.wait_for("up")
    agent.process.kill()
    (agent.work / "go").write_text("go\n")
    assert server.wait() == 0
    assert sha256(big_model / "model.safetensors") in server.text()
    agent.restart()
    assert agent.ok("run", "m", "--", "test", "-s", f"{location}/config.json")


def test_what_a_killed_agent_had_stored_is_not_fetched_again(apart, big_model, location):
    _, agent = apart
    # Kill at the sync of the second of three chunks: count in a run that comes to its end.
    counting = Killer(agent.work / "counter")
    agent.stop()
    agent.restart(env=counting.env)
    begin = len(counting.kinds())
    agent.ok("run", "m", "--", "true")
    kinds = counting.kinds()
    agent.stop()
    reused = []
    for number in sample_of(kinds, begin)[::4]:
        shutil.rmtree(agent.data / "cache")
        shutil.rmtree(agent.data / "agent")
        agent.restart(env=Killer(agent.work / "counter", number).env)
        run = agent.bdn("run", "m", "--", "true")
        # The agent may also die when the lease is given back, after a run that went well.
        assert run.code == 0 or agent.process.popen.poll() is not None, run
        agent.stop()
        agent.restart()
        done = agent.ok("run", "m", "--", "sha256sum", f"{location}/model.safetensors")
        assert sha256(big_model / "model.safetensors") in done.out
        reused.append(re.search(r"\((.*) reused\)", done.err)[1])
        agent.stop()
        assert agent.leftovers() == []
    assert any(amount.endswith(" MB") for amount in reused), reused


def test_a_killed_control_plane_does_not_end_servers_or_starts_of_what_is_cached(
        apart, location):
    control, agent = apart
    server = agent.spawn("run", "m", "--", "sh", "-c", "echo up; exec sleep 100")
    server.wait_for("up")
    control.process.kill()
    assert server.popen.poll() is None
    server.signal(signal.SIGTERM)
    assert server.wait() == 143
