"""kill -9 of a mirror between any two of its steps: the next start makes it right."""

import shutil

import pytest
from harness import CHUNK, MIB, REPO, sha256, wait_until, write_config
from kill_rounds import ONE_BY_ONE, Reference, in_rounds


@pytest.fixture(scope="module", params=["up", "control"])
def reference(request, tmp_path_factory):
    work = tmp_path_factory.mktemp(f"kill-{request.param}")
    yield Reference(work, role=request.param)
    shutil.rmtree(work, ignore_errors=True)


def test_a_mirror_survives_a_kill_before_any_of_its_steps(reference):
    assert in_rounds(reference.kill_mirror, reference.mirror_kinds, one_in=6) > 15


def test_a_killed_mirror_continues_in_the_middle_of_a_file(start, big_model, work, location):
    hub = start.hub({REPO: big_model}, "--rate", str(8 * MIB))
    node = start.node(hub.url, options=ONE_BY_ONE)
    config = write_config(
        work / "model", [{"source": f"hf://{REPO}", "mount_location": str(location)}],
        model_name="m")
    node.push(config)

    def of_chunk(number):
        first = number * CHUNK
        return [e for e in hub.content() if e["range"] == f"bytes={first}-{first + CHUNK - 1}"]

    wait_until(lambda: sum(e["bytes"] for e in of_chunk(1)) > MIB, 30, "a part of the second chunk")
    node.process.kill()
    hub.throttle(0)
    assert any(e["bytes"] == CHUNK for e in of_chunk(0))
    hub.clear_log()
    node.start()
    assert node.ok("watch", "m", "--json").json()["status"] == "ACTIVE"
    assert not of_chunk(0), "a stored chunk was fetched again"
    assert len(of_chunk(1)) == 1
    assert sha256(big_model / "model.safetensors") in node.ok(
        "run", "m", "--", "sha256sum", f"{location}/model.safetensors").out
