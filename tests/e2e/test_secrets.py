"""Secrets are checked when they are set, when a config names them, and when they are used."""

import json
import urllib.error
import urllib.request

import pytest
from harness import write_config

WRONG_S3 = json.dumps({"access_key_id": "AK", "secret_access_key": "hush"})
S3_SENTENCE = "aws_access_key_id and aws_secret_access_key are required in S3 credentials"
GS_SENTENCE = "no credentials configured: need either OIDC config or secret_id"


@pytest.fixture
def node(start):
    return start.node()


def names(node):
    return [s["name"] for s in node.ok("secret", "ls", "--json").json()["secrets"]]


def put(node, name, value, query=""):
    """PUT of the REST API; gives status and body."""
    client = json.loads((node.data / "client.json").read_text())
    request = urllib.request.Request(f"{client['url']}/v1/secrets/{name}{query}", data=value.encode(), method="PUT",
                                     headers={"Authorization": "Bearer " + client["api_key"]})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, {}
    except urllib.error.HTTPError as refused:
        return refused.code, json.loads(refused.read())["error"]


def test_a_wrong_name_is_said_at_once_and_nothing_is_stored(node):
    for value, message in (
            (WRONG_S3, S3_SENTENCE),
            ('{"azure_sas": "sv=1&sig=hush"}', "azure_account_key, azure_sas_token, or azure_tenant_id"),
            ("AccountName=acme;AccountKey=hush!", "the account key is not base64"),
            ('{"aws_access_key_id": "AK", "aws_secret_access_key": "hush"', "is no JSON"),
    ):
        done = node.bdn("secret", "set", "mine", stdin=value)
        assert done.code == 1 and message in done.err, done
        assert "hush" not in done.err
        status, error = put(node, "mine", value)
        assert status == 400 and message in error["message"], error
        assert "hush" not in json.dumps(error)
    assert names(node) == []


def test_what_is_right_and_what_is_nobodys_business_is_stored(node):
    good = {"s3": json.dumps({"aws_access_key_id": "AK", "aws_secret_access_key": "SK"}),
            "own": json.dumps({"token": "x"}), "pem": "-----BEGIN X-----\nabc\n-----END X-----\n"}
    for name, value in good.items():
        done = node.ok("secret", "set", name, stdin=value)
        assert done.err == "" and done.out == f"set {name}\n"
    assert sorted(names(node)) == sorted(good)


def test_notes_are_given_and_the_value_is_stored_trimmed(node):
    done = node.ok("secret", "set", "hf_access_token", stdin="  sk-abc \n\n")
    assert "blanks around the value were cut" in done.err
    assert "begin with hf_" in done.err
    assert "sk-abc" not in done.err


def test_the_check_can_be_left_out(node):
    node.ok("secret", "set", "mine", "--no-check", stdin=WRONG_S3)
    assert put(node, "other", WRONG_S3, "?check=false")[0] == 204
    assert sorted(names(node)) == ["mine", "other"]


@pytest.mark.parametrize("source, sentence", [
    ("s3://bucket/w", "secret_id is required"), ("r2://acc.bucket/w", "secret_id is required"),
    ("cw://bucket/w", "secret_id is required"), ("azure://acme/models/w", "secret_id is required"),
    ("gs://bucket/w", GS_SENTENCE),
])
def test_a_source_without_credentials_is_warned_of_at_the_push_and_then_fails(node, work, location, source, sentence):
    weights = [{"source": source, "mount_location": str(location)}]
    pushed = node.push(write_config(work / "m", weights, model_name="m"))
    assert any(sentence in w and source.split("//")[0] in w for w in pushed["warnings"]), pushed["warnings"]
    done = node.bdn("watch", "m")
    assert done.code == 1 and sentence in done.err, done


def test_a_secret_that_is_not_set_or_does_not_fit_is_warned_of_at_the_push(node, work, location):
    auth = {"auth": {"auth_method": "CUSTOM_SECRET", "auth_secret_name": "keys"}}
    config = write_config(
        work / "m", [{"source": "s3://bucket/w", "mount_location": str(location), **auth}], model_name="m")
    warnings = node.push(config)["warnings"]
    assert any("secret 'keys' is not set" in w and "bdn secret set keys" in w for w in warnings), warnings
    node.ok("secret", "set", "keys", stdin="hf_token_of_the_hub")
    warnings = node.push(config)["warnings"]
    assert any("secret 'keys'" in w and S3_SENTENCE in w for w in warnings), warnings
    shown = node.bdn("push", config)
    assert shown.code == 0 and S3_SENTENCE in shown.err, shown
    assert "hf_token_of_the_hub" not in json.dumps(warnings) + shown.err
