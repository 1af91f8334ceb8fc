import os
import pathlib
import secrets
import shutil
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
sys.path.insert(1, str(pathlib.Path(__file__).parent.parent / "servers"))

import harness  # noqa: E402


@pytest.fixture
def work(tmp_path):
    """A directory for everything; whatever is still mounted below it at the end goes."""
    os.chmod(tmp_path, 0o755)
    yield tmp_path
    for point in sorted(harness.mount_points(), reverse=True):
        if point.startswith(str(tmp_path)):
            subprocess.run(["umount", "-l", point], check=False)
    shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.fixture
def start(work):
    """start.hub({repo: dir}, options…) and start.node(hub_url, …); all end with the test."""

    class Start:
        def __init__(self):
            self.running = []

        def hub(self, repositories, *options):
            hub = harness.FakeHub(work, repositories, *options)
            self.running.append(hub)
            return hub

        def node(self, hub_url=None, **options):
            node = harness.Node(work, hub_url, **options)
            self.running.append(node)
            return node.start()

        def stopped_node(self, hub_url=None, **options):
            node = harness.Node(work, hub_url, **options)
            self.running.append(node)
            return node

    starter = Start()
    yield starter
    for one in reversed(starter.running):
        one.stop()


@pytest.fixture(scope="session")
def big_model(tmp_path_factory):
    return harness.make_model(tmp_path_factory.mktemp("big") / "repo")


@pytest.fixture
def small_model(work):
    return harness.make_small_model(work / "repo")


@pytest.fixture
def location():
    """A mount location whose first directory is on no host."""
    top = pathlib.Path("/bdn-e2e-" + secrets.token_hex(6))
    assert not top.exists()
    yield top / "model"
    assert not top.exists(), "a mount location appeared on the host's tree"


@pytest.fixture(scope="session")
def rgw(tmp_path_factory):
    """Ceph's S3 gateway with one user and no buckets: tests/servers/rgw.py. Shared by the tests of a
    file, so each makes buckets of its own names. About two seconds."""
    from rgw import Rgw
    server = Rgw.start(tmp_path_factory.mktemp("servers"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def rgw_sts(tmp_path_factory):
    """The same with STS: `rgw_sts.add_oidc_provider(issuer, [audience], thumbprint)` makes an issuer known,
    `rgw_sts.add_web_identity_role(name, issuer, audience, bucket)` a role that its tokens may take with
    AssumeRoleWithWebIdentity at `rgw_sts.endpoint`. tests/servers/rgw.py says what the gateway wants of
    an issuer."""
    from rgw import Rgw
    server = Rgw.start(tmp_path_factory.mktemp("servers"), sts=True)
    yield server
    server.stop()
