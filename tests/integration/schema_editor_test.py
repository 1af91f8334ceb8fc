#!/usr/bin/env python3
"""Proves that editors complete and check config.yaml with `bdn schema`: yaml-language-server, which VS Code,
Neovim, Helix and Emacs use, is asked over its protocol (Language Server Protocol 3.17).

usage: schema_editor_test.py BDN WORK_DIRECTORY

Installs the server once into WORK_DIRECTORY."""
import json, pathlib, subprocess, sys, tempfile, threading

VERSION = "1.19.2"
bdn, work = sys.argv[1], pathlib.Path(sys.argv[2])
SECONDS_MAX = 60

GOOD = """model_name: x
weights:
  - source: hf://owner/repo@main
    mount_location: /models/base
    allow_patterns: ["**/*.safetensors", "*.json"]
    auth:
      auth_method: custom_secret
      auth_secret_name: s
anything: {else: [1, 2]}
"""
# What is wrong, the line of it (from 1), a part of what the editor says.
BAD = [
    ("weights:\n  - source: hf://owner\n    mount_location: /m\n", 2, "hf://owner/repo[@revision]"),
    ("weights:\n  - source: hf://a/b\n    mount_location: models\n", 3, "start with /"),
    ("weights:\n  - source: hf://a/b\n    mount_location: /proc/x\n", 3, ""),
    ("weights:\n  - source: hf://a/b\n", 2, "mount_location"),
    ("weights:\n  - source: hf://a/b\n    mount_location: /m\n    revision: main\n", 4, "revision"),
    ("weights:\n  - source: hf://a/b\n    mount_location: /m\n    allow_patterns: [./x]\n", 4, "relative to the root"),
    ("weights:\n  - source: hf://a/b\n    mount_location: /m\n    auth:\n      auth_method: AWS_OIDC\n", 4, "aws_oidc_role_arn"),
    ("weights:\n  - source: hf://a/b\n    mount_location: /m\n    auth:\n      auth_method: AWS\n", 5, ""),
    ("weights:\n", 1, "array"),
    ("docker_server:\n  server_port: 99999\n", 2, ""),
]


class Server:
    def __init__(self, entry):
        self.process = subprocess.Popen(["node", str(entry), "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL)
        self.serial, self.answers, self.published = 0, {}, {}
        self.news = threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        out = self.process.stdout
        while header := out.readline():
            length = 0
            while header.strip():
                if header.lower().startswith(b"content-length:"):
                    length = int(header.split(b":")[1])
                header = out.readline()
            message = json.loads(out.read(length))
            with self.news:
                if "method" in message and "id" in message:
                    # A question of the server: no setting is set.
                    items = message.get("params", {}).get("items", []) if isinstance(message.get("params"), dict) else []
                    self.write({"id": message["id"], "result": [None] * len(items)})
                elif message.get("method") == "textDocument/publishDiagnostics":
                    self.published[message["params"]["uri"]] = message["params"]["diagnostics"]
                elif "id" in message:
                    self.answers[message["id"]] = message
                self.news.notify_all()

    def write(self, message):
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.process.stdin.flush()

    def wait(self, there):
        with self.news:
            assert self.news.wait_for(there, SECONDS_MAX), "the language server does not answer"

    def ask(self, method, params):
        self.serial += 1
        number = self.serial
        self.write({"id": number, "method": method, "params": params})
        self.wait(lambda: number in self.answers)
        answer = self.answers.pop(number)
        assert "error" not in answer, answer
        return answer["result"]

    def open(self, path, text):
        path.write_text(text)
        self.published.pop(path.as_uri(), None)
        self.write({"method": "textDocument/didOpen", "params": {"textDocument": {
            "uri": path.as_uri(), "languageId": "yaml", "version": 1, "text": text}}})
        return path.as_uri()

    def diagnostics(self, path, text):
        uri = self.open(path, text)
        self.wait(lambda: uri in self.published)
        return self.published[uri]

    def at(self, uri, line, column):
        return {"textDocument": {"uri": uri}, "position": {"line": line, "character": column}}


def install():
    package = work / "node_modules/yaml-language-server"
    if not (package / "package.json").exists() or json.loads((package / "package.json").read_text())["version"] != VERSION:
        work.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--prefix", str(work), "--no-audit", "--no-fund", "--no-save", "--ignore-scripts",
                        "--no-package-lock", f"yaml-language-server@{VERSION}"], check=True, timeout=240)
    return package / "bin/yaml-language-server"


def labels(completion):
    return {item["label"] for item in (completion["items"] if isinstance(completion, dict) else completion)}


def check(server, directory):
    mode = f"# yaml-language-server: $schema={directory / 'config.schema.json'}\n"
    good = server.diagnostics(directory / "good.yaml", mode + GOOD)
    assert good == [], good
    for number, (text, line, said) in enumerate(BAD):
        found = server.diagnostics(directory / f"bad{number}.yaml", mode + text)
        assert found, f"nothing is wrong with\n{text}"
        # Line 1 is the mode line.
        assert any(d["range"]["start"]["line"] <= line <= d["range"]["end"]["line"] and said in d["message"] for d in found), (text, found)
    uri = server.open(directory / "keys.yaml", mode + "weights:\n  - source: hf://a/b\n    \n")
    keys = labels(server.ask("textDocument/completion", server.at(uri, 3, 4)))
    assert {"mount_location", "auth", "auth_secret_name", "allow_patterns", "ignore_patterns"} <= keys, keys
    uri = server.open(directory / "method.yaml", mode + "weights:\n  - source: hf://a/b\n    auth:\n      auth_method: \n")
    methods = labels(server.ask("textDocument/completion", server.at(uri, 4, 19)))
    assert {"CUSTOM_SECRET", "AWS_OIDC", "GCP_OIDC"} <= methods, methods
    uri = server.open(directory / "root.yaml", mode + "\n")
    root = labels(server.ask("textDocument/completion", server.at(uri, 1, 0)))
    assert {"weights", "docker_server", "environment_variables"} <= root, root
    uri = server.open(directory / "hover.yaml", mode + GOOD)
    hover = server.ask("textDocument/hover", server.at(uri, 4, 6))
    assert "Absolute path" in json.dumps(hover), hover


def main():
    entry = install()
    with tempfile.TemporaryDirectory() as temporary:
        directory = pathlib.Path(temporary)
        schema = subprocess.run([bdn, "schema"], check=True, capture_output=True, text=True, timeout=30).stdout
        (directory / "config.schema.json").write_text(schema)
        server = Server(entry)
        try:
            server.ask("initialize", {"processId": None, "rootUri": directory.as_uri(), "capabilities": {
                "workspace": {"configuration": True}, "textDocument": {
                    "completion": {"completionItem": {"snippetSupport": True}}, "publishDiagnostics": {}, "hover": {}}}})
            server.write({"method": "initialized", "params": {}})
            server.write({"method": "workspace/didChangeConfiguration", "params": {"settings": {"yaml": {
                "validate": True, "completion": True, "hover": True, "schemaStore": {"enable": False}}}}})
            check(server, directory)
        finally:
            server.process.kill()
            server.process.wait()
    print(f"ok: yaml-language-server {VERSION} completes and checks config.yaml")


main()
