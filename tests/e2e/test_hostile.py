"""Configs, listings and volumes that want to write elsewhere are refused."""

import http.server
import json
import os
import threading

import pytest
from harness import REPO, pseudo_random, tree_of, write_config

SHA = "a" * 40


class HostileHub(http.server.BaseHTTPRequestHandler):
    """A Hub whose listing has whatever names the server's `names` are."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def _send(self, status, body, **headers):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        content = b"hostile\n"
        if "/tree/" in self.path:
            rows = [{"type": "file", "path": n, "size": len(content), "oid": "b" * 40}
                    for n in self.server.names]
            self._send(200, json.dumps(rows).encode(), Content_Type="application/json")
        elif self.path.startswith("/api/"):
            self._send(200, json.dumps({"id": REPO, "sha": SHA}).encode(),
                       Content_Type="application/json")
        else:
            self.server.contents += 1
            self._send(200, content, ETag=f'"{"b" * 40}"', X_Repo_Commit=SHA)


@pytest.fixture
def hostile():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), HostileHub)
    server.daemon_threads = True
    server.contents = 0
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    "names",
    [
        ["../x"], ["a/../../x"], ["/etc/bdn-e2e-x"], ["a", "a/b"], ["a/b", "a"], ["."], [".."],
        ["a//b"], ["a/./b"], ["a/"], [""], ["a\x00b"], ["a", "a"], ["x" * 300], ["a/" * 3000 + "b"],
    ],
    ids=lambda names: "+".join(names)[:20].replace("\x00", "NUL").replace("/", "|"),
)
def test_a_listing_with_names_that_escape_or_collide_is_refused(
        hostile, start, work, location, names):
    hostile.names = ["config.json", *names]
    node = start.node(hostile.url)
    before = {p for p in work.iterdir()}
    done = node.bdn("push", write_config(
        work / "m", [{"source": f"hf://{REPO}", "mount_location": str(location)}],
        model_name="m"), "--wait")
    assert done.code == 1, done
    state = node.get("/v1/deployments")["deployments"][0]
    assert state["status"] == "DEPLOY_FAILED"
    assert state["error"]["code"] in ("invalid_argument", "corrupt"), state["error"]
    assert hostile.contents == 0, "refused before anything is fetched"
    assert node.object_count() == 0
    assert {p for p in work.iterdir()} - before == {work / "m"}
    assert not os.path.exists("/etc/bdn-e2e-x")
    assert node.bdn("run", "m", "--", "true").code != 0


@pytest.mark.parametrize(
    "mount",
    ["relative", "/", "/proc", "/proc/x", "/sys/fs", "/dev/shm", "/a/../b", "/a/./..", "//", ""],
)
def test_mount_locations_that_would_hide_the_system_are_refused(start, work, mount):
    node = start.node()
    done = node.bdn("push", write_config(
        work / "m", [{"source": f"hf://{REPO}", "mount_location": mount}]))
    assert done.code == 1, done
    assert "weights.0.mount_location" in done.err
    assert node.get("/v1/deployments")["deployments"] == []


@pytest.mark.parametrize("first, second", [("/m", "/m"), ("/m", "/m/"), ("/m", "/m/sub")])
def test_mount_locations_that_collide_are_refused(start, work, first, second):
    node = start.node()
    done = node.bdn("push", write_config(
        work / "m", [{"source": f"hf://{REPO}", "mount_location": m} for m in (first, second)]))
    assert done.code == 1, done
    assert "mount_location" in done.err


def test_a_pushed_directory_with_a_link_that_leaves_it_is_refused(start, work):
    node = start.node()
    tree = work / "tree"
    tree.mkdir()
    (tree / "x").symlink_to("/etc/passwd")
    done = node.bdn("volume", "push", tree, "bdn:a/b")
    assert done.code != 0 and "x" in done.err, done
    (tree / "x").unlink()
    (tree / "x").symlink_to("../../outside")
    assert node.bdn("volume", "push", tree, "bdn:a/b").code != 0
    (tree / "x").unlink()
    os.mkfifo(tree / "pipe")
    done = node.bdn("volume", "push", tree, "bdn:a/b")
    assert done.code != 0 and "pipe" in done.err, done


def test_a_damaged_object_is_never_mounted(start, small_model, work, location):
    hub = start.hub({REPO: small_model})
    node = start.node(hub.url)
    node.push(write_config(
        work / "m", [{"source": f"hf://{REPO}", "mount_location": str(location)}],
        model_name="m"), "--wait")
    largest = max((p for p in (node.data / "origin" / "bdn").rglob("*") if p.is_file()),
                  key=lambda p: p.stat().st_size)
    damaged = bytearray(largest.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    largest.chmod(0o644)
    largest.write_bytes(damaged)
    done = node.bdn("run", "m", "--", "true")
    assert done.code == 8, done
    assert "model.safetensors" in done.err or "b3:" in done.err
    assert list((node.data / "cache" / "trees").iterdir()) == []


@pytest.mark.parametrize("host, address, kind", [
    ("127.0.0.1", "127.0.0.1", "loopback"),
    ("0x7f000001", "127.0.0.1", "loopback"),
    ("169.254.169.254", "169.254.169.254", "link-local"),
    ("10.1.2.3", "10.1.2.3", "private"),
    ("[::1]", "::1", "loopback"),
])
def test_a_source_at_a_private_address_is_refused_without_a_connection(
        start, work, location, host, address, kind):
    node = start.node()
    done = node.bdn("push", write_config(
        work / "m", [{"source": f"https://{host}:1/x", "mount_location": str(location)}],
        model_name="m"), "--wait")
    assert done.code == 1, done
    error = node.get("/v1/deployments")["deployments"][0]["error"]
    assert error["code"] == "permission_denied"
    host = host.strip("[]")
    assert f"refused to connect to {host}: {address} is a {kind} address" in error["message"]
    assert error["hint"] == (
        f"if this is meant, the operator allows it with --allow-private {host} (BDN_ALLOW_PRIVATE)")
