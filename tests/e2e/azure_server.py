"""bdn-fake-azure as a process, for the tests of azure:// and of bdn doctor."""

import base64
import json
import urllib.parse
import urllib.request

from harness import BUILD_DIR, Process

KEY = base64.b64encode(bytes(range(64))).decode()
OTHER_KEY = base64.b64encode(bytes(range(64, 128))).decode()
KEY_SECRET = json.dumps({"azure_account_key": KEY})


class FakeAzure:
    """Containers of the account "acme"."""

    def __init__(self, work, containers, *options):
        argv = [BUILD_DIR / "bdn-fake-azure", "--account", f"acme={KEY}", *options]
        for name, directory in containers.items():
            argv += ["--container", f"acme/{name}={directory}"]
        self.process = Process(argv, work / "azure.log")
        self.url = self.process.wait_for(r"fake azure ready at (\S+)")[1]
        self.env = {"AZURE_STORAGE_BLOB_ENDPOINT": self.url, "AZURE_AUTHORITY_HOST": self.url}

    def _call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/_fake/{path}", data=data, method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def log(self):
        return self._call("GET", "log")

    def clear_log(self):
        self._call("DELETE", "log")

    def fault(self, **fault):
        self._call("POST", "faults", fault)

    def put(self, name, text="", container="models", **rest):
        self._call("POST", "put", {"account": "acme", "container": container, "name": name, "text": text, **rest})

    def content(self):
        """The log entries that carried bytes of blobs."""
        return [e for e in self.log() if e["method"] == "GET" and e["status"] in (200, 206) and "comp=list" not in e["query"]]

    def asked_blobs(self):
        """The names of the blobs of which bytes were asked for."""
        return {urllib.parse.unquote(e["path"]).split("/", 3)[3] for e in self.content()}

    def stop(self):
        self.process.stop()


def sas(rights="rl", expiry="2099-01-01T00:00:00Z", container="models", key=KEY):
    """A service SAS for a container."""
    import hashlib
    import hmac
    version = "2021-12-02"
    fields = [rights, "", expiry, f"/blob/acme/{container}", "", "", "", version, "c", "", "", "", "", "", "", ""]
    mac = hmac.new(base64.b64decode(key), "\n".join(fields).encode(), hashlib.sha256).digest()
    return urllib.parse.urlencode(
        {"sv": version, "sp": rights, "se": expiry, "sr": "c", "sig": base64.b64encode(mac).decode()})
