"""The identity token of a running server, and the issuer's commands."""

import base64
import json
import os
import pathlib
import socket
import sys

import pytest
from harness import REPO, deployment_id, wait_until, write_config

# What a server sees of its token: path, mode, parts, environment.
LOOK = """
import json, os, stat
path = os.environ.get("BDN_IDENTITY_TOKEN_FILE")
print(json.dumps(None if path is None else
    [path, stat.S_IMODE(os.stat(path).st_mode), open(path).read(), "BDN_API_KEY" in os.environ]))
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def claims_of(token):
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


@pytest.fixture
def make(start, small_model, work, location):
    """make(options): a node with an issuer and one mirrored deployment named "tiny"."""
    hub = start.hub({REPO: small_model})

    def one(*options, issuer=True, **rest):
        port = free_port()
        if issuer:
            options = ("--oidc-issuer", f"http://localhost:{port}", *options)
        node = start.node(hub.url, listen=f"127.0.0.1:{port}", options=options)
        config = write_config(work / "model", [{"source": f"hf://{REPO}", "mount_location": str(location)}],
                              model_name="tiny", **rest)
        node.deployment = deployment_id(node.push(config, "--wait"))
        return node

    return one


def test_a_run_gets_a_token_of_its_own_deployment_and_it_goes_with_the_run(make):
    node = make()
    seen = node.ok("run", "tiny", "--", sys.executable, "-c", LOOK).json()
    path, mode, token, has_key = seen
    assert mode == 0o400 and not has_key
    assert not os.path.exists(path) and not os.path.exists(os.path.dirname(path))
    claims = claims_of(token)
    assert claims["sub"] == (f"v=1:org=default:team=default:model=tiny:deployment={node.deployment}:"
                             "environment=<none>:type=model_container")
    assert claims["sub"] == node.ok("oidc", "show", "tiny", "--json").json()["run_subject"]
    assert claims["exp"] - claims["iat"] <= 3600
    assert token not in node.process.text()


def test_the_token_is_replaced_before_it_ends(make, work):
    node = make("--oidc-token-life", "12")
    out = work / "tokens"
    code = f"""
import os, time
path, last = os.environ["BDN_IDENTITY_TOKEN_FILE"], ""
while True:
    token = open(path).read()  # there at every moment
    if token != last:
        open({str(out)!r}, "a").write(token + "\\n")
        last = token
    time.sleep(0.02)
"""
    run = node.spawn("run", "tiny", "--", sys.executable, "-c", code)
    wait_until(lambda: out.exists() and len(out.read_text().split()) >= 3, what="two renewals")
    claims = [claims_of(token) for token in out.read_text().split()]
    for before, after in zip(claims, claims[1:]):
        assert after["iat"] < before["exp"] - 1, "replaced while the old one was good"
        assert before["jti"] != after["jti"]
    directory = pathlib.Path("/dev/shm")
    assert list(directory.glob("bdn-identity-*"))
    run.stop()
    wait_until(lambda: not [d for d in directory.glob("bdn-identity-*") if d.stat().st_mtime > out.stat().st_ctime],
               what="the token is gone")


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_a_run_without_root_has_it_too(make, work):
    node = make()
    config = work / "user-config" / "bdn"
    config.mkdir(parents=True)
    (config / "client.json").write_text((node.data / "client.json").read_text())
    os.chmod(config / "client.json", 0o644)
    # The parents that pytest makes are its owner's alone.
    hidden = {p: p.stat().st_mode & 0o7777 for p in work.parents if p.stat().st_mode & 0o001 == 0}
    for path in hidden:
        path.chmod(0o711)
    try:
        look = node.bdn("run", "tiny", "--", sys.executable, "-c", LOOK,
                        prefix=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
                        env={"XDG_CONFIG_HOME": str(config.parent), "HOME": "/nonexistent"})
    finally:
        for path, mode in hidden.items():
            path.chmod(mode)
    assert look.code == 0, look
    path, mode, token, _ = look.json()
    assert mode == 0o400 and claims_of(token)["type"] == "model_container"
    assert not os.path.exists(path)


def test_the_config_can_turn_it_off(make):
    node = make(runtime={"oidc": {"enabled": False}})
    assert node.ok("run", "tiny", "--", sys.executable, "-c", LOOK).json() is None


def test_without_an_issuer_nothing_changes(make):
    node = make(issuer=False)
    assert node.ok("run", "tiny", "--", sys.executable, "-c", LOOK).json() is None


def test_export_writes_what_the_issuer_serves(make, work):
    node = make()
    node.ok("oidc", "export", work / "site")
    served = node.get("/.well-known/jwks.json")
    known = work / "site" / ".well-known"
    assert json.loads((known / "jwks.json").read_text()) == served
    assert json.loads((known / "openid-configuration").read_text()) == node.get("/.well-known/openid-configuration")
    node.ok("oidc", "export", work / "plain", "--without-certificates")
    plain = json.loads((work / "plain/.well-known/jwks.json").read_text())
    assert set(plain["keys"][0]) == {"kty", "alg", "use", "kid", "n", "e"}


def test_rotation_and_revocation(make):
    node = make()
    first = node.get("/v1/oidc")["keys"][0]["kid"]
    assert "next" in node.ok("oidc", "rotate").out
    again = node.bdn("oidc", "rotate")
    assert again.code == 7 and "a rotation is under way" in again.err
    assert "all earlier keys are gone" in node.ok("oidc", "rotate", "--revoke").err
    keys = node.get("/v1/oidc")["keys"]
    assert len(keys) == 1 and keys[0]["kid"] != first
    node.process.stop()
    node.start()
    assert node.get("/v1/oidc")["keys"] == keys, "keys survive a restart"


def test_an_issuer_that_cannot_be_one_is_refused_at_the_start(start):
    node = start.stopped_node(options=["--oidc-issuer", "http://id.example.com"])
    process = node.launch()
    assert process.wait() == 1
    assert "https only" in process.text()
