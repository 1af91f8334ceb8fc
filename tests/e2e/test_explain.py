"""bdn validate --explain: sources listed, secrets asked for, and what is said when neither can be."""

import json
import os
import socket
import subprocess

import pytest
from harness import BDN, Done, write_config

SHARDED = ["config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
           "model.safetensors.index.json", "tokenizer.json", "sub/extra.json"]


@pytest.fixture
def repo(work):
    root = work / "sharded"
    for name in SHARDED:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def bdn(*args, **env):
    done = subprocess.run(
        [str(BDN), *map(str, args)], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **env}, check=False)
    return Done(done.returncode, done.stdout, done.stderr)


WEIGHTS = {"source": "hf://acme/sharded", "mount_location": "/models//m/", "auth_secret_name": "hf_access_token",
           "allow_patterns": ["*.safetensors", "extra.json"]}


def test_everything_is_said_when_everything_is_there(start, work, repo):
    hub = start.hub({"acme/sharded": repo})
    node = start.node(hub.url)
    config = write_config(work / "m", [WEIGHTS])
    env = {"HF_ENDPOINT": hub.url}
    done = node.ok("validate", config, "--explain", env=env)
    assert "config.yaml: valid, 1 weights source" in done.out
    for part in ("weights.0  hf://acme/sharded", "/models/m, read-only", "hf_access_token: not set; `bdn secret set",
                 "moving: 'main' (the default)", "2 of 6, ", "[index_left_out]", "[config_left_out]",
                 "[tokenizer_left_out]", "[pattern_selects_nothing]", "write '**/extra.json'"):
        assert part in done.out, done
    node.ok("secret", "set", "hf_access_token", stdin="hf_x")
    explain = node.ok("validate", config, "--explain", "--json", env=env).json()["weights"][0]["explain"]
    assert explain["secret"] == {"state": "set", "name": "hf_access_token", "reason": None}
    assert explain["files"]["listed"] == 6 and explain["files"]["selected"] == 2
    commit = explain["revision"]["commit"]
    assert explain["revision"]["pinned_source"] == f"hf://acme/sharded@{commit}" and len(commit) == 40
    write_config(work / "m", [{**WEIGHTS, "source": f"hf://acme/sharded@{commit}"}])
    done = node.ok("validate", config, "--explain", env=env)
    assert f"pinned: pinned to commit {commit}" in done.out


def test_a_pattern_that_stops_at_the_top_level_is_named(start, work, repo):
    hub = start.hub({"acme/sharded": repo})
    config = write_config(work / "m", [{**WEIGHTS, "allow_patterns": ["*.json", "*.safetensors"]}])
    done = bdn("validate", config, "--explain", HF_ENDPOINT=hub.url)
    assert done.code == 0
    assert ("'*.json' selects files at the top level only, and 1 file below would match too ('sub/extra.json')"
            in done.out)
    assert "[pattern_top_level_only]" in done.out


def test_the_list_decides_whether_an_index_or_a_tokenizer_is_left_out(start, work):
    root = work / "single"
    root.mkdir()
    for name in ("config.json", "model.safetensors"):
        (root / name).write_text(name)
    hub = start.hub({"acme/single": root})
    config = write_config(work / "m", [
        {**WEIGHTS, "source": "hf://acme/single", "allow_patterns": ["*.safetensors", "config.json"]}])
    guess = "but not model.safetensors.index.json and tokenizer.json"
    assert guess in bdn("validate", config).out
    assert guess in bdn("validate", config, "--explain", "--offline").out
    done = bdn("validate", config, "--explain", HF_ENDPOINT=hub.url)
    assert done.code == 0 and "2 of 2, " in done.out and "warning" not in done.out, done
    answer = json.loads(bdn("validate", config, "--explain", "--json", HF_ENDPOINT=hub.url).out)
    assert answer["warnings"] == [] and answer["weights"][0]["explain"]["findings"] == []


def test_without_a_control_plane_and_a_source_it_says_unknown(work):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = write_config(work / "m", [WEIGHTS])
        done = bdn("validate", config, "--explain", HF_ENDPOINT=closed)
        assert done.code == 0 and done.err == ""
        assert "unknown whether it is set: no control plane is known" in done.out
        assert "files     not listed: " in done.out
        done = bdn("validate", config, "--explain", "--url", closed, HF_ENDPOINT=closed)
        assert done.code == 0 and "unknown whether it is set: " in done.out


def test_a_source_that_hangs_is_waited_for_a_bounded_time(work):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        config = write_config(work / "m", [WEIGHTS])
        done = bdn("validate", config, "--explain", HF_ENDPOINT=f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert done.code == 0 and "not listed: " in done.out


def test_offline_contacts_nothing(start, work, repo):
    hub = start.hub({"acme/sharded": repo})
    config = write_config(work / "m", [WEIGHTS, {"source": "s3://b/p", "mount_location": "/n", "auth": {
        "auth_method": "AWS_OIDC", "aws_oidc_role_arn": "arn:x", "aws_oidc_region": "eu-west-1"}}])
    hub.clear_log()
    done = bdn("validate", config, "--explain", "--offline", HF_ENDPOINT=hub.url)
    assert done.code == 0 and hub.log() == []
    assert "not listed: nothing is contacted (--offline)" in done.out
    assert "AWS_OIDC, role arn:x in eu-west-1" in done.out
    assert "unversioned: s3:// has no revisions" in done.out
    assert bdn("validate", config, "--offline").code == 2


def test_an_invalid_config_is_not_explained(work):
    config = write_config(work / "m", [{**WEIGHTS, "source": "a/b"}])
    done = bdn("validate", config, "--explain")
    assert done.code == 1 and "weights.0  " not in done.out
    assert json.loads(bdn("validate", config, "--explain", "--json").out)["weights"] == []
