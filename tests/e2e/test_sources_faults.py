"""s3://, gs:// and https:// sources behind a network that breaks: resets, silence, kill -9, a full disk.

test_sources_azure.py, test_kill_mirror.py and test_disk_full.py have the same for azure:// and hf://.
"""

import hashlib
import http.server
import re
import secrets
import subprocess
import threading

import pytest
from fault_proxy import FaultProxy
from harness import CHUNK, MIB, deployment_id, mount_points, pseudo_random, wait_until, write_config
from kill_rounds import ONE_BY_ONE
from test_sources_gs import FakeGoogle
from test_sources_https import Web, WebHandler

FILE = "model.safetensors"
SMALL = pseudo_random(5 * MIB + 77, 1)
LARGE = pseudo_random(2 * CHUNK + 8 * MIB, 2)
CONTENTS = {"small": SMALL, "large": LARGE}
SCHEMES = ["s3", "gs", "https"]


class Servers:
    """A server of each scheme, with the same two trees of one file: "small" and "large"."""

    def __init__(self, rgw, work):
        self.rgw, self.web = rgw, Web(work)
        self.bucket = "weights-" + secrets.token_hex(4)
        s3 = rgw.client("s3")
        s3.create_bucket(Bucket=self.bucket)
        self.google = FakeGoogle(work, "--bucket", "weights")
        self.site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), WebHandler)
        self.site.daemon_threads = True
        self.site.files, self.site.redirects, self.site.log = {}, {}, []
        self.site.ranges, self.site.validators, self.site.chunked = True, True, False
        self.site.refuse_head, self.site.token = False, None
        threading.Thread(target=self.site.serve_forever, daemon=True).start()
        for tree, data in CONTENTS.items():
            s3.put_object(Bucket=self.bucket, Key=f"{tree}/{FILE}", Body=data)
            (work / tree).mkdir()
            (work / tree / FILE).write_bytes(data)
            self.google.publish(work / tree, prefix=f"{tree}/")
            self.site.files[f"/{tree}/{FILE}"] = data

    def proxy(self, scheme):
        if scheme == "s3":
            return FaultProxy(self.rgw.port, f"/{FILE}")
        if scheme == "gs":
            return FaultProxy(int(self.google.url.rsplit(":", 1)[1].strip("/")), "/download/")
        return FaultProxy(self.site.server_port, f"/{FILE}", tls=self.web.context)

    def stop(self):
        self.site.shutdown()
        self.site.server_close()
        self.google.stop()


class Side:
    """One scheme as a node sees it: through a proxy of this test."""

    def __init__(self, servers, scheme):
        self.scheme, self.servers, self.proxy = scheme, servers, servers.proxy(scheme)
        address = f"127.0.0.1:{self.proxy.port}"
        self.source = {"s3": f"s3://{servers.bucket}/TREE", "gs": "gs://weights/TREE",
                       "https": f"https://{address}/TREE/{FILE}"}[scheme]
        self.env = {"s3": {"AWS_ENDPOINT_URL_S3": f"http://{address}", "BDN_ALLOW_PRIVATE": "127.0.0.0/8"},
                    "gs": {"BDN_GOOGLE_ENDPOINT": f"http://{address}"},
                    "https": {"SSL_CERT_FILE": str(servers.web.ca), "BDN_ALLOW_PRIVATE": "127.0.0.0/8"}}[scheme]

    def give_secret(self, node):
        if self.scheme != "https":
            text = self.servers.rgw.secret_json() if self.scheme == "s3" else self.servers.google.account()
            node.ok("secret", "set", self.scheme, stdin=text)

    def weights(self, location, tree="small"):
        auth = {"auth": {"auth_method": "CUSTOM_SECRET", "auth_secret_name": self.scheme}}
        return {"source": self.source.replace("TREE", tree), "mount_location": str(location),
                **({} if self.scheme == "https" else auth)}


@pytest.fixture(scope="module")
def servers(rgw, tmp_path_factory):
    servers = Servers(rgw, tmp_path_factory.mktemp("faults"))
    yield servers
    servers.stop()


@pytest.fixture
def sides(servers):
    sides = [Side(servers, scheme) for scheme in SCHEMES]
    yield sides
    for side in sides:
        side.proxy.stop()


@pytest.fixture(params=SCHEMES)
def side(servers, request):
    side = Side(servers, request.param)
    yield side
    side.proxy.stop()


def node_for(start, *sides, options=()):
    node = start.stopped_node(options=options)
    for side in sides:
        node.env.update(side.env)
    node.start()
    for side in sides:
        side.give_secret(node)
    return node


def assert_whole(node, name, location, tree="small"):
    read = node.ok("run", name, "--", "sha256sum", location / FILE).out.split()[0]
    assert read == hashlib.sha256(CONTENTS[tree]).hexdigest()


def first_byte(request):
    """Where a request for content begins."""
    return int(re.match(r"bytes=(\d+)-", request["range"])[1]) if request["range"] else 0


def test_a_reset_at_every_mebibyte_slows_but_does_not_stop(start, side, work, location):
    side.proxy.reset_each = MIB
    node = node_for(start, side)
    node.push(write_config(work / "model", [side.weights(location)], model_name="m"), "--wait")
    assert_whole(node, "m", location)
    # Each try goes on where the one before ended: nothing comes twice.
    asked = side.proxy.content()
    assert [first_byte(r) for r in asked] == [n * MIB for n in range(6)], asked
    assert side.proxy.bytes() == len(SMALL)


def test_two_pushes_of_a_source_at_once_are_one_download(start, side, work, location):
    side.proxy.rate = MIB // 4
    node = node_for(start, side)
    ids = [deployment_id(node.push(write_config(work / name, [side.weights(location)], model_name=name)))
           for name in ("one", "two")]
    assert side.proxy.bytes() < len(SMALL), "the second push came too late to be at once"
    side.proxy.rate = None
    for one in ids:
        assert node.ok("watch", one, "--json").json()["status"] == "ACTIVE"
    assert side.proxy.bytes() == len(SMALL), side.proxy.content()
    for name in ("one", "two"):
        assert_whole(node, name, location)


def test_a_killed_control_plane_continues_in_the_middle_of_a_file(start, side, work, location):
    side.proxy.rate = 16 * MIB
    node = node_for(start, side, options=ONE_BY_ONE)
    node.push(write_config(work / "model", [side.weights(location, "large")], model_name="m"))

    def of_chunk(number):
        return [r for r in side.proxy.content() if number * CHUNK <= first_byte(r) < (number + 1) * CHUNK]

    wait_until(lambda: of_chunk(1), 30, "the second chunk")
    side.proxy.rate = 3 * MIB
    wait_until(lambda: sum(r["bytes"] for r in of_chunk(1)) > 2 * MIB, 30, "a part of the second chunk")
    node.process.kill()
    assert sum(r["bytes"] for r in of_chunk(0)) == CHUNK
    assert of_chunk(2) == [], "the kill came too late to be in the middle"
    side.proxy.rate = None
    side.proxy.forget()
    node.start()
    assert node.ok("watch", "m", "--json").json()["status"] == "ACTIVE"
    assert of_chunk(0) == [], "a stored chunk was fetched again"
    assert side.proxy.bytes() == len(LARGE) - CHUNK
    assert_whole(node, "m", location, "large")


@pytest.fixture
def disk(work):
    """A small file system of its own at work/node."""
    point = work / "node"
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=755", "tmpfs", str(point)], check=True)
    yield point
    subprocess.run(["umount", "-l", str(point)], check=False)
    assert str(point) not in mount_points()


def test_a_full_disk_is_a_clear_error_and_heals_when_there_is_room(disk, start, side, work, location):
    node = node_for(start, side)
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(19 * MIB))
    config = write_config(work / "model", [side.weights(location)], model_name="m")
    done = node.bdn("push", config, "--wait")
    assert done.code == 1 and "No space left on device" in done.err, done
    state = node.get("/v1/deployments")["deployments"][0]
    assert (state["status"], state["error"]["code"]) == ("DEPLOY_FAILED", "resource_exhausted")
    assert node.leftovers() == []
    ballast.unlink()
    node.push(config, "--wait")
    assert_whole(node, "m", location)


def test_a_server_that_is_silent_after_its_headers_is_left_and_asked_again(start, sides, work, location):
    """30 seconds without a byte end a try; all schemes wait at the same time."""
    node = node_for(start, *sides, options=("--mirrors", str(len(sides))))
    ids = []
    for side in sides:
        side.proxy.stalls = 1
        config = write_config(work / side.scheme, [side.weights(location)], model_name=side.scheme)
        ids.append(deployment_id(node.push(config)))
    for one in ids:
        assert node.ok("watch", one, "--json", timeout=90).json()["status"] == "ACTIVE"
    for side in sides:
        assert [r["bytes"] for r in side.proxy.content()] == [0, len(SMALL)], side.scheme
        assert_whole(node, side.scheme, location)
