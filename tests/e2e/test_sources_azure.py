"""azure:// sources: push → mirror → run, credentials, changes, faults."""

import json
import shutil
import socket

import pytest
from azure_server import KEY, KEY_SECRET, OTHER_KEY, FakeAzure, sas
from harness import CHUNK, MIB, deployment_id, make_model, pseudo_random, tree_of, write_config, write_safetensors

AUTH = {"auth": {"auth_method": "CUSTOM_SECRET", "auth_secret_name": "azure"}}


@pytest.fixture
def model(work):
    """A container that holds a model below "w/v1" and things beside it."""
    root = work / "container"
    make_model(root / "w/v1", big=20 * MIB)
    (root / "w/v12").mkdir()
    (root / "w/v12/other.txt").write_text("another version")
    # Azure takes a backslash for a slash, so a blob cannot have it.
    (root / "w/v1/odd names/a\\b").unlink()
    return root


@pytest.fixture
def azure(start, work, model):
    server = FakeAzure(work, {"models": model}, "--page-size", "5", "--application", "t-1/c-1=s3cret",
                       "--application", "t-1/reader=s3cret:r")
    start.running.append(server)
    server.put("w/v1/odd names", folder=True)
    return server


@pytest.fixture
def node(start, azure):
    node = start.stopped_node()
    node.env.update(azure.env)
    return node.start()


def config_for(work, location, name="first", **rest):
    weights = {"source": "azure://acme/models/w/v1", "mount_location": str(location), **AUTH, **rest}
    return write_config(work / name, [weights], model_name=name)


def files_at(node, name, location):
    out = node.ok("run", name, "--", "sh", "-c",
                  f"cd {location} && find . -type f -print0 | sort -z | xargs -0 sha256sum").out
    return {line.split("  ", 1)[1][2:]: line.split("  ", 1)[0] for line in out.splitlines()}


def expected(model):
    return {name: digest for name, (_, digest) in tree_of(model / "w/v1")[0].items()}


def test_a_container_is_mirrored_run_and_not_fetched_twice(azure, node, work, location, model):
    node.ok("secret", "set", "azure", stdin=KEY_SECRET)
    pushed = node.push(config_for(work, location), "--wait")
    assert pushed["status"] == "ACTIVE"
    assert files_at(node, "first", location) == expected(model)
    # Every byte once, large files in ranges with a condition.
    assert sum(e["bytes"] for e in azure.content()) == sum(n for n, _ in tree_of(model / "w/v1")[0].values())
    large = [e for e in azure.content() if e["path"].endswith("model.safetensors")]
    assert len(large) == -(-(model / "w/v1/model.safetensors").stat().st_size // CHUNK)
    lists = [e for e in azure.log() if "comp=list" in e["query"]]
    assert len(lists) == 3 and all("prefix=w%2Fv1%2F" in e["query"] for e in lists)
    azure.clear_log()
    node.push(config_for(work, location, "second"), "--wait")
    assert azure.content() == []
    azure.stop()
    assert files_at(node, "second", location) == expected(model)


@pytest.mark.parametrize("secret", [
    KEY, "?" + sas(), f"AccountName=acme;AccountKey={KEY}", json.dumps({"azure_sas_token": sas()}),
    json.dumps({"azure_tenant_id": "t-1", "azure_client_id": "c-1", "azure_client_secret": "s3cret"}),
], ids=["key", "sas", "connection", "sas-json", "application"])
def test_every_kind_of_credential_reads_the_same_and_another_one_fetches_nothing(
        azure, node, work, location, model, secret):
    node.ok("secret", "set", "azure", stdin=KEY_SECRET)
    node.push(config_for(work, location), "--wait")
    azure.clear_log()
    node.ok("secret", "set", "other", stdin=secret)
    auth = {"auth": {"auth_method": "CUSTOM_SECRET", "auth_secret_name": "other"}}
    pushed = node.push(config_for(work, location, "second", **auth), "--wait")
    assert pushed["status"] == "ACTIVE"
    assert azure.content() == []
    listed = node.ok("ls", "azure://acme/models/w/v1", "--token-file", "/dev/stdin", "--json", stdin=secret).json()
    assert {f["path"] for f in listed["files"]} == set(expected(model))
    text = node.process.text() + json.dumps(pushed)
    for part in ("sig=", KEY, "s3cret", "fake-token"):
        assert part not in text


def test_one_changed_blob_is_one_that_is_fetched(azure, node, work, location, model):
    node.ok("secret", "set", "azure", stdin=KEY_SECRET)
    first = node.push(config_for(work, location), "--wait")
    azure.clear_log()
    name = "unet/blocks/1/part.safetensors"
    changed = work / "changed"
    write_safetensors(changed / f"w/v1/{name}", pseudo_random(250_000, 77))
    azure._call("POST", "put", {"account": "acme", "container": "models", "dir": str(changed)})
    shutil.copy(changed / f"w/v1/{name}", model / f"w/v1/{name}")
    # The same source is mirrored anew with other patterns; what is known is not asked for.
    second = node.push(config_for(work, location, "second", ignore_patterns=["none"]), "--wait")
    assert azure.asked_blobs() == {f"w/v1/{name}"}
    assert second["mounts"][0]["pin"] != first["mounts"][0]["pin"]
    assert files_at(node, "second", location) == expected(model)


def test_what_breaks_on_the_way_is_asked_for_again(azure, node, work, location, model):
    azure.fault(kind="status", path_part="model.safetensors", status=503, count=2,
                headers={"x-ms-error-code": "ServerBusy", "Retry-After": "0"})
    azure.fault(kind="reset-after", path_part="model.safetensors", after_bytes=5 * MIB, count=2)
    azure.fault(kind="truncate", path_part="model.safetensors", after_bytes=1 * MIB, count=1)
    azure.fault(kind="ignore-range", path_part="model.safetensors", range_prefix=f"bytes={CHUNK}-", count=1)
    azure.fault(kind="status", path_part="/acme/models", status=500, count=1)
    node.ok("secret", "set", "azure", stdin=json.dumps({"azure_sas_token": sas()}))
    assert node.push(config_for(work, location), "--wait", timeout=120)["status"] == "ACTIVE"
    assert files_at(node, "first", location) == expected(model)


def fail(node, config):
    done = node.bdn("push", config, "--wait", timeout=120)
    assert done.code == 1, done
    return node.ok("status", "--json").json()["deployments"][0]["error"]


def test_a_flipped_byte_is_found_by_content_md5(azure, node, work, location):
    azure.fault(kind="flip-byte", path_part="part.safetensors", after_bytes=1000, count=-1)
    node.ok("secret", "set", "azure", stdin=KEY_SECRET)
    error = fail(node, config_for(work, location))
    assert error["code"] == "corrupt" and "part.safetensors" in error["message"], error
    assert "md5" in error["message"].lower()


def test_archived_blobs_fail_by_name_unless_patterns_leave_them_out(azure, node, work, location, model):
    azure.put("w/v1/old/cold.bin", "cold", tier="Archive")
    node.ok("secret", "set", "azure", stdin=KEY_SECRET)
    error = fail(node, config_for(work, location))
    assert error["code"] == "unsupported"
    assert "'old/cold.bin' is archived: change its tier" in error["message"]
    assert azure.content() == []
    node.push(config_for(work, location, "second", ignore_patterns=["old/**"]), "--wait")
    assert files_at(node, "second", location) == expected(model)


@pytest.mark.parametrize("secret, code, message", [
    (sas("r"), "permission_denied", "the SAS token lacks the right to list: make one with sp=rl"),
    (sas(expiry="2020-01-01T00:00:00Z"), "unauthenticated", "ended at 2020-01-01T00:00:00Z"),
    (sas().replace("sig=", "sig=AA"), "unauthenticated", "the SAS token is not valid for this"),
    (OTHER_KEY, "unauthenticated", "check azure_account_key"),
    (json.dumps({"azure_tenant_id": "t-1", "azure_client_id": "reader", "azure_client_secret": "s3cret"}),
     "permission_denied", "Storage Blob Data Reader"),
    (json.dumps({"azure_tenant_id": "t-1", "azure_client_id": "c-1", "azure_client_secret": "no"}),
     "unauthenticated", "AADSTS7000215"),
    (json.dumps({"azure_tenant_id": "t-1", "azure_client_id": "c-1"}), "failed_precondition", "issuer"),
], ids=["right", "ended", "signature", "key", "role", "app-secret", "no-issuer"])
def test_bad_credentials_fail_at_once_and_say_what_to_change(
        azure, node, work, location, secret, code, message):
    node.ok("secret", "set", "azure", stdin=secret)
    error = fail(node, config_for(work, location))
    assert error["code"] == code, error
    assert message in error["message"] + error["hint"], error
    assert "sig=" not in error["message"] and "s3cret" not in error["message"]


def test_without_a_secret_and_with_wrong_names_it_says_so(azure, node, work, location):
    error = fail(node, write_config(
        work / "none", [{"source": "azure://acme/models/w", "mount_location": str(location)}], model_name="none"))
    assert "secret_id is required" in error["message"]
    node.ok("secret", "set", "azure", stdin=KEY_SECRET)
    for source, message in (("azure://acme/nothing/w", "ContainerNotFound"),
                            ("azure://acme/models/nothing", "nothing lies below 'nothing/'")):
        name = source.rsplit("/", 1)[1]
        error = fail(node, config_for(work, location, name, source=source))
        assert error["code"] == "not_found" and message in error["message"], error


def test_a_blob_that_is_overwritten_meanwhile_is_a_changed_source(azure, node, work, location, model):
    """412 for every range of one blob: the mirror starts anew and then gives up."""
    azure.fault(kind="status", path_part="model.safetensors", status=412, count=-1,
                headers={"x-ms-error-code": "ConditionNotMet"})
    node.ok("secret", "set", "azure", stdin=KEY_SECRET)
    error = fail(node, config_for(work, location))
    assert "source changed" in error["message"] and "model.safetensors" in error["message"], error


def test_a_reset_at_every_mebibyte_slows_but_does_not_stop(azure, node, work, location, model):
    azure.fault(kind="reset-after", path_part="model.safetensors", after_bytes=1 * MIB, count=-1)
    node.ok("secret", "set", "azure", stdin=KEY_SECRET)
    # Each range gets a byte further than the one before, which resets the budget of retries.
    assert node.push(config_for(work, location), "--wait", timeout=160)["status"] == "ACTIVE"
    assert files_at(node, "first", location) == expected(model)


def test_two_pushes_at_once_are_one_download(azure, node, work, location, model):
    node.ok("secret", "set", "azure", stdin=KEY_SECRET)
    ids = [deployment_id(node.push(config_for(work, location, name))) for name in ("one", "two")]
    for one in ids:
        assert node.ok("watch", one, "--json", timeout=90).json()["status"] == "ACTIVE"
    assert sum(e["bytes"] for e in azure.content()) == sum(n for n, _ in tree_of(model / "w/v1")[0].values())


def test_a_storage_that_falls_silent_is_left_and_resumed(azure, node, work, location, model):
    """30 seconds without a byte end a try."""
    azure.fault(kind="stall", path_part="model.safetensors", after_bytes=1 * MIB, count=1)
    node.ok("secret", "set", "azure", stdin=KEY_SECRET)
    assert node.push(config_for(work, location), "--wait", timeout=160)["status"] == "ACTIVE"
    assert files_at(node, "first", location) == expected(model)


def test_an_application_without_a_stored_secret_by_our_own_issuer(start, work, location, model):
    """Workload identity federation: the stand-in verifies our token by discovery and key set."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    issuer = f"http://localhost:{port}/id"
    subject = "v=1:org=default:team=default:model=<none>:deployment=<none>:environment=<none>:type=model_build"
    azure = FakeAzure(work, {"models": model}, "--federated", f"t-1/c-1={issuer},{subject}",
                      "--federated", f"t-1/other={issuer},another subject")
    start.running.append(azure)
    node = start.stopped_node(listen=f"127.0.0.1:{port}", options=["--oidc-issuer", issuer])
    node.env.update(azure.env)
    node.start()
    node.ok("secret", "set", "azure", stdin=json.dumps({"azure_tenant_id": "t-1", "azure_client_id": "c-1"}))
    assert node.push(config_for(work, location), "--wait")["status"] == "ACTIVE"
    assert files_at(node, "first", location) == expected(model)
    assert node.ok("doctor", "azure://acme/models/w/v1", "--secret", "azure", "--json").json()["ok"]
    node.ok("secret", "set", "azure", stdin=json.dumps({"azure_tenant_id": "t-1", "azure_client_id": "other"}))
    done = node.bdn("doctor", "azure://acme/models/w/v1", "--secret", "azure")
    assert done.code == 1 and "AADSTS700213" in done.out and subject in done.out, done
