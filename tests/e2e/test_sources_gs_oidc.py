"""gs:// with GCP_OIDC end to end: no key anywhere. The stand-in for Google reads our issuer's documents and verifies its tokens."""

import json
import re
import socket

import pytest
from harness import MIB, make_model, write_config
from test_sources_gs import READER, SOURCE, FakeGoogle, content_of, digests

PROVIDER = "projects/123456789/locations/global/workloadIdentityPools/bdn/providers/bdn"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class World:
    """A control plane whose issuer the stand-in's pool knows, and a bucket that one service account may read."""

    def __init__(self, google, start, work, options=()):
        self.google = google
        port = free_port()
        self.issuer = f"http://localhost:{port}"
        self.node = start.stopped_node(listen=f"127.0.0.1:{port}", options=["--oidc-issuer", self.issuer, *options])
        self.node.env["BDN_GOOGLE_ENDPOINT"] = google.url
        self.node.start()
        google.call("POST", "bucket", bucket="weights", readers=[READER])

    def pool(self, **rest):
        """What an administrator does with the lines of `bdn oidc show`."""
        shown = self.node.ok("oidc", "show").out
        issuer = re.search(r"--issuer-uri=(\S+)", shown)[1]
        audience = re.search(r"--allowed-audiences=(\S+)", shown)[1]
        prefix = re.search(r"assertion\.sub\.startsWith\('([^']+)'\)", shown)[1]
        assert issuer == self.issuer
        self.google.call("POST", "provider", **{
            "name": PROVIDER, "issuer": issuer, "discovery_base": issuer.replace("localhost", "127.0.0.1"),
            "audiences": [audience], "subject_prefix": prefix, **rest})

    def bind(self):
        self.google.call("POST", "account", email=READER, bind=PROVIDER)

    def weights(self, location, provider=PROVIDER):
        return {"source": SOURCE, "mount_location": str(location),
                "auth": {"auth_method": "GCP_OIDC", "gcp_oidc_service_account": READER,
                         "gcp_oidc_workload_id_provider": provider}}

    def push(self, work, location, name="tiny", **rest):
        config = write_config(work / name, [self.weights(location, **rest)], model_name=name)
        return self.node.bdn("push", config, "--wait", "--json")

    def calls(self, server):
        return [e["status"] for e in self.google.log() if e["server"] == server]


@pytest.fixture
def world(start, work):
    google = FakeGoogle(work, "--bucket", "weights", "--page-size", "4")
    yield World(google, start, work)
    google.stop()


@pytest.fixture
def repo(world, work):
    repo = make_model(work / "repo", big=20 * MIB)
    world.google.publish(repo)
    return repo


@pytest.mark.parametrize("prefix", ["", "//iam.googleapis.com/"])
def test_push_mirror_run_without_any_key(world, repo, work, location, prefix):
    world.pool()
    world.bind()
    pushed = world.push(work, location, provider=prefix + PROVIDER)
    assert pushed.code == 0, f"{pushed}\n{world.node.process.text()}"
    assert content_of(world.node, "tiny", location) == digests(repo)
    assert (world.calls("sts"), world.calls("iam")) == ([200], [200])
    assert world.calls("oauth2") == []
    # The same source again fetches nothing; one object that changed is one object fetched.
    world.google.clear_log()
    assert world.push(work, location, "again").code == 0
    assert world.google.downloads() == []
    world.google.call("POST", "objects", bucket="weights", name="models/tiny/config.json", text='{"other": 1}')
    assert world.push(work, location, "changed").code == 0
    assert world.google.asked_objects() == {"models/tiny/config.json"}
    log = world.node.process.text()
    assert not any(secret in log for secret in ("eyJ", "ya29.", "subject_token", "PRIVATE KEY"))


def test_tokens_that_end_in_the_middle_are_renewed(world, repo, work, location):
    world.pool()
    world.bind()
    world.google.call("POST", "faults", kind="status", path_prefix="/download/", status=401, skip=2, count=1)
    assert world.push(work, location).code == 0
    assert len(world.calls("iam")) == 2 and len(world.calls("sts")) == 1
    assert content_of(world.node, "tiny", location) == digests(repo)


@pytest.mark.parametrize("setup, part", [
    (lambda w: None, "pool or its provider does not exist"),
    (lambda w: w.pool(disabled=True), "is disabled"),
    (lambda w: w.pool(subject_prefix="v=1:org=somebody-else:"), "attribute condition refuses this workload"),
    (lambda w: w.pool(issuer="https://another.test"), "does not take tokens of this issuer"),
    (lambda w: w.pool(audiences=["another"]), "set its allowed audiences to the issuer's"),
    (lambda w: w.pool(), "grant roles/iam.workloadIdentityUser"),
], ids=["pool", "disabled", "condition", "issuer", "audience", "binding"])
def test_what_is_missing_is_named(world, repo, work, location, setup, part):
    setup(world)
    world.google.call("POST", "account", email=READER)
    pushed = world.push(work, location)
    assert pushed.code == 1
    assert part in pushed.json()["error"]["message"], pushed
    assert world.google.downloads() == []


def test_a_provider_by_the_projects_id_and_a_missing_issuer_are_said(world, start, work, location):
    pushed = world.push(work, location, provider=PROVIDER.replace("123456789", "my-project"))
    assert "the project's number is needed" in pushed.json()["error"]["message"], pushed
    node = start.stopped_node(name="plain")
    node.env["BDN_GOOGLE_ENDPOINT"] = world.google.url
    node.start()
    done = node.bdn("push", write_config(work / "m", [world.weights(location)], model_name="m"), "--wait", "--json")
    assert done.code == 1
    assert "need an OIDC issuer" in json.loads(done.out)["error"]["message"], done
