"""https:// sources over real TLS: push → mirror → run, pins, redirects, secrets, servers without ranges."""

import hashlib
import http.server
import re
import ssl
import subprocess
import threading

import pytest
from harness import CHUNK, MIB, pseudo_random, write_config


class WebHandler(http.server.BaseHTTPRequestHandler):
    """Serves `server.files` (path → bytes); behaviour by the server's flags."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.do_GET()

    def _send(self, status, headers, body=b""):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        chunked = headers.get("Transfer-Encoding") == "chunked"
        if not chunked:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        sent = 0
        if self.command == "GET":
            if chunked:
                for at in range(0, len(body), 65536):
                    piece = body[at:at + 65536]
                    self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                self.wfile.write(b"0\r\n\r\n")
            else:
                self.wfile.write(body)
            sent = len(body)
        self.server.log.append({
            "method": self.command, "path": self.path, "status": status, "bytes": sent,
            "range": self.headers.get("Range"), "authorization": self.headers.get("Authorization")})

    def do_GET(self):
        s = self.server
        if self.path in s.redirects:
            return self._send(302, {"Location": s.redirects[self.path]})
        if s.token and self.headers.get("Authorization") != f"Bearer {s.token}":
            return self._send(401, {}, b"who are you")
        if self.command == "HEAD" and s.refuse_head:
            return self._send(405, {})
        content = s.files.get(self.path.split("?")[0])
        if content is None:
            return self._send(404, {}, b"no such file")
        headers = {}
        if s.validators:
            headers["ETag"] = '"%s"' % hashlib.md5(content).hexdigest()
        wanted = self.headers.get("Range")
        if s.chunked:
            return self._send(200, {"Transfer-Encoding": "chunked"}, content)
        if wanted and s.ranges:
            first, last = map(int, re.fullmatch(r"bytes=(\d+)-(\d+)", wanted).groups())
            last = min(last, len(content) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
            return self._send(206, headers, content[first:last + 1])
        return self._send(200, headers, content)


class Web:
    """An https server on 127.0.0.1 with a certificate of its own authority."""

    def __init__(self, directory):
        self.ca = directory / "web.pem"
        key = directory / "web.key"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
             "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", self.ca],
            check=True, capture_output=True)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.ca, key)
        self.servers = []

    def serve(self):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), WebHandler)
        server.daemon_threads = True
        server.socket = self.context.wrap_socket(server.socket, server_side=True)
        server.files, server.redirects, server.log = {}, {}, []
        server.ranges, server.validators, server.chunked = True, True, False
        server.refuse_head, server.token = False, None
        server.url = f"https://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.servers.append(server)
        return server

    def close(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()


@pytest.fixture
def web(work):
    web = Web(work)
    yield web
    web.close()


@pytest.fixture
def site(web):
    return web.serve()


@pytest.fixture
def node(start, web):
    node = start.stopped_node(options=["--allow-private", "127.0.0.0/8"])
    node.env["SSL_CERT_FILE"] = str(web.ca)
    return node.start()


def push(node, work, name, source, location, **rest):
    weights = {"source": source, "mount_location": str(location), **rest}
    return node.push(write_config(work / name, [weights], model_name=name), "--wait")


def content(server):
    return sum(e["bytes"] for e in server.log if e["status"] in (200, 206))


def read(node, name, path):
    return node.ok("run", name, "--", "sha256sum", path).out.split()[0]


def digest(data):
    return hashlib.sha256(data).hexdigest()


def test_a_large_file_is_mirrored_in_ranges_and_mounted(node, site, work, location):
    data = pseudo_random(2 * CHUNK + 12345, 1)
    site.files["/m/big%20one.safetensors"] = data
    push(node, work, "one", f"{site.url}/m/big%20one.safetensors", location)
    assert read(node, "one", location / "big one.safetensors") == digest(data)
    assert sorted(e["range"] for e in site.log if e["status"] == 206) == sorted(
        [f"bytes=0-{CHUNK - 1}", f"bytes={CHUNK}-{2 * CHUNK - 1}", f"bytes={2 * CHUNK}-{len(data) - 1}"])
    assert content(site) == len(data), "every byte once"


def test_a_second_push_and_other_credentials_fetch_nothing_and_a_change_fetches_the_file(
        node, site, work, location):
    site.files["/w.bin"] = first = pseudo_random(300_000, 1)
    source = f"{site.url}/w.bin"
    push(node, work, "one", source, location)
    assert content(site) == len(first)
    site.log.clear()
    push(node, work, "two", source, location)
    assert content(site) == 0
    node.ok("secret", "set", "token", stdin="new-credential")
    push(node, work, "three", source, location,
         auth={"auth_method": "CUSTOM_SECRET", "auth_secret_name": "token"})
    assert content(site) == 0
    assert site.log[-1]["authorization"] == "Bearer new-credential"
    site.files["/w.bin"] = second = pseudo_random(300_000, 2)
    site.log.clear()
    push(node, work, "four", source, location)
    assert content(site) == len(second)
    assert read(node, "four", location / "w.bin") == digest(second)
    assert read(node, "one", location / "w.bin") == digest(first), "the first stays what it was"


@pytest.mark.parametrize("size", [100_000, CHUNK + MIB])
def test_servers_without_ranges_or_sizes_are_read_whole(node, site, work, location, size):
    data = pseudo_random(size, 3)
    site.files["/w.bin"] = data
    site.ranges = False
    push(node, work, "whole", f"{site.url}/w.bin", location)
    assert read(node, "whole", location / "w.bin") == digest(data)
    site.chunked, site.validators, site.refuse_head = True, False, True
    pushed = push(node, work, "counted", f"{site.url}/w.bin?v=2", location)
    assert read(node, "counted", location / "w.bin") == digest(data)
    assert pushed["status"] == "ACTIVE"


def test_a_large_file_from_a_server_without_ranges_is_read_about_once(node, site, work, location):
    data = pseudo_random(5 * CHUNK + 99, 5)
    site.files["/w.bin"] = data
    site.ranges = False
    push(node, work, "streamed", f"{site.url}/w.bin", location)
    assert read(node, "streamed", location / "w.bin") == digest(data)
    whole = [e for e in site.log if e["method"] == "GET" and e["range"] is None]
    assert 1 <= len(whole) <= 2, "one body for all chunks; another where a reader was late"


def test_an_empty_file_is_mirrored(node, site, work, location):
    site.files["/empty.txt"] = b""
    push(node, work, "empty", f"{site.url}/empty.txt", location)
    assert read(node, "empty", location / "empty.txt") == digest(b"")


def test_a_token_is_not_sent_to_where_a_redirect_leads(node, web, site, work, location):
    cdn = web.serve()
    cdn.files["/blob"] = data = pseudo_random(50_000, 4)
    site.redirects["/w.bin"] = f"{cdn.url}/blob?signature=abc"
    node.ok("secret", "set", "token", stdin="for-the-site-alone")
    push(node, work, "redirected", f"{site.url}/w.bin", location,
         auth={"auth_method": "CUSTOM_SECRET", "auth_secret_name": "token"})
    assert read(node, "redirected", location / "w.bin") == digest(data)
    assert site.log and all(e["authorization"] == "Bearer for-the-site-alone" for e in site.log)
    assert cdn.log and not any(e["authorization"] for e in cdn.log)
    assert "for-the-site-alone" not in node.process.text()
    assert "signature=abc" not in node.process.text()


def test_errors_say_what_to_do(node, site, work, location):
    site.token = "right"
    site.files["/w.bin"] = b"x"

    def failed(source, **rest):
        done = node.bdn("push", write_config(
            work / "failing", [{"source": source, "mount_location": str(location), **rest}],
            model_name="failing"), "--wait")
        assert done.code == 1, done
        return done.err

    assert "it wants a credential: name a secret" in failed(f"{site.url}/w.bin?key=hidden")
    node.ok("secret", "set", "token", stdin="wrong")
    auth = {"auth": {"auth_method": "CUSTOM_SECRET", "auth_secret_name": "token"}}
    error = failed(f"{site.url}/w.bin?key=hidden", **auth)
    assert "does not know the secret's credential" in error
    assert "?(sha256 " in error, "how the answer names an address with a query"
    assert "hidden" not in node.process.text(), "a query may be a signature: it is in no log"
    node.ok("secret", "set", "token", stdin="right")
    assert "HTTP 404 (no such file): check the address" in failed(f"{site.url}/none", **auth)


def test_ls_shows_the_file(node, web, site):
    site.files["/w.bin"] = b"12345"
    listed = node.ok("ls", f"{site.url}/w.bin", "--json",
                     env={"BDN_ALLOW_PRIVATE": "127.0.0.1"}).json()
    assert [(f["path"], f["size"]) for f in listed["files"]] == [("w.bin", 5)]
    refused = node.bdn("ls", f"{site.url}/w.bin")
    assert refused.code == 4 and "refused to connect" in refused.err, refused
