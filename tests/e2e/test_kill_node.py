"""kill -9 of agents, and of the control plane that they fill from, between any two steps."""

import json
import os
import shutil
import signal
import urllib.request

import pytest
from harness import EVERY
from kill_rounds import Apart, Proxy, Reference, in_rounds, sums_of


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    work = tmp_path_factory.mktemp("kill-up")
    yield Reference(work)
    shutil.rmtree(work, ignore_errors=True)


@pytest.fixture(scope="module")
def apart(tmp_path_factory):
    work = tmp_path_factory.mktemp("kill-apart")
    roles = Apart(work)
    yield roles
    roles.stop()
    shutil.rmtree(work, ignore_errors=True)


@pytest.fixture
def agent(apart, work):
    """One that has the version."""
    proxy = Proxy(apart.control.url)
    agent = apart.agent(work, proxy)
    apart.start(agent)
    assert sums_of(agent, "m", apart.reference.location) == apart.reference.sums
    agent.proxy = proxy
    yield agent
    agent.stop()
    proxy.stop()


def trees_of(agent):
    """What the agent's cache has, by the agent's own API."""
    client = json.loads((agent.data / "client.json").read_text())
    request = urllib.request.Request(
        client["node_url"] + "/v1/node/cache",
        headers={"Authorization": "Bearer " + (client.get("node_key") or client["api_key"])})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.loads(answer.read())["trees"]


def test_a_node_fill_survives_a_kill_before_any_of_its_steps(together):
    assert in_rounds(together.kill_fill, together.fill_kinds) > 10


def test_a_push_of_a_directory_survives_a_kill_before_any_step_of_the_control_plane(apart):
    assert in_rounds(apart.reference.kill_push, apart.reference.count_push(), one_in=8) > 10


def test_an_agent_of_its_own_survives_a_kill_before_any_of_its_steps_and_fetches_nothing_twice(apart):
    assert in_rounds(apart.kill_agent, apart.fill_kinds) > 10


def test_a_fill_survives_a_kill_of_the_control_plane_at_any_request(apart):
    requests = apart.fill_requests
    killed = 0
    for within in (False, True):
        for number in range(requests) if EVERY else range(requests)[within::2]:
            killed += apart.kill_control(number, within)
    print(f"\n{killed} kills, {requests} requests")
    assert killed > 3


def test_a_running_server_keeps_its_mount_when_the_agent_is_killed(apart, agent):
    location = apart.reference.location
    server = agent.spawn(
        "run", "m", "--", "sh", "-c",
        f"echo up; read -r go < {agent.work}/go; exec cat {location}/config.json")
    os.mkfifo(agent.work / "go")
    server.wait_for("up")
    agent.process.kill()
    (agent.work / "go").write_text("go\n")
    assert server.wait() == 0
    assert (apart.reference.repo / "config.json").read_text() in server.text()
    apart.start(agent)
    assert agent.ok("run", "m", "--", "test", "-s", f"{location}/config.json")


def test_a_killed_control_plane_does_not_end_servers_and_is_needed_for_new_starts_only(apart, agent):
    server = agent.spawn("run", "m", "--", "sh", "-c", "echo up; exec sleep 100")
    server.wait_for("up")
    apart.control.process.kill()
    try:
        refused = agent.bdn("run", "m", "--", "true")
        assert refused.code == 11 and "cannot reach" in refused.err, refused
        # A restarted agent takes the running server's lease again by itself.
        agent.process.kill()
        apart.start(agent)
        assert [tree["leases"] for tree in trees_of(agent)] == [1]
        assert server.popen.poll() is None
        server.signal(signal.SIGTERM)
        assert server.wait() == 143
    finally:
        apart.control.start()
        agent.proxy.target = apart.control.url
    agent.proxy.clear()
    agent.ok("run", "m", "--", "true")
    assert agent.proxy.objects() == {}, "what is cached was fetched"
