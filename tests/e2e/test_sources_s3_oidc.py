"""s3:// with AWS_OIDC end to end: Ceph's own STS verifies tokens of our issuer, and its gateway the keys."""

import json
import secrets
import socket
import subprocess
import sys
import urllib.request

import pytest
from harness import MIB, deployment_id, make_model, pseudo_random, tree_of, wait_until, write_config
from test_run import LOOK

PREFIX = "models/w"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def keys_of(issuer):
    with urllib.request.urlopen(issuer + "/.well-known/jwks.json", timeout=10) as answer:
        return json.load(answer)["keys"]


class World:
    """A bucket with a model that only a role may read, and a control plane whose issuer Ceph knows."""

    def __init__(self, rgw, start, work, options=()):
        self.rgw = rgw
        self.root = make_model(work / "repo", big=20 * MIB)
        self.bucket = "weights-" + secrets.token_hex(4)
        self.s3 = rgw.client("s3")
        self.s3.create_bucket(Bucket=self.bucket)
        for name in tree_of(self.root)[0]:
            self.upload(name)
        port = free_port()
        self.issuer = f"http://localhost:{port}/id"
        self.audience = f"localhost:{port}/id"
        self.node = start.stopped_node(
            listen=f"127.0.0.1:{port}", options=["--oidc-issuer", self.issuer, *options])
        self.node.env.update(AWS_ENDPOINT_URL_S3=rgw.endpoint, AWS_ENDPOINT_URL_STS=rgw.endpoint)
        self.node.start()

    def upload(self, name):
        self.s3.put_object(Bucket=self.bucket, Key=f"{PREFIX}/{name}", Body=(self.root / name).read_bytes())

    def show(self):
        return self.node.ok("oidc", "show", "--json").json()

    def trust(self):
        """What an administrator does with the lines of `bdn oidc show`; gives the role."""
        shown = self.show()
        assert (shown["issuer"], shown["audience"]) == (self.issuer, self.audience)
        self.rgw.add_oidc_provider(shown["issuer"], [shown["audience"]], shown["keys"][0]["thumbprint"])
        return self.rgw.add_web_identity_role(
            "bdn-" + secrets.token_hex(4), shown["issuer"], shown["audience"], self.bucket)

    def weights(self, role, location):
        return {"source": f"s3://{self.bucket}/{PREFIX}", "mount_location": str(location),
                "auth": {"auth_method": "AWS_OIDC", "aws_oidc_role_arn": role, "aws_oidc_region": "us-east-1"}}

    def push(self, work, role, location, name="tiny"):
        config = write_config(work / name, [self.weights(role, location)], model_name=name)
        return self.node.bdn("push", config, "--wait", "--json")

    def fetched(self):
        """Names below PREFIX whose content was asked for, since `rgw.forget_requests`."""
        start = f"/{self.bucket}/{PREFIX}/"
        return {e["path"].removeprefix(start) for e in self.rgw.requests()
                if e["method"] == "GET" and e["path"].startswith(start)}

    def assumed(self):
        """Statuses of the calls of STS, the only POSTs."""
        return [e["status"] for e in self.rgw.requests() if e["method"] == "POST" and e["path"] == "/"]


@pytest.fixture
def world(rgw_sts, start, work):
    return World(rgw_sts, start, work)


def test_push_mirror_run_without_a_stored_key(world, work, location):
    role = world.trust()
    world.rgw.forget_requests()
    pushed = world.push(work, role, location)
    assert pushed.code == 0, f"{pushed}\n{world.node.process.text()}"
    assert world.assumed() == [200]
    seen = world.node.ok("run", "tiny", "--", sys.executable, "-c", LOOK, location)
    files, directories = seen.json()
    want_files, want_directories = tree_of(world.root)
    assert {name: tuple(v) for name, v in files.items()} == want_files
    assert set(directories) == want_directories
    # The same source again fetches nothing; one object that changed is one object fetched.
    world.rgw.forget_requests()
    assert world.push(work, role, location, "again").code == 0
    assert world.fetched() == set()
    (world.root / "config.json").write_text('{"model_type": "other"}\n')
    world.upload("config.json")
    world.rgw.forget_requests()
    assert world.push(work, role, location, "changed").code == 0
    assert world.fetched() == {"config.json"}


def test_tokens_and_keys_appear_in_no_log(world, work, location):
    assert world.push(work, world.trust(), location).code == 0
    log = world.node.process.text()
    for secret in ("eyJ", "SessionToken", "WebIdentityToken", "PRIVATE KEY"):
        assert secret not in log
    database = (world.node.data / "bdn.db").read_bytes() + (world.node.data / "bdn.db-wal").read_bytes()
    assert b"PRIVATE KEY" not in database


def test_a_role_that_does_not_trust_the_issuer_says_what_to_do(world, work, location):
    role = world.trust()
    provider = world.issuer.split("://", 1)[1]
    trust = {"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Federated": [f"arn:aws:iam:::oidc-provider/{provider}"]},
        "Action": ["sts:AssumeRoleWithWebIdentity"],
        "Condition": {"StringEquals": {f"{provider}:app_id": "somebody-else"}}}]}
    world.rgw.client("iam").update_assume_role_policy(
        RoleName=role.rsplit("/", 1)[1], PolicyDocument=json.dumps(trust, separators=(",", ":")))
    world.rgw.forget_requests()
    pushed = world.push(work, role, location)
    assert pushed.code == 1
    error = pushed.json()["error"]
    assert error["code"] == "permission_denied"
    assert role in error["message"] and "trust policy" in error["hint"], error
    assert world.assumed() == [403], "asked once"


def test_a_role_that_may_not_read_names_the_permission(world, work, location):
    shown = world.show()
    world.rgw.add_oidc_provider(shown["issuer"], [shown["audience"]], shown["keys"][0]["thumbprint"])
    role = world.rgw.add_web_identity_role(
        "bdn-" + secrets.token_hex(4), shown["issuer"], shown["audience"], world.bucket, actions=("s3:GetObject",))
    pushed = world.push(work, role, location)
    assert pushed.code == 1
    assert "s3:ListBucket" in pushed.json()["error"]["hint"], pushed


def test_a_rotated_key_goes_on_after_its_certificate_is_known(world, work, location):
    """Ceph pins certificates: the new one is made known while it is published and does not sign yet."""
    role = world.trust()
    world.node.ok("oidc", "rotate", "--lead", "2")
    keys = world.show()["keys"]
    assert [key["state"] for key in keys] == ["signs", "next"]
    assert {key["kid"] for key in keys_of(world.issuer)} == {key["kid"] for key in keys}
    iam = world.rgw.client("iam")
    provider = world.issuer.split("://", 1)[1]
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=f"arn:aws:iam:::oidc-provider/{provider}")
    iam.create_open_id_connect_provider(
        Url=world.issuer, ClientIDList=[world.audience], ThumbprintList=[key["thumbprint"] for key in keys])
    assert world.push(work, role, location).code == 0
    wait_until(lambda: world.show()["keys"][1]["state"] == "signs", what="the new key signs")
    (world.root / "config.json").write_text("{}")
    world.upload("config.json")
    pushed = world.push(work, role, location, "later")
    assert pushed.code == 0, pushed


def test_without_an_issuer_the_push_says_so(rgw_sts, start, work, location):
    node = start.stopped_node()
    node.env.update(AWS_ENDPOINT_URL_S3=rgw_sts.endpoint, AWS_ENDPOINT_URL_STS=rgw_sts.endpoint)
    node.start()
    config = write_config(work / "model", [{
        "source": "s3://bucket/w", "mount_location": str(location),
        "auth": {"auth_method": "AWS_OIDC", "aws_oidc_role_arn": "arn:aws:iam:::role/x",
                 "aws_oidc_region": "us-east-1"}}], model_name="tiny")
    pushed = node.bdn("push", config, "--wait", "--json")
    assert pushed.code == 1
    error = pushed.json()["error"]
    assert "need an OIDC issuer" in error["message"] and "--oidc-issuer" in error["hint"]
    shown = node.bdn("oidc", "show")
    assert shown.code == 7 and "--oidc-issuer" in shown.err
