"""s3://, r2:// and cw:// end to end, from Ceph's gateway: push, mirror, run, and what is fetched again."""

import json
import os
import secrets

import pytest
from harness import MIB, make_model, pseudo_random, sha256, tree_of, write_config, write_safetensors

PREFIX = "models/w"
OTHER_KEY, OTHER_SECRET = "AKIABDNOTHERKEY0", "another+secret/of=the-same-user"


class Bucket:
    """A bucket of one test with a tree below PREFIX, and neighbours that are not part of it."""

    def __init__(self, rgw, root):
        self.rgw, self.root, self.name = rgw, root, "weights-" + secrets.token_hex(4)
        self.s3 = rgw.client("s3")
        self.s3.create_bucket(Bucket=self.name)
        for key, body in ((f"{PREFIX}/", b""), (f"{PREFIX}-v2/other.bin", b"other"), ("README.md", b"#")):
            self.s3.put_object(Bucket=self.name, Key=key, Body=body)
        self.upload(tree_of(root)[0])
        rgw.forget_requests()

    def upload(self, names):
        for name in names:
            self.s3.put_object(Bucket=self.name, Key=f"{PREFIX}/{name}", Body=(self.root / name).read_bytes())

    def fetched(self):
        """Name below PREFIX → bytes sent, of all objects whose content was asked for."""
        got = {}
        for entry in self.rgw.requests():
            # In front of the host, or in the path.
            path = entry["path"].removeprefix(f"/{self.name}").removeprefix("/")
            if entry["method"] == "GET" and path.startswith(f"{PREFIX}/"):
                name = path[len(PREFIX) + 1:]
                got[name] = got.get(name, 0) + entry["bytes"]
        return got


class Scheme:
    def __init__(self, name, endpoint_name, source, host="127.0.0.1"):
        self.name, self.endpoint_name, self.source, self.host = name, endpoint_name, source, host

    def env(self, rgw):
        # Names below localhost are loopback for libcurl; the operator allows where they lead.
        return {self.endpoint_name: f"http://{self.host}:{rgw.port}", "BDN_ALLOW_PRIVATE": "127.0.0.0/8,::1/128"}


SCHEMES = [
    Scheme("s3", "AWS_ENDPOINT_URL_S3", "s3://{bucket}/" + PREFIX),
    Scheme("r2", "BDN_R2_ENDPOINT", "r2://abc123.{bucket}/" + PREFIX),
    Scheme("cw", "BDN_CW_ENDPOINT", "cw://{bucket}/" + PREFIX, host="s3.localhost"),
]


@pytest.fixture(scope="module", autouse=True)
def other_key(rgw):
    rgw.add_key("bdn", OTHER_KEY, OTHER_SECRET)


@pytest.fixture
def bucket(rgw, work):
    return Bucket(rgw, make_model(work / "repo", big=20 * MIB))


@pytest.fixture
def tiny(rgw, work):
    root = work / "tiny"
    root.mkdir()
    (root / "config.json").write_text("{}")
    return Bucket(rgw, root)


def weights_of(scheme, bucket, location):
    return {"source": scheme.source.format(bucket=bucket.name), "mount_location": str(location),
            "auth": {"auth_method": "CUSTOM_SECRET", "auth_secret_name": "keys"}}


def node_for(start, scheme, rgw):
    return start.stopped_node().start(env=scheme.env(rgw))


def content_of(node, name, location):
    """Path → SHA-256 of what a server sees at `location`."""
    script = ("import hashlib,json,os,sys\n"
              "root=sys.argv[1]\n"
              "found={}\n"
              "for top,_,names in os.walk(root):\n"
              " for name in names:\n"
              "  path=os.path.join(top,name)\n"
              "  found[os.path.relpath(path,root)]=hashlib.sha256(open(path,'rb').read()).hexdigest()\n"
              "print(json.dumps(found))")
    return json.loads(node.ok("run", name, "--", "/usr/bin/python3", "-c", script, location).out)


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda s: s.name)
def test_push_mirror_run_and_what_is_fetched_again(start, rgw, bucket, work, location, scheme):
    node = node_for(start, scheme, rgw)
    node.ok("secret", "set", "keys", stdin=rgw.secret_json())
    weights = weights_of(scheme, bucket, location)
    first = node.push(write_config(work / "first", [weights], model_name="first"), "--wait")
    files = tree_of(bucket.root)[0]
    assert bucket.fetched() == {name: size for name, (size, _) in files.items() if size}
    assert content_of(node, "first", location) == {name: digest for name, (_, digest) in files.items()}

    rgw.forget_requests()
    second = node.push(write_config(work / "second", [weights], model_name="second"), "--wait")
    assert bucket.fetched() == {}
    assert second["mounts"][0]["manifest"] == first["mounts"][0]["manifest"]

    node.ok("secret", "set", "keys", stdin=json.dumps(
        {"aws_access_key_id": OTHER_KEY, "aws_secret_access_key": OTHER_SECRET}))
    third = node.push(write_config(work / "third", [weights], model_name="third"), "--wait")
    assert bucket.fetched() == {}
    assert third["mounts"][0]["manifest"] == first["mounts"][0]["manifest"]

    changed = "unet/blocks/1/part.safetensors"
    write_safetensors(bucket.root / changed, pseudo_random(250_000, 77))
    bucket.upload([changed])
    fourth = node.push(write_config(work / "fourth", [weights], model_name="fourth"), "--wait")
    assert bucket.fetched() == {changed: (bucket.root / changed).stat().st_size}
    assert fourth["mounts"][0]["pin"] != first["mounts"][0]["pin"]
    now = content_of(node, "fourth", location)
    assert now.pop(changed) == sha256(bucket.root / changed)
    assert content_of(node, "first", location) == {name: digest for name, (_, digest) in files.items()}


def test_patterns_select_and_objects_in_parts_are_whole(start, rgw, tiny, work, location):
    big = pseudo_random(5 * MIB + 3, 5)
    parts = (big[:5 * MIB], big[5 * MIB:])
    made = tiny.s3.create_multipart_upload(Bucket=tiny.name, Key=f"{PREFIX}/big.safetensors")
    sent = [{"PartNumber": n, "ETag": tiny.s3.upload_part(
        Bucket=tiny.name, Key=f"{PREFIX}/big.safetensors", UploadId=made["UploadId"], PartNumber=n, Body=part)["ETag"]}
            for n, part in enumerate(parts, 1)]
    tiny.s3.complete_multipart_upload(Bucket=tiny.name, Key=f"{PREFIX}/big.safetensors", UploadId=made["UploadId"],
                                      MultipartUpload={"Parts": sent})
    (tiny.root / "big.safetensors").write_bytes(big)
    node = node_for(start, SCHEMES[0], rgw)
    node.ok("secret", "set", "keys", stdin=rgw.secret_json())
    weights = {**weights_of(SCHEMES[0], tiny, location), "allow_patterns": ["*.safetensors"]}
    node.push(write_config(work / "first", [weights], model_name="first"), "--wait")
    assert content_of(node, "first", location) == {"big.safetensors": sha256(tiny.root / "big.safetensors")}


def test_a_key_of_the_secret_that_is_not_used_is_a_warning(start, rgw, tiny, work, location):
    node = node_for(start, SCHEMES[0], rgw)
    node.ok("secret", "set", "keys", stdin=rgw.secret_json(region="eu-west-1"))
    weights = weights_of(SCHEMES[0], tiny, location)
    node.push(write_config(work / "first", [weights], model_name="first"), "--wait")
    assert "'region', which is not used; the name is aws_region" in json.dumps(node.status("first"))


def test_ls_lists_with_the_same_secret(start, rgw, tiny, work):
    node = node_for(start, SCHEMES[0], rgw)
    keys = work / "keys.json"
    keys.write_text(rgw.secret_json())
    os.chmod(keys, 0o600)
    listed = node.ok("ls", f"s3://{tiny.name}/{PREFIX}", "--token-file", keys, "--json",
                     env=SCHEMES[0].env(rgw)).json()
    assert [f["path"] for f in listed["files"]] == ["config.json"]


@pytest.mark.parametrize("secret, words", [
    ({"aws_secret_access_key": "not-the-secret-0123"}, ["check aws_secret_access_key"]),
    ({"aws_access_key_id": "AKIANOBODY"}, ["check aws_access_key_id"]),
], ids=["wrong-secret", "unknown-key"])
def test_wrong_credentials_say_what_to_check(start, rgw, tiny, work, location, secret, words):
    node = node_for(start, SCHEMES[0], rgw)
    node.ok("secret", "set", "keys", stdin=rgw.secret_json(**secret))
    weights = weights_of(SCHEMES[0], tiny, location)
    done = node.bdn("push", write_config(work / "first", [weights], model_name="first"), "--wait")
    assert done.code != 0
    for word in [*words, f"s3://{tiny.name}/{PREFIX}"]:
        assert word in done.err + done.out, done
    for text in (done.err, done.out, node.process.text()):
        assert "not-the-secret-0123" not in text and rgw.secret_key not in text


@pytest.fixture(scope="module")
def stranger(rgw):
    """Another user, with no right to anything; gives the secret."""
    rgw.add_user("stranger", "AKIASTRANGER0000", "stranger-secret")
    return json.dumps({"aws_access_key_id": "AKIASTRANGER0000", "aws_secret_access_key": "stranger-secret"})


def allow(bucket, *statements):
    """A policy for the stranger: pairs of actions and what follows the bucket, or a condition."""
    policy = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam:::user/stranger"]}, "Action": action,
         "Resource": f"arn:aws:s3:::{bucket.name}{below}", **({"Condition": condition} if condition else {})}
        for action, below, condition in statements]}
    bucket.s3.put_bucket_policy(Bucket=bucket.name, Policy=json.dumps(policy))


LIST_PREFIX = ("s3:ListBucket", "", {"StringEquals": {"s3:prefix": PREFIX + "/"}})
GET_BELOW = ("s3:GetObject", f"/{PREFIX}/*", None)


def test_rights_on_the_path_alone_are_enough(start, rgw, stranger, bucket, work, location):
    allow(bucket, LIST_PREFIX, GET_BELOW)
    node = node_for(start, SCHEMES[0], rgw)
    node.ok("secret", "set", "keys", stdin=stranger)
    weights = weights_of(SCHEMES[0], bucket, location)
    node.push(write_config(work / "first", [weights], model_name="first"), "--wait")
    files = tree_of(bucket.root)[0]
    assert content_of(node, "first", location) == {name: digest for name, (_, digest) in files.items()}


@pytest.mark.parametrize("rights, words", [
    ((GET_BELOW,), ["the listing of the bucket", "allow s3:ListBucket"]),
    ((LIST_PREFIX,), [f"the object {PREFIX}/config.json of the bucket", "allow s3:GetObject"]),
], ids=["may-not-list", "may-not-read"])
def test_missing_rights_are_named(start, rgw, stranger, tiny, work, location, rights, words):
    allow(tiny, *rights)
    node = node_for(start, SCHEMES[0], rgw)
    node.ok("secret", "set", "keys", stdin=stranger)
    weights = weights_of(SCHEMES[0], tiny, location)
    done = node.bdn("push", write_config(work / "first", [weights], model_name="first"), "--wait")
    assert done.code != 0
    for word in [*words, f"s3://{tiny.name}/{PREFIX}"]:
        assert word in done.err + done.out, done


def test_a_bucket_that_is_not_there_and_a_missing_secret_are_said(start, rgw, tiny, work, location):
    node = node_for(start, SCHEMES[0], rgw)
    node.ok("secret", "set", "keys", stdin=rgw.secret_json())
    weights = {**weights_of(SCHEMES[0], tiny, location), "source": "s3://nobody-has-this/w"}
    done = node.bdn("push", write_config(work / "first", [weights], model_name="first"), "--wait")
    assert done.code != 0 and "nobody-has-this" in done.err and "check the bucket's name" in done.err, done
    del weights["auth"]
    done = node.bdn("push", write_config(work / "second", [weights], model_name="second"), "--wait")
    assert done.code != 0 and "secret_id is required" in done.err, done
