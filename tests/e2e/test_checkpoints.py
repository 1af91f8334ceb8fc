"""Training checkpoints: push, watch, deploy by bt://, and that a deployment copies nothing."""

import json
import os
import signal
import threading
import time

import pytest
from harness import (
    CHUNK, MIB, pseudo_random, tree_of, wait_until, write_config, write_safetensors,
)

PUSH = ("--project", "demo", "--job", "run-7")


@pytest.fixture
def node(start):
    return start.node()


def make_checkpoint(root, seed=1, big=CHUNK + 300_000):
    """What a trainer leaves: weights of two chunks, small files, a folder, a link, an empty file."""
    root.mkdir(parents=True)
    write_safetensors(root / "adapter_model.safetensors", pseudo_random(big, seed))
    (root / "adapter_config.json").write_text(
        json.dumps({"base_model_name_or_path": "acme/base", "r": 16, "seed": seed}))
    (root / "optimizer").mkdir()
    (root / "optimizer" / "state.pt").write_bytes(pseudo_random(100_000, seed + 100))
    (root / "empty.txt").write_bytes(b"")
    (root / "trainer_state.json").write_text(json.dumps({"global_step": seed}))
    return root


def deploy(node, work, source, name="m", location="/models/m", **item):
    config = write_config(work / f"config-{name}",
                          [{"source": source, "mount_location": str(location), **item}],
                          model_name=name)
    return node.push(config, "--wait")


def mounted_tree(node, name, location, work):
    """Runs the deployment on its mounts and copies what its server sees."""
    out = work / f"seen-{name}"
    node.ok("run", name, "--", "cp", "-a", f"{location}/.", out)
    return tree_of(out)


def stored(node):
    """Name → (inode, bytes) of every object of the origin."""
    origin = node.data / "origin"
    return {str(p.relative_to(origin)): (p.stat().st_ino, p.stat().st_size)
            for p in origin.rglob("*") if p.is_file() and "tmp" not in p.relative_to(origin).parts}


def checkpoints(node):
    listed = node.ok("checkpoint", "ls", "--json").json()["checkpoints"]
    return {c["checkpoint_id"]: c["sync_status"] for c in listed}


def test_a_deployment_of_a_checkpoint_has_its_bytes_and_copies_nothing(node, work, location):
    checkpoint = make_checkpoint(work / "out" / "checkpoint-10")
    (checkpoint / "latest.pt").symlink_to("optimizer/state.pt")
    pushed = node.ok("checkpoint", "push", checkpoint, *PUSH, "--json").json()
    assert pushed["sync_status"] == "COMPLETE" and pushed["checkpoint_id"] == "checkpoint-10"
    assert (pushed["checkpoint_type"], pushed["base_model"]) == ("lora", "acme/base")
    before = stored(node)
    deployment = deploy(node, work, "bt://demo", location=location)
    (mount,) = node.status(deployment["id"])["mounts"]
    assert mount["pin"] == f"run-7/checkpoint-10@{pushed['manifest']}"
    assert mount["manifest"] == pushed["manifest"]
    assert mount["bytes_reused"] == mount["bytes"] == pushed["size_bytes"]
    assert stored(node) == before, "objects, their inodes and their sizes are as they were"
    assert mounted_tree(node, "m", location, work) == tree_of(checkpoint)
    assert os.readlink(work / "seen-m" / "latest.pt") == "optimizer/state.pt"
    assert stored(node) == before


def test_patterns_apply_without_a_copy(node, work, location):
    checkpoint = make_checkpoint(work / "checkpoint-10")
    node.ok("checkpoint", "push", checkpoint, *PUSH)
    before = stored(node)
    deploy(node, work, "bt://demo", location=location, allow_patterns=["*.safetensors", "*.json"],
           ignore_patterns=["trainer_state.json"])
    added = set(stored(node)) - set(before)
    assert len(added) == 1, "one manifest, which names the same objects"
    assert {k: v for k, v in stored(node).items() if k in before} == before
    files, directories = mounted_tree(node, "m", location, work)
    assert set(files) == {"adapter_model.safetensors", "adapter_config.json"} and not directories
    assert files.items() <= tree_of(checkpoint)[0].items()
    failed = node.bdn("push", write_config(
        work / "none", [{"source": "bt://demo", "mount_location": "/x",
                         "allow_patterns": ["*.gguf"]}], model_name="none"), "--wait")
    assert failed.code != 0 and "No files matched weights filters" in failed.err, failed


def test_a_second_push_stores_nothing_and_other_content_is_refused(node, work):
    checkpoint = make_checkpoint(work / "checkpoint-10")
    first = node.ok("checkpoint", "push", checkpoint, *PUSH, "--json").json()
    before = stored(node)
    again = node.ok("checkpoint", "push", checkpoint, *PUSH, "--json").json()
    assert again["manifest"] == first["manifest"]
    assert again["bytes_reused"] == first["size_bytes"]
    assert stored(node) == before
    (checkpoint / "trainer_state.json").write_text("{}")
    refused = node.bdn("checkpoint", "push", checkpoint, *PUSH)
    assert refused.code == 6 and "is complete with other content" in refused.err, refused
    copied = node.ok("checkpoint", "push", checkpoint, *PUSH, "--name", "other", "--json").json()
    assert copied["manifest"] != first["manifest"]
    assert copied["bytes_reused"] > 0.9 * copied["size_bytes"], "only what is new is sent"


def test_latest_moves_but_a_deployment_stays_where_it_was_pinned(node, work, location):
    node.ok("checkpoint", "push", make_checkpoint(work / "checkpoint-10", 1), *PUSH)
    deploy(node, work, "bt://demo@latest", name="first", location=location)
    node.ok("checkpoint", "push", make_checkpoint(work / "checkpoint-20", 2), *PUSH)
    deploy(node, work, "bt://demo@latest", name="second", location=location)
    newer = ("--project", "demo", "--job", "run-8")
    node.ok("checkpoint", "push", make_checkpoint(work / "checkpoint-5", 3), *newer)
    deploy(node, work, "bt://demo", name="third", location=location)
    deploy(node, work, "bt://demo@run-7", name="fourth", location=location)
    deploy(node, work, "bt://demo@run-7/checkpoint-10", name="fifth", location=location)
    expected = {"first": 10, "second": 20, "third": 5, "fourth": 20, "fifth": 10}
    for name, step in expected.items():
        assert mounted_tree(node, name, location, work) == tree_of(work / f"checkpoint-{step}"), name


def test_the_loops_form(node, work, location):
    sampler = make_checkpoint(work / "sampler", 1, big=100_000)
    trainer = make_checkpoint(work / "trainer", 2, big=100_000)
    run = ("--project", "demo", "--job", "k4q95w5", "--name")
    node.ok("checkpoint", "push", sampler, *run, "sampler_weights/step-100")
    node.ok("checkpoint", "push", trainer, *run, "weights/step-100")
    before = stored(node)
    deploy(node, work, "bt://loops:k4q95w5/sampler_weights/step-100", name="s", location=location)
    deploy(node, work, "bt://loops:k4q95w5/weights/step-100", name="t", location=location)
    assert stored(node) == before
    assert mounted_tree(node, "s", location, work) == tree_of(sampler)
    assert mounted_tree(node, "t", location, work) == tree_of(trainer)
    for kind, tree in {"weights": trainer, "sampler_weights": sampler}.items():
        # One name of it everywhere, which says the target and is a source.
        named = f"bt://demo@k4q95w5/{kind}/step-100"
        assert named in node.ok("checkpoint", "ls").out
        for ref in (f"bt://loops:k4q95w5/{kind}/step-100", named):
            shown = node.ok("checkpoint", "show", ref, "--json").json()
            assert {f["path"] for f in shown["files"]} == set(tree_of(tree)[0]), ref
            assert (shown["source"], shown["project"]) == (named, "demo"), ref
            assert shown["checkpoint_id"] == f"{kind}/step-100", ref
            text = node.ok("checkpoint", "show", ref).out
            assert f"source      {named}\n" in text and f"checkpoint  {kind}/step-100\n" in text
    for name, kind in {"s": "sampler_weights", "t": "weights"}.items():
        (mount,) = node.status(name)["mounts"]
        assert mount["pin"].startswith(f"k4q95w5/{kind}/step-100@b3:")


def test_what_is_no_checkpoint_leaves_nothing_on_the_control_plane(node, work):
    lone = work / "lone"
    (lone / "empty").mkdir(parents=True)
    (lone / "dangling").symlink_to("nowhere")
    refused = node.bdn("checkpoint", "push", lone, "--project", "typo", "--job", "j1")
    assert refused.code == 1 and "a checkpoint needs at least one file" in refused.err, refused
    refused = node.bdn("checkpoint", "push", make_checkpoint(work / "c", big=1000),
                       "--project", "typo", "--job", "j1", "--complete-marker", "DONE")
    assert refused.code == 7, refused
    assert node.get("/v1/training_projects")["training_projects"] == []


def test_a_project_without_a_complete_checkpoint_says_how_to_look(node, work):
    big = make_checkpoint(work / "checkpoint-20", 2, big=6 * CHUNK)
    push = node.spawn("checkpoint", "push", big, "--project", "typo", "--job", "j1")
    wait_until(lambda: checkpoints(node), what="a checkpoint that is begun")
    push.kill()
    config = write_config(work / "c", [{"source": "bt://typo", "mount_location": "/x"}],
                          model_name="c")
    refused = node.bdn("push", config, "--wait")
    assert refused.code != 0 and "has a complete checkpoint yet" in refused.err, refused
    assert "bdn checkpoint ls --project typo" in refused.err, refused
    shown = node.bdn("checkpoint", "show", "bt://typo")
    assert "bdn checkpoint ls --project typo" in shown.err, shown


def test_explain_says_with_which_key_a_checkpoint_is_read(node, work):
    node.ok("checkpoint", "push", make_checkpoint(work / "checkpoint-10", big=1000), *PUSH)
    config = write_config(work / "c", [{"source": "bt://demo", "mount_location": "/x"}],
                          model_name="c")
    explained = node.ok("validate", config, "--explain").out
    assert "the control plane's training store is read with its API key" in explained
    assert "anonymously" not in explained


def test_what_is_named_wrongly_says_what_there_is(node, work):
    node.ok("checkpoint", "push", make_checkpoint(work / "checkpoint-10", big=1000), *PUSH)
    for source, text in {
        "bt://nothing": "there is no training project 'nothing'; there is: demo",
        "bt://demo@run-9": "has no job 'run-9'; it has: run-7",
        "bt://demo@run-7/checkpoint-11": "has no checkpoint 'checkpoint-11'; it has: checkpoint-10",
        "bt://loops:run-7/weights/step-1": "the loops run 'run-7' has no trainer checkpoint",
    }.items():
        config = write_config(work / "wrong", [{"source": source, "mount_location": "/x"}],
                              model_name="wrong")
        done = node.bdn("push", config, "--wait")
        assert done.code != 0 and text in done.err, (source, done)
    shown = node.ok("checkpoint", "show", "bt://demo", "--json").json()
    assert {f["path"] for f in shown["files"]} == set(tree_of(work / "checkpoint-10")[0])
    assert "adapter_model.safetensors" in node.ok("checkpoint", "show", "demo@run-7").out
    assert node.bdn("checkpoint", "push", work / "nowhere", *PUSH).code == 5
    assert node.bdn("checkpoint", "rm", "bt://demo").code == 1


def test_garbage_collection_keeps_what_is_deployed(node, work, location):
    first = make_checkpoint(work / "checkpoint-10", 1, big=100_000)
    second = make_checkpoint(work / "checkpoint-20", 2, big=100_000)
    node.ok("checkpoint", "push", first, *PUSH)
    node.ok("checkpoint", "push", second, *PUSH)
    deploy(node, work, "bt://demo@run-7/checkpoint-10", location=location)
    for name in ("checkpoint-10", "checkpoint-20"):
        node.ok("checkpoint", "rm", f"bt://demo@run-7/{name}")
    assert checkpoints(node) == {}
    before = set(stored(node))
    node.ok("gc", "--grace", "0")
    assert len(set(stored(node))) < len(before), "the second one is gone"
    assert mounted_tree(node, "m", location, work) == tree_of(first)
    node.ok("checkpoint", "push", first, *PUSH)


class Training(threading.Thread):
    """Writes checkpoints as trainers do, in small steps: into a temporary directory that is renamed
    in, or in place with the state file last and the weights growing after it."""

    def __init__(self, out):
        super().__init__()
        self.out = out
        self.failure = None

    def run(self):
        try:
            self.renamed(1)
            self.grown(2)
            self.renamed(3)
        except OSError as error:
            self.failure = error

    def grow(self, path, data):
        with open(path, "wb") as file:
            for at in range(0, len(data), len(data) // 5 + 1):
                file.write(data[at:at + len(data) // 5 + 1])
                file.flush()
                time.sleep(0.1)

    def renamed(self, step):
        temporary = self.out / f"tmp-checkpoint-{step}"
        temporary.mkdir(parents=True)
        (temporary / "trainer_state.json").write_text("{}")
        self.grow(temporary / "model.safetensors", pseudo_random(CHUNK + 1000, step))
        temporary.rename(self.out / f"checkpoint-{step}")

    def grown(self, step):
        directory = self.out / f"checkpoint-{step}"
        directory.mkdir()
        self.grow(directory / "optimizer.pt", pseudo_random(200_000, step))
        (directory / "trainer_state.json").write_text("{}")
        self.grow(directory / "model.safetensors", pseudo_random(3 * MIB, step))


def test_watch_pushes_what_a_training_completes_and_nothing_half(node, work, location):
    out = work / "out"
    (out / "runs").mkdir(parents=True)
    (out / "runs" / "events").write_text("log")
    watcher = node.spawn("checkpoint", "push", out, *PUSH, "--watch", "--quiet", "0.5", "--json")
    watcher.wait_for("watching")
    training = Training(out)
    training.start()
    seen = {}
    while training.is_alive() or set(seen.values()) != {"COMPLETE"} or len(seen) < 3:
        seen = checkpoints(node)
        for name, status in seen.items():
            if status != "COMPLETE":
                continue
            # What is complete is what the training has left, from the first moment on.
            shown = node.ok("checkpoint", "show", f"bt://demo@run-7/{name}", "--json").json()
            sizes = {f["path"]: f["size"] for f in shown["files"]}
            assert sizes == {k: v[0] for k, v in tree_of(out / name)[0].items()}
        assert watcher.popen.poll() is None, watcher.text()
        time.sleep(0.1)
    assert training.failure is None
    assert set(seen) == {"checkpoint-1", "checkpoint-2", "checkpoint-3"}
    watcher.signal(signal.SIGINT)
    assert watcher.wait() == 0, watcher.text()
    for step in (1, 2, 3):
        deploy(node, work, f"bt://demo@run-7/checkpoint-{step}", name=f"m{step}", location=location)
        assert mounted_tree(node, f"m{step}", location, work) == tree_of(out / f"checkpoint-{step}")


def test_a_syncing_checkpoint_is_never_deployed_and_a_killed_push_goes_on(node, work, location):
    make_checkpoint(work / "checkpoint-10", 1, big=100_000)
    node.ok("checkpoint", "push", work / "checkpoint-10", *PUSH)
    big = make_checkpoint(work / "checkpoint-20", 2, big=6 * CHUNK)
    before = len(stored(node))
    push = node.spawn("checkpoint", "push", big, *PUSH)
    wait_until(lambda: len(stored(node)) > before, what="a stored chunk")
    push.kill()
    assert checkpoints(node) == {"checkpoint-10": "COMPLETE", "checkpoint-20": "SYNCING"}
    deploy(node, work, "bt://demo", name="latest", location=location)
    assert mounted_tree(node, "latest", location, work) == tree_of(work / "checkpoint-10")
    config = write_config(work / "c", [{"source": "bt://demo@run-7/checkpoint-20",
                                        "mount_location": "/x"}], model_name="c")
    refused = node.bdn("push", config, "--wait")
    assert refused.code != 0 and "still SYNCING" in refused.err, refused
    files = node.get("/v1/training_projects/demo/jobs/run-7/checkpoint_files")
    assert {f["relative_file_name"].split("/")[1] for f in files["presigned_urls"]} == {
        "checkpoint-10"}
    done = node.ok("checkpoint", "push", big, *PUSH, "--json").json()
    assert done["bytes_reused"] > 0, "the chunks of the killed push are not sent again"
    deploy(node, work, "bt://demo", name="newer", location=location)
    assert mounted_tree(node, "newer", location, work) == tree_of(big)


def test_a_control_plane_that_dies_in_the_middle_of_a_push_has_nothing_half(node, work, location):
    big = make_checkpoint(work / "checkpoint-20", 2, big=6 * CHUNK)
    push = node.spawn("checkpoint", "push", big, *PUSH)
    wait_until(lambda: any(size >= CHUNK for _, size in stored(node).values()),
               what="a stored chunk")
    node.process.kill()
    assert push.wait() == 11, push.text()
    node.start()
    assert checkpoints(node) == {"checkpoint-20": "SYNCING"}
    done = node.ok("checkpoint", "push", big, *PUSH, "--json").json()
    assert done["bytes_reused"] > 0
    deploy(node, work, "bt://demo", location=location)
    assert mounted_tree(node, "m", location, work) == tree_of(big)


def test_a_killed_watcher_goes_on_where_it_was(node, work):
    out = work / "out"
    make_checkpoint(out / "checkpoint-1", 1, big=100_000)
    make_checkpoint(out / "checkpoint-2", 2, big=6 * CHUNK)
    argv = ("checkpoint", "push", out, *PUSH, "--watch", "--quiet", "0.2")
    watcher = node.spawn(*argv)
    wait_until(lambda: len(checkpoints(node)) == 2, what="the second checkpoint begun")
    watcher.kill()
    again = node.spawn(*argv)
    wait_until(lambda: checkpoints(node) == dict.fromkeys(["checkpoint-1", "checkpoint-2"],
                                                          "COMPLETE"), what="both complete")
    assert "checkpoint-1 is" not in again.text() or "COMPLETE" in again.text()
    again.signal(signal.SIGTERM)
    assert again.wait() == 0


def test_a_checkpoint_without_its_marker_is_not_pushed(node, work):
    checkpoint = make_checkpoint(work / "checkpoint-10", big=1000)
    refused = node.bdn("checkpoint", "push", checkpoint, *PUSH, "--complete-marker", "DONE")
    assert refused.code == 7 and "it has no DONE" in refused.err, refused
    assert checkpoints(node) == {}
    (checkpoint / "DONE").write_text("")
    node.ok("checkpoint", "push", checkpoint, *PUSH, "--complete-marker", "DONE")


def test_a_file_that_grows_while_it_is_pushed_is_never_visible(node, work):
    checkpoint = make_checkpoint(work / "checkpoint-10", big=4 * CHUNK)
    stop = threading.Event()

    def touch():
        while not stop.wait(0.005):
            os.utime(checkpoint / "optimizer" / "state.pt")

    writer = threading.Thread(target=touch)
    writer.start()
    refused = node.bdn("checkpoint", "push", checkpoint, *PUSH)
    stop.set()
    writer.join()
    assert refused.code == 7 and "changed while it was pushed" in refused.err, refused
    assert checkpoints(node) == {"checkpoint-10": "SYNCING"}
    node.ok("checkpoint", "push", checkpoint, *PUSH)
    assert checkpoints(node) == {"checkpoint-10": "COMPLETE"}


# --- a training store elsewhere ---


@pytest.fixture
def other(node, start):
    """A second control plane whose bt:// is the first one's training store."""
    key = json.loads((node.data / "client.json").read_text())["api_key"]
    other = start.stopped_node(name="other")
    other.env.update(BDN_BT_ENDPOINT=node.url, BDN_BT_API_KEY=key)
    return other.start()


def test_another_bdn_is_a_training_store(node, other, work, location):
    checkpoint = make_checkpoint(work / "checkpoint-10")
    node.ok("checkpoint", "push", checkpoint, *PUSH)
    node.ok("checkpoint", "push", checkpoint, *PUSH, "--name", "sampler_weights/step-1")
    deployment = deploy(other, work, "bt://demo@run-7/checkpoint-10", location=location)
    (mount,) = other.status(deployment["id"])["mounts"]
    assert mount["pin"].startswith("run-7/checkpoint-10@sha256:")
    assert mounted_tree(other, "m", location, work)[0] == tree_of(checkpoint)[0]
    again = deploy(other, work, "bt://demo@run-7/checkpoint-10", name="again", location=location,
                   ignore_patterns=["optimizer/*"])
    (mount,) = other.status(again["id"])["mounts"]
    assert mount["bytes_reused"] == mount["bytes"], "a second mirror fetches nothing"
    deploy(other, work, "bt://loops:run-7/sampler_weights/step-1", name="loops", location=location)
    (mount,) = other.status("loops")["mounts"]
    assert mount["pin"].startswith("run-7/sampler_weights/step-1@sha256:")
    assert mounted_tree(other, "loops", location, work)[0] == tree_of(checkpoint)[0]
    node.stop()
    assert mounted_tree(other, "again", location, work), "a start does not need the store"


def test_other_credentials_of_a_remote_store_fetch_nothing_again(node, other, work, location):
    node.ok("checkpoint", "push", make_checkpoint(work / "checkpoint-10"), *PUSH)
    source = "bt://demo@run-7/checkpoint-10"
    deploy(other, work, source, name="first", location=location)
    before = stored(other)
    first_key = other.env["BDN_BT_API_KEY"]
    created = node.ok("key", "create", "another").out.split()
    other.stop()
    other.env["BDN_BT_API_KEY"] = next(word for word in created if len(word) >= 32)
    assert other.env["BDN_BT_API_KEY"] != first_key
    other.start()
    # Patterns make a mirror of its own, which asks the store again.
    deploy(other, work, source, name="second", location=location, ignore_patterns=["none/*"])
    (mount,) = other.status("second")["mounts"]
    assert mount["bytes_reused"] == mount["bytes"] > 0
    # So does a secret in place of the variable.
    other.ok("secret", "set", "bt_key", stdin=first_key)
    deploy(other, work, source, name="third", location=location, auth_secret_name="bt_key")
    (mount,) = other.status("third")["mounts"]
    assert mount["bytes_reused"] == mount["bytes"] > 0
    assert {k: v for k, v in stored(other).items() if k in before} == before


def test_a_new_remote_checkpoint_is_fetched_whole_and_stored_once(node, other, work, location):
    """The store publishes no hashes: equal files of two checkpoints are known to be equal only
    after they were read."""
    make_checkpoint(work / "checkpoint-10")
    second = make_checkpoint(work / "checkpoint-20")
    (second / "trainer_state.json").write_text('{"global_step": 20}')
    node.ok("checkpoint", "push", work / "checkpoint-10", *PUSH)
    node.ok("checkpoint", "push", second, *PUSH)
    deploy(other, work, "bt://demo@run-7/checkpoint-10", name="first", location=location)
    before = stored(other)
    deploy(other, work, "bt://demo@run-7/checkpoint-20", name="second", location=location)
    (mount,) = other.status("second")["mounts"]
    assert mount["bytes"] > CHUNK and mount["bytes_reused"] == 0, "every file is fetched"
    after = stored(other)
    assert {k: v for k, v in after.items() if k in before} == before
    added = sum(size for key, (_, size) in after.items() if key not in before)
    assert added < 10_000, "the file that differs, and a manifest"
    assert mounted_tree(other, "second", location, work)[0] == tree_of(second)[0]


def test_a_remote_latest_is_pinned_and_syncing_is_refused(node, other, work, location):
    node.ok("checkpoint", "push", make_checkpoint(work / "checkpoint-10", 1, big=100_000), *PUSH)
    deploy(other, work, "bt://demo", name="first", location=location)
    node.ok("checkpoint", "push", make_checkpoint(work / "checkpoint-20", 2, big=100_000), *PUSH)
    deploy(other, work, "bt://demo", name="second", location=location)
    for name, step in {"first": 10, "second": 20}.items():
        assert mounted_tree(other, name, location, work)[0] == tree_of(
            work / f"checkpoint-{step}")[0]
    done = node.bdn("checkpoint", "push", make_checkpoint(work / "checkpoint-30", 3, big=1000),
                    *PUSH, "--complete-marker", "DONE")
    assert done.code == 7
    for source, text in {"bt://demo@run-7/checkpoint-30": "has no checkpoint 'checkpoint-30'",
                         "bt://nothing": "there is no training project 'nothing'"}.items():
        config = write_config(work / "bad", [{"source": source, "mount_location": "/x"}],
                              model_name="bad")
        refused = other.bdn("push", config, "--wait")
        assert refused.code != 0 and text in refused.err, refused


def test_a_wrong_key_says_so_and_shows_nothing(node, other, work):
    node.ok("checkpoint", "push", make_checkpoint(work / "checkpoint-10", big=1000), *PUSH)
    other.stop()
    other.env["BDN_BT_API_KEY"] = "not-the-key"
    other.start()
    config = write_config(work / "bad", [{"source": "bt://demo", "mount_location": "/x"}],
                          model_name="bad")
    refused = other.bdn("push", config, "--wait")
    assert refused.code != 0 and "does not accept the API key" in refused.err, refused
    assert "not-the-key" not in refused.err + other.process.text()


def test_ls_shows_what_would_be_mirrored(node, work):
    checkpoint = make_checkpoint(work / "checkpoint-10", big=1000)
    node.ok("checkpoint", "push", checkpoint, *PUSH)
    listed = node.ok("ls", "bt://demo", "--allow", "*.json", "--json").json()
    assert {f["path"] for f in listed["files"]} == {"adapter_config.json", "trainer_state.json"}
    assert listed["revision"].startswith("run-7/checkpoint-10@sha256:")
