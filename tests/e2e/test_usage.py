"""Commands that need nothing, and mistakes: codes, messages, what to do next."""

import json
import os
import subprocess

import pytest
from harness import BDN, Done, Process, write_config

GOOD = {"source": "hf://acme/tiny", "mount_location": "/models/tiny"}


def bdn(*args, stdin=None, env=None):
    done = subprocess.run(
        [str(BDN), *map(str, args)], input=stdin, capture_output=True, text=True, timeout=30,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **(env or {})},
    )
    return Done(done.returncode, done.stdout, done.stderr)


COMMANDS = [
    ["up"], ["push"], ["status"], ["watch"], ["activate"], ["deactivate"], ["delete"], ["run"],
    ["mount"], ["unmount"], ["validate"], ["schema"], ["match"], ["ls"], ["migrate"], ["secret"], ["volume"],
    ["pull"], ["gc"], ["control"], ["agent"], ["secret", "set"], ["secret", "ls"], ["secret", "rm"],
    ["volume", "push"], ["volume", "ls"], ["volume", "show"], ["volume", "tag"], ["doctor"],
    ["key"], ["key", "create"], ["key", "ls"], ["key", "rm"],
    ["checkpoint"], ["checkpoint", "push"], ["checkpoint", "ls"], ["checkpoint", "show"],
    ["checkpoint", "rm"], ["oidc"], ["oidc", "show"], ["oidc", "rotate"], ["oidc", "export"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_on_standard_output(command):
    done = bdn(*command, "--help")
    assert done.code == 0 and done.err == ""
    assert "Usage:" in done.out
    assert "Examples:" in done.out, done.out


@pytest.mark.parametrize(
    "arguments, said",
    [
        ([], "subcommand"),
        (["frobnicate"], "no command 'frobnicate'"),
        (["push", "--frobnicate"], "--frobnicate"),
        (["push", "a", "b"], "b"),
        (["watch"], "id"),
        (["run"], "id"),
        (["up", "--parallel", "0"], "--parallel"),
        (["up", "--parallel", "many"], "--parallel"),
        (["gc", "--grace", "soon"], "--grace"),
        (["secret"], "subcommand"),
        (["secret", "set"], "name"),
        (["mount"], "what"),
        (["mount", "bdn:team/base"], "target"),
        (["volume", "push", "."], "ref"),
        (["pull", "bdn:a/b"], "dir"),
    ],
)
def test_a_mistake_on_the_command_line_is_2_and_named(arguments, said):
    done = bdn(*arguments)
    assert done.code == 2, done
    assert done.out == ""
    assert said in done.err and "--help" in done.err


@pytest.mark.parametrize("name", ["../../x", "bad name/..", "a/b", ".", "..", ""])
def test_the_name_of_a_secret_is_a_plain_file_name(name):
    done = bdn("secret", "set", name, stdin="value")
    assert done.code == 1, done
    assert "must be a plain file name" in done.err


def test_version():
    done = bdn("--version")
    assert done.code == 0 and done.out.startswith("bdn ")


# --- validate ---


def test_validate_accepts_a_good_config(tmp_path):
    write_config(tmp_path, [GOOD], model_name="m", some_other_key={"kept": True})
    assert bdn("validate", tmp_path).code == 0
    report = bdn("validate", tmp_path / "config.yaml", "--json").json()
    assert report["ok"] is True and report["errors"] == []
    assert report["weights"][0]["source"] == GOOD["source"]


def test_validate_reports_all_errors_with_place_line_and_column(tmp_path):
    (tmp_path / "config.yaml").write_text(
        "weights:\n"
        "  - source: ftp://x/y\n"
        "    mount_location: relative\n"
        "  - source: hf://a/b\n"
        "    mount_location: /m\n"
        "    frobnicate: 1\n"
    )
    done = bdn("validate", tmp_path, "--json")
    assert done.code == 1
    report = done.json()
    assert report["ok"] is False
    found = {(e["loc"], e["line"]) for e in report["errors"]}
    assert {("weights.0.source", 2), ("weights.0.mount_location", 3)} <= found
    assert any(e["loc"].startswith("weights.1") and e["line"] == 6 for e in report["errors"])
    assert all(e["column"] > 0 and e["message"] for e in report["errors"])
    text = bdn("validate", tmp_path)
    assert text.code == 1
    assert f"{tmp_path}/config.yaml:2:" in text.out + text.err


def test_validate_says_when_there_is_no_config(tmp_path):
    done = bdn("validate", tmp_path)
    assert done.code == 1 and "there is no" in done.out and "config.yaml" in done.out
    (tmp_path / "config.yml").write_text("weights: []\n")
    done = bdn("validate", tmp_path)
    assert done.code == 1 and "rename it to config.yaml" in done.out


# --- match ---


def test_match_prints_what_is_selected():
    done = bdn("match", "--allow", "*.safetensors", "--ignore", "b*", "a.safetensors",
               "b.safetensors", "d/c.safetensors", "a.json")
    assert (done.code, done.out) == (0, "a.safetensors\n")


def test_match_reads_standard_input():
    done = bdn("match", "--allow", "**/*.json", stdin="./a.json\nd/e/f.json\ng.txt\n")
    assert done.out == "a.json\nd/e/f.json\n"


def test_match_explains_and_warns_of_the_top_level_trap():
    done = bdn("match", "--allow", "*.safetensors", "unet/a.safetensors", "--explain")
    assert "left out  unet/a.safetensors" in done.out
    assert "**/*.safetensors" in done.err


# --- control planes ---


def test_without_a_control_plane_the_ways_to_name_one_are_told(tmp_path):
    done = bdn("status", env={"HOME": str(tmp_path), "BDN_DATA": str(tmp_path / "data")})
    assert done.code == 5
    for way in ("bdn up", "--url", "BDN_URL"):
        assert way in done.err


def test_an_unreachable_control_plane_is_named(tmp_path):
    env = {"HOME": str(tmp_path), "BDN_DATA": str(tmp_path / "data")}
    done = bdn("status", "--url", "http://127.0.0.1:1", "--api-key", "x", env=env)
    assert done.code == 11, done
    assert "http://127.0.0.1:1" in done.err


def test_a_wrong_key_is_refused(start):
    node = start.node()
    done = node.bdn("status", "--api-key", "wrong")
    assert done.code == 3
    assert "key" in done.err


def test_two_servers_on_one_data_directory_are_refused(start):
    node = start.node()
    second = node.bdn("up", "--data", node.data, "--listen", "127.0.0.1:0", timeout=20)
    assert second.code == 7
    assert "another bdn runs on the data directory" in second.err
    assert node.ok("status").out.startswith("no deployments")


def test_an_orderly_end_is_0_and_the_next_start_keeps_key_and_deployments(start, work):
    node = start.node()
    node.push(write_config(work / "m", [], model_name="empty"))
    key = json.loads((node.data / "client.json").read_text())["api_key"]
    node.process.signal(15)
    assert node.process.wait() == 0
    node.start()
    assert json.loads((node.data / "client.json").read_text())["api_key"] == key
    assert node.ok("status", "--json").json()["deployments"][0]["name"] == "empty"


def test_client_json_and_the_master_key_are_for_their_owner_only(start):
    node = start.node()
    for path in [node.data / "client.json", node.data / "master.key",
                 node.work / "config/bdn/client.json"]:
        assert path.stat().st_mode & 0o077 == 0, path


def of_the_user_of(first, start):
    """A second control plane of the same user, not started."""
    second = start.stopped_node(name="second")
    for name in ("HOME", "XDG_CONFIG_HOME"):
        second.env[name] = first.env[name]
    return second


def test_a_second_control_plane_does_not_take_the_commands_from_the_first(start, work):
    first = start.node()
    first.push(write_config(work / "m", [], model_name="of-the-first"))
    second = of_the_user_of(first, start)
    second.start()
    said = second.process.text()
    assert first.url in said and f"BDN_URL={second.url}" in said, said
    assert f"{second.data}/client.json" in said
    assert "of-the-first" in first.ok("status").out
    key = json.loads((second.data / "client.json").read_text())["api_key"]
    other = first.ok("status", env={"BDN_URL": second.url, "BDN_API_KEY": key})
    assert other.out.startswith("no deployments")
    assert second.process.stop() == 0
    assert "of-the-first" in first.ok("status").out


def test_the_users_client_json_is_of_the_control_plane_that_runs(start):
    first = start.node()
    file = first.work / "config/bdn/client.json"
    assert json.loads(file.read_text())["url"] == first.url
    first.process.signal(9)  # leaves its file, and the next one takes it over
    first.process.wait()
    second = of_the_user_of(first, start)
    second.start()
    assert json.loads(file.read_text())["url"] == second.url
    text = file.read_text().replace(second.url, "http://127.0.0.1:1")
    file.write_text(text)
    second.process.signal(15)
    assert second.process.wait() == 0
    assert file.read_text() == text  # somebody else's by then
    first.start()
    assert json.loads(file.read_text())["url"] == first.url
    first.process.signal(15)
    assert first.process.wait() == 0
    assert not file.exists()
    assert (first.data / "client.json").exists()


def test_an_address_in_use_is_said(start, work):
    node = start.node()
    address = node.url.removeprefix("http://")
    other = Process([BDN, "up", "--data", work / "other", "--listen", address], work / "o.log",
                    node.env)
    assert other.wait() != 0
    assert address in other.text() and "in use" in other.text().lower()


def test_status_of_what_is_not_there(start):
    node = start.node()
    assert node.bdn("status", "dep_nothing").code == 5
    assert node.bdn("watch", "nothing").code == 5
    assert node.bdn("delete", "dep_nothing").code == 5


def test_a_bad_config_is_refused_by_push_with_every_error(start, work):
    node = start.node()
    config = write_config(work / "m", [
        {"source": "ftp://x/y", "mount_location": "relative"}, {**GOOD, "mount_location": "/proc"}])
    done = node.bdn("push", config)
    assert done.code == 1
    for place in ("weights.0.source", "weights.0.mount_location", "weights.1.mount_location"):
        assert place in done.err
    assert node.ok("status", "--json").json()["deployments"] == []
