"""Volumes: push, tag, show, pull, mount, and what garbage collection takes."""

import errno
import json
import os

import pytest
from harness import (
    MIB, REPO, make_model, make_small_model, mount_points, pseudo_random, tree_of, write_config,
    write_safetensors,
)

REF = "bdn:team/base"


@pytest.fixture
def node(start):
    return start.node()


@pytest.fixture
def tree(work):
    return make_model(work / "tree", big=20 * MIB)


def test_what_is_pulled_is_what_was_pushed(node, tree, work):
    version = node.ok("volume", "push", tree, REF, "--json").json()
    assert version["sequence"] == 1 and version["manifest"].startswith("b3:")
    node.ok("pull", REF, work / "out")
    assert tree_of(work / "out") == tree_of(tree)
    assert not (work / "out.bdn-pull").exists()


def test_links_and_modes_survive(node, work):
    tree = make_small_model(work / "tree")
    (tree / "alias").symlink_to("text/encoder.safetensors")
    (tree / "run.sh").write_text("#!/bin/sh\n")
    (tree / "run.sh").chmod(0o755)
    (tree / "empty").mkdir()
    node.ok("volume", "push", tree, REF)
    out = work / "out"
    node.ok("pull", REF, out)
    assert os.readlink(out / "alias") == "text/encoder.safetensors"
    assert (out / "run.sh").stat().st_mode & 0o111
    assert not (out / "config.json").stat().st_mode & 0o111
    assert (out / "empty").is_dir()


def test_a_second_push_stores_only_what_is_new(node, tree):
    node.ok("volume", "push", tree, REF)
    before = node.object_count()
    again = node.ok("volume", "push", tree, REF, "--json").json()
    assert node.object_count() == before
    write_safetensors(tree / "added.safetensors", pseudo_random(100_000, 99))
    changed = node.ok("volume", "push", tree, REF, "--json").json()
    assert node.object_count() == before + 2, "one chunk and one manifest"
    assert changed["manifest"] != again["manifest"]


def test_tags_name_versions_and_move(node, tree, work):
    first = node.ok("volume", "push", tree, REF + ":v1", "--json").json()
    (tree / "config.json").write_text("{}\n")
    second = node.ok("volume", "push", tree, REF, "--json").json()
    node.ok("volume", "tag", f"{REF}@{first['manifest'].removeprefix('b3:')[:12]}", "stable")
    shown = {v["manifest"]: v for v in node.ok("volume", "show", REF, "--json").json()["versions"]}
    assert set(shown[first["manifest"]]["tags"]) == {"v1", "stable"}
    node.ok("volume", "tag", REF, "stable")
    shown = {v["manifest"]: v for v in node.ok("volume", "show", REF, "--json").json()["versions"]}
    assert shown[first["manifest"]]["tags"] == ["v1"]
    assert shown[second["manifest"]]["tags"] == ["stable"]
    node.ok("pull", REF + ":stable", work / "new")
    assert (work / "new" / "config.json").read_text() == "{}\n"
    node.ok("pull", REF + ":v1", work / "old")
    assert (work / "old" / "config.json").read_text() != "{}\n"
    (listed,) = node.ok("volume", "ls", "--json").json()["volumes"]
    assert (listed["namespace"], listed["volume"], listed["versions"]) == ("team", "base", 2)
    assert listed["head"] == second["manifest"]
    text = node.ok("volume", "show", REF).out
    assert "stable" in text and "v1" in text
    assert REF in node.ok("volume", "ls").out


def test_what_does_not_exist_and_what_is_no_name(node, work):
    for ref in ("bdn:team/nothing", REF + ":nothing", REF + "@0123456789ab"):
        done = node.bdn("pull", ref, work / "out")
        assert done.code == 5, done
        assert not (work / "out").exists()
    for ref in ("team/base", "bdn:team", "bdn:../x", "bdn:Team/base", "bdn:team/base:a b"):
        done = node.bdn("pull", ref, work / "out")
        assert done.code == 1, done
    done = node.bdn("volume", "push", work / "no-directory", REF)
    assert done.code == 5 and "no-directory" in done.err


def test_a_pull_does_not_touch_a_directory_with_content(node, tree, work):
    node.ok("volume", "push", tree, REF)
    (work / "mine").mkdir()
    (work / "mine" / "file").write_text("mine")
    done = node.bdn("pull", REF, work / "mine")
    assert done.code == 6 and "not empty" in done.err
    assert [p.name for p in (work / "mine").iterdir()] == ["file"]


def test_a_mount_on_the_host_is_read_only_survives_a_restart_and_goes(node, tree, work):
    node.ok("volume", "push", tree, REF)
    target = work / "mounted"
    node.ok("mount", REF, target)
    assert str(target) in mount_points()
    assert tree_of(target) == tree_of(tree)
    with pytest.raises(OSError) as refused:
        (target / "config.json").write_text("x")
    assert refused.value.errno == errno.EROFS
    node.process.kill()
    assert tree_of(target)[0] == tree_of(tree)[0]
    node.start()
    (listed,) = node.ok("mount", "--list", "--json").json()["mounts"]
    assert (listed["target"], listed["state"]) == (str(target), "ready")
    assert node.bdn("mount", REF, target).code != 0, "something is mounted there"
    node.ok("unmount", target)
    assert str(target) not in mount_points()
    assert node.ok("mount", "--list", "--json").json()["mounts"] == []
    assert node.bdn("unmount", target).code == 5


def test_a_mount_in_use_goes_only_lazily(node, tree, work):
    node.ok("volume", "push", tree, REF)
    target = work / "mounted"
    node.ok("mount", REF, target)
    with open(target / "config.json", encoding="utf-8") as in_use:
        busy = node.bdn("unmount", target)
        assert busy.code == 7 and "a process still uses it" in busy.err, busy
        node.ok("unmount", target, "--lazy")
        assert in_use.read()
    assert str(target) not in mount_points()


def test_a_deployment_can_be_mounted_on_the_host(start, small_model, work):
    hub = start.hub({REPO: small_model})
    node = start.node(hub.url)
    target = work / "there"
    node.push(write_config(
        work / "m", [{"source": f"hf://{REPO}", "mount_location": str(target)}], model_name="m"),
        "--wait")
    node.ok("mount", "m")
    assert tree_of(target) == tree_of(small_model)
    node.ok("unmount", target)


# --- garbage ---


def gc(node, *options):
    return node.ok("gc", "--grace", "0", "--json", *options).json()


def test_gc_takes_what_nothing_names_and_a_dry_run_says_the_same(start, small_model, work):
    other = make_small_model(work / "other", seed=50)
    hub = start.hub({REPO: small_model, "acme/other": other})
    node = start.node(hub.url)
    for name, repo in (("kept", REPO), ("gone", "acme/other")):
        node.push(write_config(
            work / name, [{"source": f"hf://{repo}", "mount_location": f"/bdn-e2e-gc/{name}"}],
            model_name=name), "--wait")
    everything = node.object_count()
    assert gc(node)["deleted"] == 0
    node.ok("deactivate", "gone")
    dry = gc(node, "--dry-run")
    assert dry["deleted"] > 0 and dry["dry_run"] is True
    assert node.object_count() == everything
    real = gc(node)
    assert {k: v for k, v in real.items() if k != "dry_run"} == {
        k: v for k, v in dry.items() if k != "dry_run"}
    assert node.object_count() == everything - real["deleted"]
    assert gc(node)["deleted"] == 0
    assert node.ok("run", "kept", "--", "cat", "/bdn-e2e-gc/kept/config.json").out == (
        small_model / "config.json").read_text()
    assert node.bdn("run", "gone", "--", "true").code != 0


def test_what_gc_took_is_mirrored_again_on_activation(start, small_model, work):
    hub = start.hub({REPO: small_model})
    node = start.node(hub.url)
    node.push(write_config(
        work / "m", [{"source": f"hf://{REPO}", "mount_location": "/bdn-e2e-gc/m"}],
        model_name="m"), "--wait")
    node.ok("deactivate", "m")
    assert gc(node)["deleted"] > 0
    assert node.object_count() == 0
    node.ok("activate", "m")
    assert node.ok("watch", "m", "--json").json()["status"] == "ACTIVE"
    assert node.ok("run", "m", "--", "cat", "/bdn-e2e-gc/m/config.json").out == (
        small_model / "config.json").read_text()


def test_gc_keeps_tagged_versions_and_heads(node, tree, work):
    node.ok("volume", "push", tree, REF + ":v1")
    (tree / "config.json").write_text("two\n")
    node.ok("volume", "push", tree, REF)
    (tree / "config.json").write_text("three\n")
    node.ok("volume", "push", tree, REF)
    assert gc(node)["deleted"] == 2, "the second version's manifest and its config.json"
    node.ok("pull", REF + ":v1", work / "v1")
    node.ok("pull", REF, work / "head")
    assert (work / "head" / "config.json").read_text() == "three\n"


def test_the_grace_period_spares_what_is_young(node, tree):
    node.ok("volume", "push", tree, REF)
    (tree / "config.json").write_text("two\n")
    node.ok("volume", "push", tree, REF)
    assert node.ok("gc", "--json").json()["deleted"] == 0
    assert json.loads(node.ok("gc", "--grace", "3600", "--json").out)["deleted"] == 0
