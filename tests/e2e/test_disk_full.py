"""A full disk is a clear error, leaves nothing half visible, and heals when there is room."""

import json
import subprocess

import pytest
from harness import MIB, REPO, make_model, mount_points, tree_of, write_config



@pytest.fixture
def disk(work, request):
    """A small file system of its own at work/node."""
    size = getattr(request, "param", 48)
    point = work / "node"
    point.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}m,mode=755", "tmpfs", str(point)], check=True)
    yield point
    subprocess.run(["umount", "-l", str(point)], check=False)
    assert str(point) not in mount_points()


@pytest.fixture
def full(disk, start, work, location):
    """A node on the small disk, which is nearly full, and a config of 30 MB of weights."""
    hub = start.hub({REPO: make_model(work / "repo", big=30 * MIB)})
    node = start.node(hub.url)
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(28 * MIB))
    config = write_config(
        work / "model", [{"source": f"hf://{REPO}", "mount_location": str(location)}],
        model_name="m")
    return hub, node, ballast, config


def test_a_mirror_onto_a_full_disk_fails_clearly_and_works_when_there_is_room(
        full, location, work):
    _, node, ballast, config = full
    done = node.bdn("push", config, "--wait", timeout=120)
    assert done.code == 1, done
    assert "No space left on device" in done.err, done
    state = node.get("/v1/deployments")["deployments"][0]
    assert (state["status"], state["error"]["code"]) == ("DEPLOY_FAILED", "resource_exhausted")
    assert node.bdn("run", "m", "--", "true").code != 0
    assert node.leftovers() == []
    ballast.unlink()
    assert node.push(config, "--wait")["status"] == "ACTIVE"
    assert node.status("m")["bytes_done"] == node.status("m")["bytes"]


@pytest.mark.parametrize("disk", [100], indirect=True)
def test_a_node_cache_without_room_refuses_before_it_fills_and_works_later(
        disk, start, work, location):
    repo = make_model(work / "repo", big=30 * MIB)
    hub = start.hub({REPO: repo})
    control = start.node(hub.url, role="control", name="control")
    control.push(write_config(
        work / "model", [{"source": f"hf://{REPO}", "mount_location": str(location)}],
        model_name="m"), "--wait")
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(66 * MIB))  # 34 MiB are free, of which a twentieth of the disk stays so
    key = json.loads((control.data / "client.json").read_text())["node_key"]
    agent = start.stopped_node(role="agent", options=(
        "--url", control.url, "--api-key", key))
    agent.env["XDG_CONFIG_HOME"] = str(agent.work / "nothing")
    agent.launch()
    agent.process.wait_for("agent is ready")
    done = agent.bdn("run", "m", "--", "true")
    assert done.code == 9, done
    assert "of which 5242880 stay free" in done.err and "make room on the disk" in done.err
    assert list((agent.data / "cache" / "trees").iterdir()) == []
    ballast.unlink()
    done = agent.ok("run", "m", "--", "sh", "-c", f"cat {location}/model.safetensors | sha256sum")
    assert done.out.split()[0] == tree_of(repo)[0]["model.safetensors"][1]
