"""The JSON Schema of `bdn schema` against the validator, on the same configs.

What `bdn validate` refuses, the schema refuses, except for the rules of NOT_IN_A_SCHEMA; what it
accepts, the schema accepts, without exception."""

import functools
import itertools
import json
import os
import pathlib
import random
import subprocess

import jsonschema
import pytest
import yaml
from harness import BDN

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def bdn(*args, stdin=None):
    return subprocess.run(
        [str(BDN), *args], input=stdin, capture_output=True, text=True, timeout=30,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"}, check=False)


@functools.cache
def schema(*options):
    done = bdn("schema", *options)
    assert done.returncode == 0 and done.stderr == ""
    return jsonschema.Draft202012Validator(json.loads(done.stdout))


def load(text):
    """libyaml's scanner, which takes tabs before comments; PyYAML's own in Python does not."""
    return yaml.load(text, Loader=yaml.CSafeLoader)


def errors_of(text):
    report = json.loads(bdn("validate", "-", "--json", stdin=text).stdout)
    return [f"{e['loc']}: {e['message']}" for e in report["errors"]]


# Rules that a schema cannot say: a fragment of the validator's message, why, and a case of it.
NOT_IN_A_SCHEMA = {
    "Duplicate mount_location": (
        "two items are compared",
        [{"source": "hf://a/b", "mount_location": "/m"}, {"source": "hf://a/c", "mount_location": "/m"}]),
    "is the same place as": (
        "two items are compared after normalisation",
        [{"source": "hf://a/b", "mount_location": "/m"}, {"source": "hf://a/c", "mount_location": "/m/"}]),
    "lies inside": (
        "two items are compared",
        [{"source": "hf://a/b", "mount_location": "/m"}, {"source": "hf://a/c", "mount_location": "/m/n"}]),
    "contains '": (
        "two items are compared",
        [{"source": "hf://a/b", "mount_location": "/m/n"}, {"source": "hf://a/c", "mount_location": "/m"}]),
    "a range in '[…]' runs backwards": (
        "characters are compared",
        [{"source": "hf://a/b", "mount_location": "/m", "allow_patterns": ["[z-a]"]}]),
    "segment longer than 255 bytes": (
        "a schema counts characters; it says 255 of those",
        [{"source": "hf://a/b", "mount_location": "/" + "é" * 200}]),
    "longer than 4096 bytes": (
        "a schema counts characters; it says 4096 of those",
        [{"source": "hf://a/b", "mount_location": "/" + "/".join(["é" * 100] * 25)}]),
}


def agree(text):
    """Whether the schema says what the validator says; fails with both answers when not."""
    errors = errors_of(text)
    complaints = [
        f"{'.'.join(map(str, e.absolute_path))}: {e.message[:200]}"
        for e in schema().iter_errors(load(text))]
    if complaints and not errors:
        pytest.fail(f"the schema refuses what is valid:\n{text}\n{complaints}")
    if errors and not complaints:
        rest = [e for e in errors if not any(known in e for known in NOT_IN_A_SCHEMA)]
        assert not rest, f"the schema accepts what is not valid:\n{text}\n{rest}"
    return not errors


def config(*weights, **rest):
    return json.dumps({"weights": list(weights), **rest})


def item(**fields):
    return {"source": "hf://a/b", "mount_location": "/m", **fields}


def test_both_outputs_are_valid_schemas():
    for options in ((), ("--weights",)):
        document = schema(*options).schema
        assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        jsonschema.Draft202012Validator.check_schema(document)
        # Editors that know draft 7 only read the same schema.
        jsonschema.Draft7Validator.check_schema(document)


def test_the_weights_schema_is_that_of_the_value():
    assert schema("--weights").is_valid([item()])
    assert not schema("--weights").is_valid([item(source="a/b")])
    assert not schema("--weights").is_valid({"weights": [item()]})


def test_every_key_has_a_description():
    definitions = schema().schema["$defs"]
    for name, keys in (("weightsSource", 6), ("auth", 6)):
        properties = definitions[name]["properties"]
        assert len(properties) == keys
        for key, value in properties.items():
            target = definitions[value["$ref"].rsplit("/", 1)[1]] if "$ref" in value else value
            assert target.get("description") or target.get("title"), key


@pytest.mark.parametrize("known", NOT_IN_A_SCHEMA, ids=lambda k: k[:30])
def test_what_a_schema_cannot_say(known):
    text = config(*NOT_IN_A_SCHEMA[known][1])
    assert any(known in e for e in errors_of(text)), errors_of(text)
    assert schema().is_valid(load(text)), "it can be said: take it off the list"


VALID_SOURCES = [
    "hf://a/b", "hf://a/b@main", "hf://owner/repo.name_x@refs/pr/1", "hf://a/b@x%2Fy", "hf://models/a/b",
    "hf://datasets/a/b@v1", "hf://spaces/a/b", "hf://models/models/b", "hf://a/b/", "hf://a/b@", "hf://a/b@x@y",
    "hf://" + "o" * 40 + "/" + "r" * 55, "s3://b", "s3://b/", "s3://b/k/l", "s3://b//k", "s3://b/a://c", "gs://b.c_d-e/f",
    "cw://b/p", "r2://acct.bucket", "r2://acct.bucket.x/path", "azure://acct/container", "azure://acct/$web/x",
    "azure://acct/c/d/e", "https://h/x", "https://h:80/x?y=/z#q", "https://h/a/b.bin", "https://h/@/x",
    "bt://p", "bt://my project@latest/checkpoint-1", "bt://p/", "bt://p@j/a/b", "bt://loops:k4q/weights/step-1",
    "bt://loops:k4q/sampler_weights/s/",
]
INVALID_SOURCES = [
    "", "a/b", "hf://", "hf:///x", "HF://a/b", " hf://a/b", "gcs://b/p", "file:///x", "bdn:ns/vol", "http://h/x", "hf://a",
    "hf://@main", "hf://a/b/c", "hf://a/b/c/d@v1", "hf://a/b ", "hf://a/b@..", "hf://a/b@x y", "hf://a/b@/x", "hf://a/b@x//y",
    "hf://a/b@x%2F", "hf://models/x", "hf://datasets", "hf://-a/b", "hf://a/.b", "hf://a/b--c", "hf://a/b..c", "hf://a/b.git",
    "hf://a/b-", "hf://" + "o" * 48 + "/" + "r" * 48, "s3://", "s3:///k", "s3://b/k@v", "s3://b k/x", "s3://./x", "gs://../x",
    "s3://b/k\n", "r2://bucket/path", "r2://a-b.bucket", "r2://.bucket/x", "r2://acct./x", "azure://acct", "azure://a_b/c",
    "azure://acct/c@x", "https://", "https:///x", "https://h", "https://h/", "https://h?x", "https://u@h/x", "https://h h/x",
    "https://:80/x", "https://h/..", "https://h/a/.", "bt://", "bt:///x", "bt://p@/x", "bt://p@..", "bt://p//x", "bt://p/..",
    "bt://a:b", "bt://loops:/weights/x", "bt://loops:r/other/x", "bt://loops:r/weights", "bt://loops:r/weights/a/b",
]
VALID_MOUNTS = [
    "/m", "/m/n", "/m/", "//m", "/m/.", "/./m", "/M", "/models/模型", "/usr/local/m", "/usr/share", "/var/m", "/tmp/x", "/home/u/m",
    "/processes", "/devices/m", "/opt/proc", "/a b", "/..almost", "/a/..b", "/root/x", "/run/m",
]
INVALID_MOUNTS = [
    "", "m", "/", "//", "/.", "/./", "/m/..", "/../m", "/m/../n", "/proc", "/proc/", "/proc/x", "//proc//x", "/./sys", "/dev/shm", "/etc",
    "/usr", "/usr/", "/usr/.", "/usr/bin", "/usr//bin/x", "/usr/./lib", "/usr/sbin", "/var", "/run", "/tmp", "/root", "/home/",
    "/lib64/x", "/a\tb", "/a\u007f", "/" + "x" * 256, "/" + "x/" * 2100, 7, None, ["/m"],
]
VALID_PATTERNS = [
    "*", "**", "*.json", "**/*.safetensors", "a/**/b", "dir/", "dir/**/", "a?b", "[ab]", "[!a]", "[^a]", "[]a]", "[a-]", "[a-z]*", "[]-a]",
    "[[:digit:]]", "[[:digit:][:alpha:]x]", "[[:]", "[A-[:foo:]]", "\\[", "\\\\", "a\\*", "[\\]]", "{a,b}", "!x", ".hidden", "..x", "...", "é*",
    "model-0000[1-4]-of-*.safetensors", "a]", "[a-b-c]", "[--0]", "[*]", "[?]x/[y]",
]
INVALID_PATTERNS = [
    "", "/", "/a", "./a", "./", "a//b", "a//", ".", "..", "a/./b", "a/..", "../a", "[", "[]", "[!]", "[a", "a/[b/c]", "[a/b]", "\\", "a\\", "a\\/b",
    "[\\]", "[[:foo:]]", "a[", "[a-", "x\u0000y", "y" * 4097, 7, None, True, ["a"], "[a-b", "[!", "[" + "a-" * 40,
]


@pytest.mark.parametrize("source", VALID_SOURCES)
def test_valid_sources(source):
    assert agree(config(item(source=source)))


@pytest.mark.parametrize("source", INVALID_SOURCES)
def test_invalid_sources(source):
    assert not agree(config(item(source=source)))


def test_mount_locations():
    assert all(agree(config(item(mount_location=m))) for m in VALID_MOUNTS)
    assert not any(agree(config(item(mount_location=m))) for m in INVALID_MOUNTS)


def test_patterns():
    for key in ("allow_patterns", "ignore_patterns"):
        assert agree(config(item(**{key: VALID_PATTERNS})))
    for p in VALID_PATTERNS:
        assert agree(config(item(allow_patterns=[p]))), p
    for p in INVALID_PATTERNS:
        assert not agree(config(item(allow_patterns=[p]))), p


FIELDS = ["auth_secret_name", "aws_oidc_role_arn", "aws_oidc_region", "gcp_oidc_service_account",
          "gcp_oidc_workload_id_provider"]


def test_the_whole_matrix_of_auth():
    """Every method with every set of fields, each set to text, empty or null; in one file each."""
    cases = []
    for method in ("CUSTOM_SECRET", "AWS_OIDC", "gcp_oidc"):
        for present in itertools.product((False, True), repeat=5):
            cases.append({"auth_method": method, **{f: "x" for f, p in zip(FIELDS, present) if p}})
        cases += [{"auth_method": method, **{f: "x" for f in FIELDS[:3]}, **{f: v for f in FIELDS[3:]}} for v in ("", None)]
        cases += [{"auth_method": method, FIELDS[1]: "x", FIELDS[2]: "y", FIELDS[0]: v} for v in ("", None)]
    for case in cases:
        agree(config(item(auth=case)))
    agree(config(item(auth={"auth_method": "AWS_OIDC", FIELDS[1]: "a", FIELDS[2]: "b"}, auth_secret_name="s")))


OTHERS = [
    "", "# nothing\n", "weights: []", "weights:\n", "weights: {}", "weights: [x]", "weights: [[]]", "[]", "x", "7",
    "a: 1\nweights: []\nresources: {gpu: [H100]}",
    config(item(extra=1)), config({"source": "hf://a/b"}), config({"mount_location": "/m"}), config({}),
    config(item(auth=None)), config(item(auth={})), config(item(auth=[])), config(item(auth="x")),
    config(item(auth={"auth_method": None})), config(item(auth={"auth_method": "AWS"})), config(item(auth={"auth_method": 7})),
    config(item(auth={"auth_method": "CUSTOM_SECRET", "auth_secret_name": "s", "role": "x"})),
    config(item(auth={"auth_method": "CUSTOM_SECRET", "auth_secret_name": 7})),
    config(item(auth={"auth_method": "CUSTOM_SECRET", "auth_secret_name": "s"}, auth_secret_name="t")),
    config(item(auth={"auth_method": "CUSTOM_SECRET", "auth_secret_name": "s"}, auth_secret_name="")),
    config(item(auth_secret_name="s")), config(item(auth_secret_name=None)), config(item(auth_secret_name=7)),
    config(item(allow_patterns=[])), config(item(ignore_patterns=[])), config(item(allow_patterns=None)),
    config(item(allow_patterns="*.json")), config(item(ignore_patterns=["*"] * 1001)), config(item(ignore_patterns=["*"] * 1000)),
    config(*[item(mount_location=f"/m{i}") for i in range(1001)]), config(*[item(mount_location=f"/m{i}") for i in range(1000)]),
    config(item(), model_cache=[{"repo_id": "a/b"}]), config(item(), hf_cache=[{"repo_id": "a/b"}]), config(item(), model_cache=[]),
    config(model_cache=[{"repo_id": "a/b"}]), config(item(), model_cache={"a": 1}), config(item(), hf_cache=None),
    config(item(), external_data=[{"url": "https://h/x", "local_data_path": "x"}]),
    json.dumps({"model_name": 7}), json.dumps({"model_name": None}), json.dumps({"model_name": "é"}),
    *[json.dumps({"environment_variables": v}) for v in (
        None, {}, [], "x", {"A": 1, "B": True, "C": None, "D": 1.5, "E": "x"}, {"A": []}, {"A": {}}, {"": "x"}, {"A=B": "x"}, {"A": "x\u0000"})],
    *[json.dumps({"secrets": v}) for v in (
        None, {}, [], ["a"], {"a": None, "b-c.d": "x"}, {"a": 7}, {"": None}, {".": None}, {"..": None}, {"a/b": None}, {"a": []})],
]
SERVER = {"server_port": 8000, "predict_endpoint": "/p", "readiness_endpoint": "/r", "liveness_endpoint": "/l", "start_command": "s"}
SERVERS = [
    None, {}, [], "x", SERVER, *[{k: v for k, v in SERVER.items() if k != key} for key in SERVER],
    *[{**SERVER, "server_port": v} for v in (0, 1, 65535, 65536, -1, "8000", "08000", "0", "65536", "x", "", None, True, [])],
    *[{**SERVER, "start_command": v} for v in (None, "", 7, [])],
    *[{**SERVER, "start_command": None, "no_build": v} for v in (True, "true", False, "yes", None, 1)],
    *[{k: v for k, v in {**SERVER, "no_build": True}.items() if k != "start_command"}],
    *[{**SERVER, "run_as_user_id": v} for v in (0, 1, 60000, -1, "0", "-0", "00", "60000", "060000", "1000", "x", "", None, [])],
    {**SERVER, "predict_endpoint": None}, {**SERVER, "liveness_endpoint": 7}, {**SERVER, "anything": {"else": 1}},
]


def test_everything_else_in_a_config():
    answers = [agree(text) for text in OTHERS]
    assert 10 < sum(answers) < len(answers) - 10
    for server in SERVERS:
        if isinstance(server, (dict, list)) and "server_port" not in server and server not in ({}, []):
            assert not agree(json.dumps({"docker_server": server}))
        agree(json.dumps({"docker_server": server}))


def test_the_configs_of_the_repository():
    """Those of the unit tests, of the migrations before and after, and of the examples."""
    seen = 0
    for path in [*REPOSITORY.glob("src/model/testdata/**/*.yaml"), *REPOSITORY.glob("examples/**/config.yaml")]:
        text = path.read_text(encoding="utf-8-sig")
        try:
            load(text)
        except yaml.YAMLError:
            continue
        agree(text)
        seen += 1
    for path in REPOSITORY.glob("src/model/testdata/migrate/*.expected"):
        after = path.read_text(encoding="utf-8").partition("==========\n")[2].removeprefix("\ufeff")
        if after:
            assert agree(after), path
            seen += 1
    assert seen > 25


def test_random_configs():
    """Mutations of valid configs: fields taken away, replaced from the lists above, or added."""
    rng = random.Random(20)
    values = [VALID_SOURCES, INVALID_SOURCES, VALID_MOUNTS, INVALID_MOUNTS, VALID_PATTERNS]
    scalars = [None, "", 7, True, [], {}, "x"]
    valid = 0
    for _ in range(250):
        weights = []
        for i in range(rng.randrange(3)):
            one = item(source=rng.choice(VALID_SOURCES), mount_location=f"/m{i}/x")
            for _ in range(rng.randrange(3)):
                key = rng.choice([*one, "auth", "auth_secret_name", "allow_patterns", "ignore_patterns", "other"])
                change = rng.randrange(6)
                if change == 0:
                    one.pop(key, None)
                elif change == 1:
                    one[key] = rng.choice(scalars)
                elif key.endswith("patterns"):
                    one[key] = rng.sample(VALID_PATTERNS, 3) + ([rng.choice(INVALID_PATTERNS)] if change == 2 else [])
                elif key == "auth":
                    one[key] = {k: rng.choice(["x", "y", "", None, "AWS_OIDC", "CUSTOM_SECRET"]) for k in
                                rng.sample(["auth_method", *FIELDS], rng.randrange(1, 4))}
                elif key in ("source", "mount_location"):
                    one[key] = rng.choice(rng.choice(values))
                else:
                    one[key] = "s"
            weights.append(one)
        valid += agree(config(*weights))
    assert 50 < valid < 220
