"""Mirrored once, nothing is fetched again and nothing is stored twice."""

import pytest
from harness import (
    MIB, REPO, deployment_id, inodes, make_model, pseudo_random, sha256, tree_of, write_config,
    write_safetensors,
)


@pytest.fixture
def mirrored(start, work, location):
    """A hub, a node and a config of one deployment "first" that is mirrored."""
    repo = make_model(work / "repo", big=20 * MIB)
    hub = start.hub({REPO: repo}, "--token", "hf_one", "--token", "hf_two")
    node = start.node(hub.url)
    weights = {"source": f"hf://{REPO}", "mount_location": str(location)}
    config = write_config(work / "first", [weights], model_name="first")
    node.push(config, "--wait")
    return hub, node, repo, weights


def stored(node):
    """(objects at the origin, inodes of the node cache, bytes of the node cache)."""
    files = inodes(node.data / "cache" / "files")
    return node.object_count(), len(files), sum(p[0].stat().st_size for p in files.values())


def content_of(node, name, location):
    return node.ok("run", name, "--", "sh", "-c", f"cd {location} && find . -type f -print0 | "
                   "sort -z | xargs -0 sha256sum").out


def test_every_byte_of_a_mirror_is_fetched_once(mirrored):
    hub, _, repo, _ = mirrored
    assert sum(e["bytes"] for e in hub.content()) == sum(n for n, _ in tree_of(repo)[0].values())


def test_starts_work_with_the_source_gone(mirrored, location):
    hub, node, repo, _ = mirrored
    hub.stop()
    first = content_of(node, "first", location)
    assert sha256(repo / "model.safetensors") in first
    assert content_of(node, "first", location) == first


def test_starts_work_after_a_restart_with_the_source_gone(mirrored, location):
    hub, node, repo, _ = mirrored
    hub.stop()
    node.stop()
    node.start()
    assert sha256(repo / "model.safetensors") in content_of(node, "first", location)


def test_a_second_deployment_with_another_mount_and_auth_asks_for_no_content(
        mirrored, work, location):
    hub, node, _, weights = mirrored
    first = content_of(node, "first", location)
    before = stored(node)
    node.ok("secret", "set", "one", stdin="hf_one")
    hub.clear_log()
    other = location.parent / "elsewhere"
    second = {
        **weights, "mount_location": str(other),
        "auth": {"auth_method": "CUSTOM_SECRET", "auth_secret_name": "one"},
    }
    pushed = node.push(write_config(work / "second", [second], model_name="second"), "--wait")
    assert hub.content() == []
    assert hub.asked_files() == set()
    assert content_of(node, "second", other) == first
    assert stored(node) == before
    assert pushed["mounts"][0]["manifest"] == node.status("first")["mounts"][0]["manifest"]


def test_equal_files_are_one_inode_in_the_node_cache(mirrored, work, location):
    hub, node, repo, weights = mirrored
    content_of(node, "first", location)
    copy = work / "copy"
    make_model(copy, big=20 * MIB)
    (copy / "config.json").write_text('{"model_type": "other"}\n')
    hub._call("POST", "repository", {"repo": "acme/copy"})
    hub.commit(copy, repo="acme/copy")
    before = stored(node)
    weights = {**weights, "source": "hf://acme/copy"}
    node.push(write_config(work / "second", [weights], model_name="second"), "--wait")
    content_of(node, "second", location)
    after = stored(node)
    assert after[1] == before[1] + 1, "only config.json is new"
    assert after[2] - before[2] == (copy / "config.json").stat().st_size
    trees = [p for p in (node.data / "cache" / "trees").rglob("model.safetensors")]
    assert len(trees) == 2
    assert len({p.stat().st_ino for p in trees}) == 1


def test_a_change_of_patterns_fetches_only_the_new_files(start, work, location):
    repo = make_model(work / "repo", big=20 * MIB)
    hub = start.hub({REPO: repo})
    node = start.node(hub.url)
    weights = {"source": f"hf://{REPO}", "mount_location": str(location),
               "allow_patterns": ["*.safetensors"]}
    node.push(write_config(work / "a", [weights], model_name="a"), "--wait")
    assert hub.asked_files() == {"model.safetensors"}
    hub.clear_log()
    weights["allow_patterns"] = ["**/*.safetensors", "config.json"]
    pushed = node.push(write_config(work / "b", [weights], model_name="b"), "--wait")
    new = {"config.json", "unet/blocks/0/part.safetensors", "unet/blocks/1/part.safetensors"}
    assert hub.asked_files() == new
    assert sum(e["bytes"] for e in hub.content()) == sum((repo / n).stat().st_size for n in new)
    assert pushed["bytes_reused"] == (repo / "model.safetensors").stat().st_size
    listing = node.ok("run", "b", "--", "find", location, "-type", "f").out.split()
    assert len(listing) == 4


def test_a_new_revision_fetches_only_the_changed_file_and_the_first_stays_pinned(
        mirrored, work, location):
    hub, node, repo, weights = mirrored
    first = content_of(node, "first", location)
    pin = node.status("first")["mounts"][0]["pin"]
    changed = "unet/blocks/1/part.safetensors"
    write_safetensors(repo / changed, pseudo_random(250_000, 77))
    commit = hub.commit(repo)
    assert commit != pin
    hub.clear_log()
    second = node.push(write_config(work / "second", [weights], model_name="second"), "--wait")
    assert second["mounts"][0]["pin"] == commit
    assert hub.asked_files() == {changed}
    assert sum(e["bytes"] for e in hub.content()) == (repo / changed).stat().st_size
    assert node.status("first")["mounts"][0]["pin"] == pin
    assert content_of(node, "first", location) == first
    second_content = content_of(node, "second", location)
    assert second_content != first
    assert sha256(repo / changed) in second_content


def test_pushing_the_same_config_again_fetches_nothing(mirrored, work):
    hub, node, _, weights = mirrored
    before = stored(node)
    hub.clear_log()
    again = node.push(write_config(work / "again", [weights], model_name="again"), "--wait")
    assert deployment_id(again) != node.status("first")["id"]
    assert hub.content() == [] and hub.asked_files() == set()
    assert stored(node) == before


def test_two_pushes_at_once_are_one_download(start, big_model, work, location):
    hub = start.hub({REPO: big_model}, "--rate", str(8 * MIB))
    node = start.node(hub.url)
    weights = {"source": f"hf://{REPO}", "mount_location": str(location)}
    ids = [
        deployment_id(node.push(write_config(work / name, [weights], model_name=name)))
        for name in ("one", "two")
    ]
    for one in ids:
        assert node.ok("watch", one, "--json", timeout=90).json()["status"] == "ACTIVE"
    assert sum(e["bytes"] for e in hub.content()) == sum(
        n for n, _ in tree_of(big_model)[0].values())
