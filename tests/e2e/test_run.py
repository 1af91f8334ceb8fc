"""push → wait → run: what a server sees, and what its host never sees."""

import json
import os
import pathlib
import shlex
import signal
import socket
import sys
import urllib.request

import pytest
from harness import REPO, deployment_id, make_model, tree_of, wait_until, write_config

# Prints the tree below its argument as JSON: files with their sha256, and directories.
LOOK = """
import json, pathlib, sys
sys.path.insert(0, {here!r})
import harness
files, directories = harness.tree_of(sys.argv[1])
print(json.dumps([files, sorted(directories)]))
""".format(here=str(pathlib.Path(__file__).parent))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture
def ready(start, small_model, work, location):
    """A node with one mirrored deployment named "tiny" at `location`."""
    hub = start.hub({REPO: small_model})
    node = start.node(hub.url)
    config = write_config(
        work / "model", [{"source": f"hf://{REPO}", "mount_location": str(location)}],
        model_name="tiny",
    )
    node.push(config, "--wait")
    return node


def test_bytes_and_folders_are_those_of_the_source(start, big_model, work, location):
    hub = start.hub({REPO: big_model})
    node = start.node(hub.url)
    config = write_config(
        work / "model", [{"source": f"hf://{REPO}@main", "mount_location": str(location)}]
    )
    pushed = node.push(config, "--wait")
    assert pushed["status"] == "ACTIVE"
    seen = node.ok("run", deployment_id(pushed), "--", sys.executable, "-c", LOOK, location)
    files, directories = seen.json()
    want_files, want_directories = tree_of(big_model)
    assert {name: tuple(v) for name, v in files.items()} == want_files
    assert set(directories) == want_directories


def test_two_sources_appear_at_their_own_locations(start, work, location):
    first = make_model(work / "first", big=200_000, seed=5)
    second = make_model(work / "second", big=100_000, seed=9)
    hub = start.hub({"acme/first": first, "acme/second": second})
    node = start.node(hub.url)
    config = write_config(
        work / "model",
        [
            {"source": "hf://acme/first", "mount_location": f"{location}/a"},
            {"source": "hf://acme/second", "mount_location": f"{location}/b"},
        ],
        model_name="two",
    )
    node.push(config, "--wait")
    files, _ = node.ok("run", "two", "--", sys.executable, "-c", LOOK, location).json()
    want = {f"a/{k}": list(v) for k, v in tree_of(first)[0].items()}
    want |= {f"b/{k}": list(v) for k, v in tree_of(second)[0].items()}
    assert files == want


@pytest.mark.parametrize(
    "attack",
    [
        "echo x >> {m}/config.json",
        "echo x > {m}/new",
        "mkdir {m}/new",
        "rm {m}/config.json",
        "mv {m}/config.json {m}/other",
        "ln {m}/config.json {m}/other",
        "chmod 777 {m}/config.json",
        "truncate -s 0 {m}/text/encoder.safetensors",
        "touch {m}",
    ],
)
def test_writes_are_refused(ready, location, attack, small_model):
    command = attack.format(m=shlex.quote(str(location)))
    done = ready.bdn("run", "tiny", "--", "sh", "-c", command)
    assert done.code != 0
    assert "Read-only file system" in done.err, done
    again = ready.ok("run", "tiny", "--", sys.executable, "-c", LOOK, location)
    assert {k: tuple(v) for k, v in again.json()[0].items()} == tree_of(small_model)[0]


def test_a_write_into_the_mount_is_erofs_and_nothing_is_set_user_or_a_device(ready, location):
    probe = (
        "import errno, os, sys\n"
        "try: open(sys.argv[1] + '/x', 'w')\n"
        "except OSError as e: assert e.errno == errno.EROFS, e\n"
        "else: sys.exit('written')\n"
        "flags = os.statvfs(sys.argv[1]).f_flag\n"
        "need = os.ST_RDONLY | os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC\n"
        "sys.exit(flags & need != need)\n"
    )
    ready.ok("run", "tiny", "--", sys.executable, "-c", probe, location)


def test_the_host_never_sees_the_mount_location(ready, location):
    top = location.parent
    assert not top.exists()
    server = ready.spawn("run", "tiny", "--", "sh", "-c", f"ls {location}; echo up; exec sleep 100")
    server.wait_for("up")
    assert not top.exists()
    assert not any(str(top) in line for line in open("/proc/self/mountinfo", encoding="utf-8"))
    server.signal(signal.SIGTERM)
    assert server.wait() == 143
    assert not top.exists()


def test_the_rest_of_the_host_is_as_it_was_for_the_server(ready, work):
    (work / "own").write_text("mine")
    done = ready.ok("run", "tiny", "--", "sh", "-c", f"cat {work}/own && echo written > {work}/own")
    assert done.out == "mine"
    assert (work / "own").read_text() == "written\n"


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_the_exit_code_is_the_servers(ready, code):
    assert ready.bdn("run", "tiny", "--", "sh", "-c", f"exit {code}").code == code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_server_and_shows_in_the_exit_code(ready, number):
    server = ready.spawn("run", "tiny", "--", "sh", "-c", "echo up; exec sleep 100")
    server.wait_for("up")
    server.signal(number)
    assert server.wait() == 128 + number


def test_a_signal_at_the_very_start_of_the_server_is_passed_on(ready):
    for _ in range(10):
        done = ready.bdn("run", "tiny", "--", "sh", "-c", "kill -INT $PPID; exec sleep 20")
        assert done.code == 130, done


def test_a_server_may_end_in_its_own_way_on_a_signal(ready):
    script = "trap 'echo got; exit 9' TERM; echo up; while :; do sleep 0.05; done"
    server = ready.spawn("run", "tiny", "--", "sh", "-c", script)
    server.wait_for("up")
    server.signal(signal.SIGTERM)
    assert server.wait() == 9
    assert "got" in server.text()


def test_a_command_that_is_not_there_is_said(ready):
    done = ready.bdn("run", "tiny", "--", "no-such-program-anywhere")
    assert done.code != 0
    assert "no-such-program-anywhere" in done.err


def test_environment_variables_and_secrets_reach_the_server(start, small_model, work, location):
    hub = start.hub({REPO: small_model})
    node = start.node(hub.url)
    node.ok("secret", "set", "api-token", stdin="s3cret value")
    secrets_dir = location.parent / "secrets"
    config = write_config(
        work / "model", [{"source": f"hf://{REPO}", "mount_location": str(location)}],
        model_name="env", environment_variables={"LEVEL": "high", "COUNT": 3, "FLAG": True},
        secrets={"api-token": None},
    )
    node.push(config, "--wait")
    script = (
        f"printenv LEVEL COUNT FLAG OUTSIDE; cat {secrets_dir}/api-token; echo;"
        f"stat -c %a {secrets_dir}/api-token; env | grep -c BDN_API_KEY"
    )
    done = node.bdn(
        "run", "env", "--secrets-dir", secrets_dir, "--", "sh", "-c", script,
        env={"OUTSIDE": "kept", "BDN_API_KEY": json.loads(
            (node.data / "client.json").read_text())["api_key"]},
    )
    assert done.out.split("\n")[:7] == ["high", "3", "true", "kept", "s3cret value", "400", "0"]
    assert "s3cret" not in node.process.text() + done.err


def test_secrets_appear_below_slash_secrets_and_nowhere_on_the_host(start, small_model, work, location):
    if os.path.exists("/secrets"):
        before = sorted(os.listdir("/secrets"))
    else:
        before = None
    hub = start.hub({REPO: small_model})
    node = start.node(hub.url)
    node.ok("secret", "set", "api-token", stdin="s3cret")
    config = write_config(
        work / "model", [{"source": f"hf://{REPO}", "mount_location": str(location)}],
        model_name="env", secrets={"api-token": None},
    )
    node.push(config, "--wait")
    shm = set(os.listdir("/dev/shm"))
    assert node.ok("run", "env", "--", "cat", "/secrets/api-token").out == "s3cret"
    assert set(os.listdir("/dev/shm")) - shm == set()
    assert (sorted(os.listdir("/secrets")) if os.path.exists("/secrets") else None) == before


def test_the_default_command_is_the_configs_and_its_readiness_is_watched(
        start, small_model, work, location):
    hub = start.hub({REPO: small_model})
    node = start.node(hub.url)
    port = free_port()
    config = write_config(
        work / "model", [{"source": f"hf://{REPO}", "mount_location": str(location)}],
        model_name="served",
        docker_server={
            "start_command": f"exec /usr/bin/python3 -m http.server {port} --bind 127.0.0.1 "
                             f"--directory {location}",
            "server_port": port, "predict_endpoint": "/", "readiness_endpoint": "/config.json",
            "liveness_endpoint": "/config.json",
        },
    )
    node.push(config, "--wait")
    server = node.spawn("run", "served")
    server.wait_for("the server is ready")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/text/encoder.safetensors") as answer:
        assert answer.read() == (small_model / "text/encoder.safetensors").read_bytes()
    server.signal(signal.SIGTERM)
    assert server.wait() == 143


def test_an_unprivileged_user_can_run_a_deployment(ready, work, location, small_model):
    config = work / "user-config" / "bdn"
    config.mkdir(parents=True)
    (config / "client.json").write_text((ready.data / "client.json").read_text())
    os.chmod(config / "client.json", 0o644)
    for directory in [config, config.parent, work]:
        os.chmod(directory, 0o755)
    # The parents that pytest makes are its owner's alone.
    hidden = [p for p in work.parents if p.stat().st_mode & 0o001 == 0]
    modes = {p: p.stat().st_mode & 0o7777 for p in hidden}
    for path in hidden:
        path.chmod(0o711)
    try:
        done = ready.bdn(
            "run", "tiny", "--", "sh", "-c",
            f"id -u; cat {location}/config.json; echo x > {location}/x",
            prefix=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
            env={"XDG_CONFIG_HOME": str(config.parent), "HOME": "/nonexistent"},
        )
    finally:
        for path, mode in modes.items():
            path.chmod(mode)
    assert "Read-only file system" in done.err, done
    assert done.out == "65534\n" + (small_model / "config.json").read_text()


def test_a_start_waits_for_nothing_when_the_deployment_does_not_exist(ready):
    done = ready.bdn("run", "nobody", "--", "true")
    assert done.code == 5
    assert "nobody" in done.err and "bdn status" in done.err


def test_the_lease_ends_with_the_server_also_when_bdn_run_is_killed(ready):
    server = ready.spawn("run", "tiny", "--", "sh", "-c", "echo up; exec sleep 100")
    server.wait_for("up")
    journal = ready.data / "agent" / "journal.json"
    assert json.loads(journal.read_text())["leases"]
    server.kill()
    wait_until(lambda: not json.loads(journal.read_text())["leases"], 20, "the lease's end")


@pytest.fixture
def agent(start, small_model, work, location):
    """A control plane with the deployment "tiny", and an agent of its own that is not started."""
    hub = start.hub({REPO: small_model})
    control = start.node(hub.url, role="control", name="control")
    control.push(write_config(
        work / "model", [{"source": f"hf://{REPO}", "mount_location": str(location)}],
        model_name="tiny"), "--wait")
    key = json.loads((control.data / "client.json").read_text())["node_key"]
    agent = start.stopped_node(
        role="agent", name="agent", options=("--url", control.url, "--api-key", key))
    agent.env["XDG_CONFIG_HOME"] = str(agent.work / "nothing")
    agent.control = control
    return agent


@pytest.mark.parametrize("command", [["run", "tiny", "--", "true"], ["mount", "--list"],
                                     ["mount", "tiny"], ["unmount", "/nowhere"]], ids=" ".join)
def test_a_control_plane_without_an_agent_is_said(agent, command):
    done = agent.control.bdn(*command)
    assert done.code == 7, done
    assert f"no agent serves {agent.control.url}" in done.err
    assert "`bdn agent`" in done.err and "BDN_NODE_URL" in done.err and "BDN_DATA" in done.err


def test_an_agent_that_is_gone_is_named(agent):
    agent.start()
    assert agent.bdn("run", "tiny", "--", "true").code == 0
    agent.process.signal(signal.SIGKILL)
    agent.process.wait()
    done = agent.bdn("run", "tiny", "--", "true")
    assert done.code == 11, done
    assert agent.url in done.err and "`bdn agent`" in done.err
    assert "bdn up" not in done.err and "--url" not in done.err
