"""push returns at once; progress is visible; a failure says which file, why, and what to do."""

import json
import time

import pytest
from harness import CHUNK, MIB, REPO, deployment_id, wait_until, write_config


@pytest.fixture
def slow(start, big_model, work, location):
    """A deployment whose mirror takes tens of seconds until the hub is told to hurry."""
    hub = start.hub({REPO: big_model}, "--rate", str(256 * 1024))
    node = start.node(hub.url)
    config = write_config(
        work / "model", [{"source": f"hf://{REPO}", "mount_location": str(location)}],
        model_name="slow",
    )
    return hub, node, config


def test_push_returns_before_any_byte_is_fetched(slow):
    hub, node, config = slow
    hub.fault(kind="stall-head", path_prefix="/api/", count=-1, stall_ms=3000)
    began = time.monotonic()
    pushed = node.push(config)
    assert time.monotonic() - began < 2
    assert hub.content() == []
    assert pushed["deployment_id"].startswith("dep_")
    assert pushed["status"] == "DEPLOYING"


def test_status_shows_phase_bytes_rate_and_eta(slow):
    _, node, config = slow
    deployment = deployment_id(node.push(config))

    def fetching():
        now = node.status(deployment)
        assert now["status"] == "DEPLOYING"
        return now if now["phase"] == "fetching" and now["rate"] > 0 and now["eta"] else None

    now = wait_until(fetching, 20, "a rate and an ETA")
    assert now["bytes"] > 40 * MIB
    assert 0 < now["bytes_done"] < now["bytes"]
    assert now["files"] == 11
    assert now["bytes_reused"] == 0
    assert now["eta"] > 1
    assert now["error"] is None
    later = wait_until(
        lambda: (s := node.status(deployment))["bytes_done"] > now["bytes_done"] and s, 20)
    assert later["bytes"] == now["bytes"]
    listed = node.ok("status", "--json").json()["deployments"]
    assert [d["id"] for d in listed] == [deployment]
    text = node.ok("status", "slow").out
    assert "DEPLOYING" in text and "fetching" in text and f"hf://{REPO}" in text


def test_run_before_the_mirror_is_done_waits_says_so_and_then_starts(slow, location):
    hub, node, config = slow
    deployment = deployment_id(node.push(config))
    wait_until(lambda: node.status(deployment)["phase"] == "fetching", 20)
    waiting = node.spawn("run", "slow", "--", "cat", f"{location}/config.json")
    waiting.wait_for("still being mirrored")
    waiting.wait_for("fetching")
    assert waiting.popen.poll() is None
    hub.throttle(0)
    assert waiting.wait(60) == 0
    assert '"model_type": "tiny"' in waiting.text()
    assert node.status(deployment)["status"] == "ACTIVE"


def test_watch_follows_to_the_end_and_its_json_is_the_last_state(slow):
    hub, node, config = slow
    deployment = deployment_id(node.push(config))
    watch = node.spawn("watch", "slow")
    watch.wait_for("fetching")
    hub.throttle(0)
    assert watch.wait(60) == 0
    assert f"{deployment} is ready" in watch.text()
    assert all(len(line) < 200 for line in watch.text().splitlines())
    state = node.ok("watch", deployment, "--json").json()
    assert (state["status"], state["phase"]) == ("ACTIVE", "ready")
    assert state["bytes_done"] == state["bytes"]


def test_interrupting_a_watch_leaves_the_mirror_alone(slow):
    _, node, config = slow
    deployment = deployment_id(node.push(config))
    watch = node.spawn("watch", "slow")
    watch.wait_for("fetching")
    watch.signal(2)
    assert watch.wait() == 130
    assert node.status(deployment)["status"] == "DEPLOYING"


def test_ls_shows_what_push_would_take(start, big_model):
    hub = start.hub({REPO: big_model})
    node = start.node(hub.url)
    env = {"HF_ENDPOINT": hub.url}
    listed = node.ok("ls", f"hf://{REPO}", "--allow", "**/*.safetensors", "--json", env=env).json()
    assert sorted(f["path"] for f in listed["files"]) == [
        "model.safetensors", "unet/blocks/0/part.safetensors", "unet/blocks/1/part.safetensors"]
    assert listed["total_size"] == sum(f["size"] for f in listed["files"])
    assert listed["listed"] == 11
    assert len(listed["revision"]) == 40
    none = node.bdn("ls", f"hf://{REPO}", "--allow", "*.gguf", env=env)
    assert none.code == 1 and "none of the 11 files" in none.err
    assert hub.content() == []


# --- failures ---


def failed_push(node, config):
    done = node.bdn("push", config, "--wait")
    assert done.code == 1, done
    state = node.ok("status", "--json").json()["deployments"][0]
    assert state["status"] == "DEPLOY_FAILED"
    assert state["phase"] == "failed"
    message = state["error"]["message"]
    assert message and message in done.err
    assert message.splitlines()[0] in node.ok("status", state["id"]).out
    refused = node.bdn("run", state["id"], "--", "true")
    assert refused.code != 0
    assert message in refused.err
    assert node.object_count() == 0
    return done, state["error"]


def config_for(work, location, source=f"hf://{REPO}", **weights):
    return write_config(
        work / "model", [{"source": source, "mount_location": str(location), **weights}],
        model_name="failing")


def test_an_unknown_repository_fails_the_deployment(start, small_model, work, location):
    hub = start.hub({REPO: small_model})
    node = start.node(hub.url)
    _, error = failed_push(node, config_for(work, location, "hf://acme/nothing"))
    assert "acme/nothing does not exist" in error["message"]
    assert "check the spelling" in error["hint"]
    assert error["code"] == "not_found"


def test_an_unknown_revision_fails_the_deployment(start, small_model, work, location):
    hub = start.hub({REPO: small_model})
    node = start.node(hub.url)
    _, error = failed_push(node, config_for(work, location, f"hf://{REPO}@no-such-branch"))
    assert "no revision 'no-such-branch'" in error["message"]
    assert "name a branch, a tag or a full commit SHA" in error["hint"]


def test_a_gated_repository_without_a_token_fails_and_says_where_to_ask(
        start, small_model, work, location):
    hub = start.hub({REPO: small_model}, "--gated", "--token", "hf_good")
    node = start.node(hub.url)
    _, error = failed_push(node, config_for(work, location))
    assert error["code"] == "unauthenticated"
    assert f"{REPO} is gated" in error["message"]
    assert f"{hub.url}/{REPO}" in error["message"] and "auth_secret_name" in error["hint"]


def test_a_wrong_token_fails_and_a_right_one_then_works(start, small_model, work, location):
    hub = start.hub({REPO: small_model}, "--private", "--token", "hf_good")
    node = start.node(hub.url)
    node.ok("secret", "set", "hf", stdin="hf_wrong\n")
    auth = {"auth": {"auth_method": "CUSTOM_SECRET", "auth_secret_name": "hf"}}
    config = config_for(work, location, **auth)
    done, error = failed_push(node, config)
    assert error["code"] == "unauthenticated"
    assert "does not accept the Hugging Face token" in error["message"]
    assert "hf_wrong" not in done.err + node.process.text()
    node.ok("secret", "set", "hf", stdin="hf_good\n")
    assert node.push(config, "--wait")["status"] == "ACTIVE"
    assert "hf_good" not in node.process.text()
    raw = b"".join(p.read_bytes() for p in node.data.glob("bdn.db*"))
    assert b"hf_good" not in raw, "the secret is readable in the database"


def test_a_missing_secret_is_said_with_the_command_that_sets_it(
        start, small_model, work, location):
    hub = start.hub({REPO: small_model}, "--private", "--token", "hf_good")
    node = start.node(hub.url)
    done, error = failed_push(node, config_for(
        work, location, auth={"auth_method": "CUSTOM_SECRET", "auth_secret_name": "hf"}))
    assert "secret 'hf' is not set" in done.err
    assert "bdn secret set hf" in done.err
    assert "the secret 'hf' that the config names is not set" in error["message"]
    assert error["hint"] == "set it with `bdn secret set hf` and push again"


def test_patterns_that_select_nothing_fail_and_say_how_many_files_there_are(
        start, small_model, work, location):
    hub = start.hub({REPO: small_model})
    node = start.node(hub.url)
    _, error = failed_push(node, config_for(work, location, allow_patterns=["*.gguf"]))
    assert "listed 3 file(s)" in error["message"] and "*.gguf" in error["message"]
    assert hub.content() == []


def test_a_file_that_is_not_what_the_hub_says_fails_and_is_named(
        start, small_model, work, location):
    hub = start.hub({REPO: small_model})
    hub.fault(kind="flip-byte", server="cdn", count=-1, after_bytes=1000)
    node = start.node(hub.url)
    done = node.bdn("push", config_for(work, location), "--wait", timeout=120)
    assert done.code == 1, done
    assert ".safetensors" in done.err
    state = node.ok("status", "--json").json()["deployments"][0]
    assert state["error"]["code"] == "corrupt", state
    assert node.bdn("run", "failing", "--", "true").code != 0


def test_a_hub_that_stumbles_is_asked_again(start, big_model, work, location):
    hub = start.hub({REPO: big_model})
    hub.fault(kind="status", path_prefix="/api/", status=503, count=2)
    hub.fault(kind="reset-after", server="cdn", after_bytes=CHUNK // 2, count=2)
    hub.fault(kind="truncate", server="cdn", after_bytes=1 * MIB, count=1)
    hub.fault(kind="status", server="cdn", status=429, headers={"Retry-After": "1"}, count=1)
    node = start.node(hub.url)
    assert node.push(config_for(work, location), "--wait")["status"] == "ACTIVE"


def test_what_goes_to_a_pipe_has_no_escape_sequences(slow):
    hub, node, config = slow
    hub.throttle(0)
    done = node.ok("push", config, "--wait")
    assert "\x1b" not in done.out + done.err and "\r" not in done.out + done.err
    assert "\x1b" not in node.ok("status").out
    assert json.loads(node.ok("status", "--json").out)
