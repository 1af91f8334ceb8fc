"""bdn doctor: says which step fails, which right is missing and what to do, against real servers and stand-ins."""

import json

import pytest
from azure_server import KEY_SECRET, FakeAzure, sas
from harness import REPO, make_small_model


@pytest.fixture
def node(start):
    return start.stopped_node()


def doctor(node, source, secret=None, env=None):
    """Exit code and the steps by name."""
    options = [] if secret is None else ["--token-file", "/dev/stdin"]
    done = node.bdn("doctor", source, "--json", *options, stdin=secret, env=env)
    report = done.json()
    assert report["ok"] == (done.code == 0) and done.code in (0, 1), done
    assert [s["name"] for s in report["steps"]] == [
        "credentials", "address", "connection", "tls", "clock", "accepted", "list", "read", "range", "changes"]
    return done.code, {s["name"]: s for s in report["steps"]}


def states(steps):
    return {name: step["state"] for name, step in steps.items() if step["state"] != "skipped"}


# --- the Hub ---


@pytest.fixture
def hub(start, small_model):
    return start.hub({REPO: small_model}, "--token", "hf_good", "--gated", "--lfs-min", "100")


def test_a_gated_repository_with_and_without_a_token(hub, node):
    env = {"HF_ENDPOINT": hub.url}
    code, steps = doctor(node, f"hf://{REPO}", "hf_good", env)
    assert code == 0
    assert all(s["state"] != "failed" for s in steps.values())
    assert "3 files" in steps["list"]["detail"]
    assert steps["tls"]["detail"] == "the address is plain http"
    assert steps["clock"]["state"] == "ok"
    assert steps["changes"]["state"] == "skipped"
    for token, part, fix in ((None, "gated", "accept the licence"), ("hf_bad", "token", "make a new one at")):
        code, steps = doctor(node, f"hf://{REPO}", token, env)
        failed = [s for s in steps.values() if s["state"] == "failed"]
        assert code == 1 and len(failed) == 1, steps
        assert part in failed[0]["detail"] + failed[0]["fix"]
        assert failed[0]["fix"].startswith(fix), failed
        assert "hf_bad" not in json.dumps(steps)


def test_a_storage_host_that_cannot_be_reached_is_named(start, small_model, node):
    hub = start.hub({REPO: small_model}, "--lfs-min", "10")
    hub.fault(kind="redirect", path_part="/resolve/", location="http://127.0.0.1:9/cdn", count=-1)
    code, steps = doctor(node, f"hf://{REPO}", env={"HF_ENDPOINT": hub.url, "BDN_ALLOW_PRIVATE": "127.0.0.1"})
    assert code == 1
    assert states(steps)["list"] == "ok" and states(steps)["read"] == "failed"
    assert "127.0.0.1:9" in steps["read"]["fix"]


def test_what_is_not_there_and_what_is_not_reachable(hub, node):
    _, steps = doctor(node, "hf://acme/nothing", "hf_good", {"HF_ENDPOINT": hub.url})
    assert steps["list"]["state"] == "failed" and "acme/nothing" in steps["list"]["detail"]
    _, steps = doctor(node, f"hf://{REPO}", None, {"HF_ENDPOINT": "http://127.0.0.1:9"})
    assert states(steps) == {"credentials": "ok", "address": "ok", "connection": "failed"}
    assert "127.0.0.1:9" in steps["connection"]["fix"]
    _, steps = doctor(node, "https://bdn-test.invalid/file")
    assert states(steps) == {"credentials": "ok", "address": "failed"}
    _, steps = doctor(node, "https://127.0.0.1/file")
    assert states(steps) == {"credentials": "ok", "address": "failed"}
    assert steps["address"]["fix"].count("--allow-private") == 1


# --- Azure ---


def test_azure_names_the_right_that_is_missing(start, work, node):
    root = work / "container"
    make_small_model(root / "w")
    azure = FakeAzure(work, {"models": root}, "--application", "t-1/lister=s:l", "--application", "t-1/reader=s:r")
    start.running.append(azure)
    source = "azure://acme/models/w"
    for secret in (KEY_SECRET, sas()):
        code, steps = doctor(node, source, secret, azure.env)
        assert code == 0 and steps["changes"]["detail"] == "If-Match is honoured", steps
        assert steps["range"]["state"] == "ok"

    def application(name):
        return json.dumps({"azure_tenant_id": "t-1", "azure_client_id": name, "azure_client_secret": "s"})

    for secret in (sas("r"), application("reader")):
        code, steps = doctor(node, source, secret, azure.env)
        assert code == 1 and states(steps)["accepted"] == "ok" and states(steps)["list"] == "failed", steps
        assert "Storage Blob Data Reader" in steps["list"]["fix"] and "with l in its sp" in steps["list"]["fix"]
    for secret in (sas("l"), application("lister")):
        code, steps = doctor(node, source, secret, azure.env)
        assert code == 1 and states(steps)["list"] == "ok" and states(steps)["read"] == "failed", steps
        assert "with r in its sp" in steps["read"]["fix"]
    _, steps = doctor(node, source, sas().replace("sig=", "sig=A"), azure.env)
    assert states(steps)["accepted"] == "failed"
    assert steps["accepted"]["fix"].startswith("check that it is complete"), steps
    _, steps = doctor(node, "azure://acme/nothing/w", KEY_SECRET, azure.env)
    assert "check" in steps["list"]["fix"], steps
    _, steps = doctor(node, source, None, azure.env)
    assert steps["credentials"]["detail"] == "secret_id is required"
    shown = node.bdn("doctor", source, "--token-file", "/dev/stdin", stdin=sas("r"), env=azure.env)
    assert shown.code == 1 and "failed" in shown.out and "→ allow the role Storage Blob" in shown.out
    assert "sig=" not in shown.out + shown.err


# --- the control plane's own training store ---


def test_the_control_planes_own_checkpoints(start, work):
    node = start.node()
    checkpoint = work / "checkpoint-10"
    make_small_model(checkpoint)
    node.ok("checkpoint", "push", checkpoint, "--project", "demo", "--job", "run-7")
    code, steps = doctor(node, "bt://demo")
    assert code == 0 and "at checkpoint run-7/checkpoint-10@" in steps["list"]["detail"], steps
    assert steps["accepted"]["detail"] == "the credentials are accepted"
    code, steps = doctor(node, "bt://nothing")
    assert code == 1 and steps["list"]["state"] == "failed" and steps["list"]["fix"], steps
    code, steps = doctor(node, "bt://demo", "bdn_wrong")
    assert code == 1 and steps["accepted"]["state"] == "failed" and "key" in steps["accepted"]["fix"].lower(), steps


# --- S3, from Ceph ---


def test_s3_names_the_right_that_is_missing(rgw, node):
    s3 = rgw.client()
    s3.create_bucket(Bucket="doctor")
    s3.put_object(Bucket="doctor", Key="models/w/a.bin", Body=b"1234567890")
    users = {"lister": ["s3:ListBucket"], "getter": ["s3:GetObject"], "both": ["s3:ListBucket", "s3:GetObject"]}
    statements = []
    for name, actions in users.items():
        rgw.add_user(name, f"AK{name}".upper(), "secret-of-a-user-in-a-test")
        statements.append({
            "Effect": "Allow", "Principal": {"AWS": [f"arn:aws:iam:::user/{name}"]}, "Action": actions,
            "Resource": ["arn:aws:s3:::doctor", "arn:aws:s3:::doctor/*"]})
    s3.put_bucket_policy(Bucket="doctor", Policy=json.dumps({"Version": "2012-10-17", "Statement": statements}))
    env = {"AWS_ENDPOINT_URL_S3": rgw.endpoint}

    def look(name, key="secret-of-a-user-in-a-test"):
        secret = json.dumps({"aws_access_key_id": f"AK{name}".upper(), "aws_secret_access_key": key})
        return doctor(node, "s3://doctor/models/w", secret, env)

    code, steps = look("both")
    assert code == 0 and steps["changes"]["detail"] == "If-Match is honoured", steps
    assert "1 files, 10 bytes" in steps["list"]["detail"]
    code, steps = look("lister")
    assert code == 1 and states(steps)["list"] == "ok" and states(steps)["read"] == "failed", steps
    assert "s3:GetObject on arn:aws:s3:::doctor/models/w/*" in steps["read"]["fix"]
    code, steps = look("getter")
    assert code == 1 and states(steps)["accepted"] == "ok" and states(steps)["list"] == "failed", steps
    assert "s3:ListBucket on arn:aws:s3:::doctor" in steps["list"]["fix"]
    assert "'models/w/'" in steps["list"]["fix"]
    for name, key in (("both", "wrong-secret"), ("nobody", "secret-of-a-user-in-a-test")):
        code, steps = look(name, key)
        assert code == 1 and states(steps)["accepted"] == "failed", steps
    _, steps = doctor(node, "s3://doctor/models/w", '{"access_key_id": "AK", "secret_access_key": "SK"}', env)
    assert states(steps) == {"credentials": "failed"}
    assert "must be named aws_access_key_id" in steps["credentials"]["fix"]


# --- from the control plane ---


def test_the_control_plane_looks_with_its_own_secrets(start, work):
    root = work / "container"
    make_small_model(root / "w")
    azure = FakeAzure(work, {"models": root})
    start.running.append(azure)
    node = start.stopped_node()
    node.env.update(azure.env)
    node.start()
    node.ok("secret", "set", "azure", stdin=sas())
    node.ok("secret", "set", "lister", stdin=sas("l"))
    # The command itself cannot reach anything: only the control plane has the endpoint.
    here = {"AZURE_STORAGE_BLOB_ENDPOINT": ""}
    source = "azure://acme/models/w"
    report = node.ok("doctor", source, "--secret", "azure", "--json", env=here).json()
    assert report["ok"] and report["source"] == source
    done = node.bdn("doctor", source, "--secret", "lister", env=here)
    assert done.code == 1 and "with r in its sp" in done.out
    assert "sig=" not in done.out + done.err + node.process.text()
    done = node.bdn("doctor", source, "--secret", "unset", env=here)
    assert done.code == 5 and "bdn secret set unset" in done.err
    done = node.bdn("doctor", source, "--from-control-plane", env=here)
    assert done.code == 1 and "secret_id is required" in done.out
    done = node.bdn("doctor", source, "--secret", "azure", "--token-file", "/dev/null", env=here)
    assert done.code == 1 and "give one of them" in done.err
    done = node.bdn("doctor", "s3://bucket/w", "--aws-role", "arn:aws:iam::123456789012:role/r", "--aws-region", "us-east-1")
    assert done.code == 1 and "issuer" in done.out


# --- this machine ---


def test_this_machine(start, work):
    node = start.node()
    report = node.ok("doctor", "--json").json()
    assert [s["name"] for s in report["steps"]] == ["kernel", "namespaces", "disk", "control", "key", "node"]
    assert report["ok"] and {s["state"] for s in report["steps"]} == {"ok"}
    assert node.url in node.ok("doctor").out
    wrong = node.bdn("doctor", "--json", "--api-key", "bdn_wrong")
    assert wrong.code == 1
    assert {s["name"]: s["state"] for s in wrong.json()["steps"]}["key"] == "failed"
    node.process.stop()
    stopped = node.bdn("doctor")
    assert stopped.code == 1 and "is `bdn up`" in stopped.out
    fresh = node.bdn("doctor", "--json", env={"BDN_DATA": str(work / "none"), "XDG_CONFIG_HOME": str(work / "none")})
    assert fresh.code == 1
    states = {s["name"]: s["state"] for s in fresh.json()["steps"]}
    assert states["control"] == "failed" and states["key"] == states["node"] == "skipped"
