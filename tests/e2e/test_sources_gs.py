"""gs:// sources with the real programs, against the stand-in for Google, which verifies every signature and right."""

import json
import urllib.parse
import urllib.request

import pytest
from harness import (
    BUILD_DIR, CHUNK, MIB, Process, make_model, pseudo_random, sha256, tree_of, write_config, write_safetensors,
)

GOOGLE = BUILD_DIR / "bdn-fake-google"
READER = "reader@fake-project.iam.gserviceaccount.com"
SOURCE = "gs://weights/models/tiny"


class FakeGoogle:
    """bdn-fake-google over directories: {bucket: directory}."""

    def __init__(self, work, *options):
        self.process = Process([GOOGLE, *options], work / "google.log")
        self.url = self.process.wait_for(r"fake google ready at (\S+)")[1]

    def call(self, method, path, **body):
        data = json.dumps(body).encode() if method == "POST" else None
        request = urllib.request.Request(f"{self.url}/_fake/{path}", data=data, method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def publish(self, directory, prefix="models/tiny/", bucket="weights"):
        self.call("POST", "objects", bucket=bucket, dir=str(directory), prefix=prefix)

    def account(self, email=READER, **rest):
        return json.dumps(self.call("POST", "account", email=email, **rest))

    def log(self):
        return self.call("GET", "log")

    def clear_log(self):
        self.call("DELETE", "log")

    def downloads(self):
        """Requests that carried bytes of objects."""
        return [e for e in self.log() if e["path"].startswith("/download/") and e["status"] in (200, 206)]

    def asked_objects(self):
        return {urllib.parse.unquote(e["path"].rsplit("/", 1)[1]) for e in self.downloads()}

    def stop(self):
        self.process.stop()


@pytest.fixture
def google(work):
    google = FakeGoogle(work, "--bucket", "weights", "--page-size", "4")
    yield google
    google.stop()


@pytest.fixture
def node(start, google):
    node = start.stopped_node()
    node.env["BDN_GOOGLE_ENDPOINT"] = google.url
    return node.start()


def push(node, work, name, location, source=SOURCE, secret="gcs", **rest):
    auth = {"auth": {"auth_method": "CUSTOM_SECRET", "auth_secret_name": secret}} if secret else {}
    weights = {"source": source, "mount_location": str(location), **auth, **rest}
    return node.push(write_config(work / name, [weights], model_name=name), "--wait")


def failed(node, work, location, source=SOURCE, **rest):
    weights = {"source": source, "mount_location": str(location), **rest}
    done = node.bdn("push", write_config(work / "failing", [weights], model_name="failing"), "--wait")
    assert done.code == 1, done
    return done.err


def content_of(node, name, location):
    lines = node.ok("run", name, "--", "sh", "-c", f"cd {location} && find . -type f -print0 | "
                    "sort -z | xargs -0 sha256sum -z").out.split("\0")
    return {line[66:].removeprefix("./"): line[:64] for line in lines if line}


def digests(directory):
    return {name: digest for name, (_, digest) in tree_of(directory)[0].items()}


def test_a_bucket_is_mirrored_with_a_key_and_every_byte_is_the_same(node, google, work, location):
    repo = make_model(work / "repo", big=2 * CHUNK + 12345)
    google.publish(repo)
    google.publish(repo, prefix="models/tiny-v2/")
    node.ok("secret", "set", "gcs", stdin=google.account())
    push(node, work, "one", location)
    assert content_of(node, "one", location) == digests(repo)
    assert sum(e["bytes"] for e in google.downloads()) == sum(n for n, _ in tree_of(repo)[0].values())
    assert all("generation=" in e["query"] for e in google.downloads())
    assert sum(1 for e in google.log() if e["server"] == "oauth2") == 1
    assert "PRIVATE KEY" not in node.process.text() and "ya29." not in node.process.text()


def test_pushed_again_or_with_other_credentials_fetches_nothing_and_a_change_fetches_one_object(
        node, google, work, location):
    repo = make_model(work / "repo", big=3 * MIB)
    google.publish(repo)
    node.ok("secret", "set", "gcs", stdin=google.account())
    push(node, work, "one", location)
    first = content_of(node, "one", location)
    google.clear_log()
    push(node, work, "two", location)
    assert google.downloads() == []
    other = "other@fake-project.iam.gserviceaccount.com"
    node.ok("secret", "set", "second", stdin=google.account(other))
    push(node, work, "three", location, secret="second")
    assert google.downloads() == []
    changed = "unet/blocks/1/part.safetensors"
    write_safetensors(repo / changed, pseudo_random(250_000, 77))
    google.call("POST", "objects", bucket="weights", name="models/tiny/new.txt", text="new\n")
    (work / "part").mkdir()
    (work / "part" / "part.safetensors").write_bytes((repo / changed).read_bytes())
    google.publish(work / "part", prefix="models/tiny/unet/blocks/1/")
    push(node, work, "four", location)
    assert google.asked_objects() == {f"models/tiny/{changed}", "models/tiny/new.txt"}
    second = content_of(node, "four", location)
    assert second[changed] == sha256(repo / changed)
    assert second.keys() == first.keys() | {"new.txt"}
    assert content_of(node, "one", location) == first, "the first stays what it was"


def test_objects_that_are_stored_compressed_are_mounted_decompressed(node, google, work, location):
    text = json.dumps({"model_type": "tiny", "list": list(range(50_000))})
    google.call("POST", "objects", bucket="weights", name="models/tiny/config.json", text=text, gzip=True)
    google.call("POST", "objects", bucket="weights", name="models/tiny/composed.bin", text="parts", composed=True)
    node.ok("secret", "set", "gcs", stdin=google.account())
    push(node, work, "one", location)
    assert node.ok("run", "one", "--", "cat", location / "config.json").out == text
    assert node.ok("run", "one", "--", "cat", location / "composed.bin").out == "parts"
    google.clear_log()
    push(node, work, "two", location)
    assert google.downloads() == []
    google.call("POST", "objects", bucket="weights", name="models/tiny/lie.json", text="{}", content_encoding="gzip")
    auth = {"auth": {"auth_method": "CUSTOM_SECRET", "auth_secret_name": "gcs"}}
    assert "'lie.json' is said to be compressed" in failed(node, work, location, **auth)
    push(node, work, "three", location, ignore_patterns=["lie.json"])


def test_faults_on_the_way_are_survived(node, google, work, location):
    repo = make_model(work / "repo", big=2 * CHUNK + 5)
    google.publish(repo)
    for fault in (
            {"kind": "status", "server": "oauth2", "status": 503, "count": 1},
            {"kind": "status", "path_prefix": "/storage/", "status": 500, "count": 2},
            {"kind": "reset-after", "path_prefix": "/download/", "after_bytes": 5 * MIB, "count": 2},
            {"kind": "truncate", "path_prefix": "/download/", "after_bytes": MIB, "count": 1},
            {"kind": "gzip", "path_suffix": "model.safetensors", "count": 1},
            {"kind": "status", "path_prefix": "/download/", "status": 401, "count": 1},
            {"kind": "status", "path_prefix": "/download/", "status": 429, "headers": {"Retry-After": "1"}, "count": 1}):
        google.call("POST", "faults", **fault)
    node.ok("secret", "set", "gcs", stdin=google.account())
    push(node, work, "one", location)
    assert content_of(node, "one", location) == digests(repo)
    assert {"reset-after", "truncate", "gzip", "status"} <= {e["fault"] for e in google.log()}


def test_missing_credentials_are_said_word_for_word(node, google, work, location):
    assert "no credentials configured: need either OIDC config or secret_id" in failed(node, work, location)
    auth = {"auth": {"auth_method": "CUSTOM_SECRET", "auth_secret_name": "gcs"}}
    assert "secret_id is required" in failed(node, work, location, **auth)


def test_errors_name_the_permission_and_the_fix(node, google, work, location):
    auth = {"auth": {"auth_method": "CUSTOM_SECRET", "auth_secret_name": "gcs"}}
    google.call("POST", "bucket", bucket="closed", readers=["nobody@x"])
    key = google.account()
    node.ok("secret", "set", "gcs", stdin=key)
    assert "roles/storage.objectViewer" in failed(node, work, location, source="gs://closed", **auth)
    assert "there is no such bucket" in failed(node, work, location, source="gs://nowhere", **auth)
    assert "nothing lies below 'none/'" in failed(node, work, location, source="gs://weights/none", **auth)
    google.call("POST", "account", email=READER, delete_keys=True)
    assert "the key was deleted" in failed(node, work, location, **auth)
    evil = {**json.loads(key), "token_uri": "http://169.254.169.254/token"}
    # Also where nobody checked it when it was set.
    done = node.bdn("ls", SOURCE, "--token-file", "-", stdin=json.dumps(evil), env={"BDN_GOOGLE_ENDPOINT": google.url})
    assert done.code == 1 and "not an address of Google: refused" in done.err, done


def test_ls_shows_what_push_would_take(node, google, work):
    google.publish(make_model(work / "repo", big=MIB))
    (work / "key.json").write_text(google.account())
    listed = node.ok("ls", SOURCE, "--token-file", work / "key.json", "--allow", "*.json", "--json").json()
    assert [f["path"] for f in listed["files"]] == ["config.json"]
    assert listed["listed"] == 11
    assert google.downloads() == []
