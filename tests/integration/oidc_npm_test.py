#!/usr/bin/env python3
"""Proves tokens of the running issuer with the real verifier, npm's jose, by discovery and its key set.

usage: oidc_npm_test.py BDN CLIENT_MJS WORK_DIRECTORY

Installs jose once into WORK_DIRECTORY. Signatures of both kinds, ES256 ones whose numbers begin with a zero
byte, both keys while one is rotated, revocation, and tokens that somebody changed."""
import base64, json, os, pathlib, re, socket, subprocess, sys, tempfile, time, urllib.error, urllib.request

VERSION = "5.10.0"
bdn, client, work = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3]).resolve()
CONFIG = "model_name: my-model\nweights:\n  - source: hf://nobody/nothing\n    mount_location: /models/x\n"
ENV = {**{k: v for k, v in os.environ.items() if not k.startswith("BDN_")}, "NO_PROXY": "*", "no_proxy": "*"}


def install():
    package = work / "node_modules/jose/package.json"
    if package.exists() and json.loads(package.read_text())["version"] == VERSION:
        return
    work.mkdir(parents=True, exist_ok=True)
    subprocess.run(["npm", "install", "--prefix", str(work), "--no-audit", "--no-fund", "--no-save", "--ignore-scripts",
                    "--no-package-lock", f"jose@{VERSION}"], check=True, timeout=240)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def part(token, number):
    text = token.split(".")[number]
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Control:
    """A control plane with an issuer at its own address."""

    def __init__(self, directory, port, *options):
        self.issuer = f"http://localhost:{port}/id"
        self.audience = f"localhost:{port}/id"
        self.data = pathlib.Path(directory) / "data"
        env = {**ENV, "HOME": str(directory), "XDG_CONFIG_HOME": str(directory)}
        self.process = subprocess.Popen(
            [bdn, "control", "--data", self.data, "--listen", f"127.0.0.1:{port}", "--oidc-issuer", self.issuer,
             "--hf-endpoint", "http://127.0.0.1:1", *options], stdout=subprocess.PIPE, text=True, env=env)
        running.append(self.process)
        line = self.process.stdout.readline()
        self.url = re.match(r"bdn is ready at (\S+)", line)[1]
        self.keys = json.loads((self.data / "client.json").read_text())

    def call(self, method, path, body, node=False):
        request = urllib.request.Request(
            self.url + path, method=method, data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json",
                     "Authorization": "Bearer " + self.keys["node_key" if node else "api_key"]})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read())

    def deployment(self):
        return self.call("POST", "/v1/deployments", {"config": CONFIG})["id"]

    def token(self, deployment, **body):
        return self.call("POST", f"/v1/deployments/{deployment}/identity-token", body, node=True)["token"]

    def published(self):
        with urllib.request.urlopen(self.issuer + "/.well-known/jwks.json", timeout=20) as answer:
            return [key["kid"] for key in json.load(answer)["keys"]]

    def verify(self, tokens):
        done = subprocess.run(["node", client, self.issuer, self.audience, str(work)], input="\n".join(tokens),
                              capture_output=True, text=True, timeout=60, env=ENV)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def stop(self):
        self.process.terminate()
        assert self.process.wait(30) == 0


def short_tokens(control, deployment):
    """Tokens whose r, and whose s, begin with a zero byte: one in 256 each."""
    found = {}
    for _ in range(5000):
        token = control.token(deployment)
        signature = part(token, 2)
        assert len(signature) == 64
        for name, byte in (("r", signature[0]), ("s", signature[32])):
            if byte == 0:
                found.setdefault(name, token)
        if len(found) == 2:
            return list(found.values())
    raise AssertionError("no short number in 5000 signatures")


def check_elliptic(directory, port):
    control = Control(directory, port, "--oidc-algorithm", "ES256")
    deployment = control.deployment()
    plain = control.token(deployment)
    forged = plain.split(".")
    claims = json.loads(part(plain, 1))
    claims["sub"] = claims["sub"].replace("my-model", "other")
    forged[1] = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    for_others = control.token(deployment, audience="somebody.example.com")
    seen = control.verify([plain, *short_tokens(control, deployment), ".".join(forged), for_others])
    for one in seen[:3]:
        assert one["alg"] == "ES256" and one["claims"]["deployment"] == deployment, one
    assert seen[3] == {"refused": "ERR_JWS_SIGNATURE_VERIFICATION_FAILED"}, seen[3]
    assert seen[4] == {"refused": "ERR_JWT_CLAIM_VALIDATION_FAILED"}, seen[4]
    claims = seen[0]["claims"]
    assert claims["exp"] - claims["iat"] == 3600 and claims["iat"] <= time.time()
    assert claims["sub"] == (f"v=1:org=default:team=default:model=my-model:deployment={deployment}:"
                             "environment=<none>:type=model_container"), claims
    control.stop()
    return deployment, plain


def check_rotation(directory, port, deployment, old_token):
    """The change to RS256 is a rotation: the new key is published and the old one signs on."""
    control = Control(directory, port)
    elliptic = json.loads(part(old_token, 0))["kid"]
    assert len(control.published()) == 2 and control.published()[0] == elliptic
    still = control.token(deployment)
    assert [one["kid"] for one in control.verify([old_token, still])] == [elliptic, elliptic]
    control.call("POST", "/v1/oidc/rotate", {"revoke": True})
    first = control.token(deployment)
    assert control.verify([first])[0]["alg"] == "RS256"
    assert control.verify([old_token]) == [{"refused": "ERR_JWKS_NO_MATCHING_KEY"}], "a revoked key"
    control.call("POST", "/v1/oidc/rotate", {"lead_seconds": 0})
    second = control.token(deployment)
    seen = control.verify([first, second])
    assert seen[0]["kid"] != seen[1]["kid"] and {one["alg"] for one in seen} == {"RS256"}, seen
    assert {one["kid"] for one in seen} == set(control.published())
    control.stop()


running = []


def main():
    install()
    port = free_port()
    try:
        with tempfile.TemporaryDirectory() as directory:
            deployment, token = check_elliptic(directory, port)
            check_rotation(directory, port, deployment, token)
    finally:
        for process in running:
            process.kill()
    print("verified by jose")


main()
