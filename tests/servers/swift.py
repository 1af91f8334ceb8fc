#!/usr/bin/env python3
"""OpenStack Swift with its S3 interface (s3api, tempauth), for tests: a second opinion on S3.

It differs from Amazon and from Ceph where it may: no Accept-Ranges, wrong regions are
AuthorizationHeaderMalformed with <Region>, unknown keys look like wrong secrets.
Packages: swift-proxy swift-account swift-container swift-object memcached python3-botocore.
By hand: swift.py DIRECTORY.

    swift = Swift.start(directory)         # about four seconds
    swift.endpoint, swift.access_key, swift.secret_key
    s3 = swift.client()                    # a botocore client
    swift.stop()
"""

import getpass
import json
import os
import pathlib
import sys
import time
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from base import Cluster, answers, free_ports, started  # noqa: E402

START_SECONDS = 60
LIST_PAGE = 100  # objects in a page of a listing at most, so that paging is cheap to test
REGION = "us-east-1"
# Seconds that the servers wait for each other. By default they give up within one, and what a listing then
# misses comes later, by a daemon that does not run here.
PATIENCE = 60

SWIFT_CONF = """\
[swift-hash]
swift_hash_path_suffix = test
swift_hash_path_prefix = test
[storage-policy:0]
name = p0
default = yes
"""

# All rings in one process: the program for it, once for each step, takes ten seconds.
MAKE_RINGS = """\
import sys
from swift.common.ring import RingBuilder
for name, port in zip(sys.argv[1::2], sys.argv[2::2]):
    builder = RingBuilder(4, 1, 1)
    builder.add_dev({"region": 1, "zone": 1, "ip": "127.0.0.1", "port": int(port), "device": "d1", "weight": 1,
                     "replication_ip": "127.0.0.1", "replication_port": int(port)})
    builder.rebalance()
    builder.get_ring().save(name + ".ring.gz")
"""

STORAGE_CONF = """\
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
devices = {dir}/srv
mount_check = false
user = {user}
swift_dir = {dir}
workers = 0
log_level = WARNING
log_address = /dev/null
fallocate_reserve = 0
conn_timeout = {patience}
node_timeout = {patience}
container_update_timeout = {patience}
[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
"""

PROXY_CONF = """\
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
user = {user}
swift_dir = {dir}
workers = 0
log_level = WARNING
log_address = /dev/null
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck proxy-logging cache listing_formats bulk s3api tempauth copy slo dlo proxy-logging proxy-server
[app:proxy-server]
use = egg:swift#proxy
allow_account_management = true
account_autocreate = true
conn_timeout = {patience}
node_timeout = {patience}
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = {secret} .admin
[filter:s3api]
use = egg:swift#s3api
s3_acl = false
check_bucket_owner = false
location = {region}
max_bucket_listing = {page}
min_segment_size = 1048576
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{memcached}
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:proxy-logging]
use = egg:swift#proxy_logging
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:bulk]
use = egg:swift#bulk
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
"""


class Swift(Cluster):
    @classmethod
    def start(cls, directory):
        """A proxy that answers, in a new directory below `directory`."""

        def make():
            swift = cls(pathlib.Path(directory) / f"swift-{uuid.uuid4().hex[:8]}")
            try:
                swift._start()
            except BaseException:
                swift.stop()
                raise
            return swift

        return started(make)

    def __init__(self, directory):
        super().__init__(directory)
        *self.storage, self.memcached, self.port = free_ports(5)
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.access_key, self.secret_key = "test:tester", "testing"

    def env(self):
        return {**super().env(), "SWIFT_CONF_DIR": str(self.directory)}

    def _start(self):
        here, user = self.directory, getpass.getuser()
        (here / "srv" / "d1").mkdir(parents=True)
        (here / "swift.conf").write_text(SWIFT_CONF)
        servers = list(zip(("account", "container", "object"), self.storage))
        self.run(sys.executable, "-c", MAKE_RINGS, *(word for server in servers for word in server))
        for name, port in servers:
            (here / f"{name}.conf").write_text(STORAGE_CONF.format(
                name=name, port=port, dir=here, user=user, patience=PATIENCE))
            self.spawn(name, f"swift-{name}-server", here / f"{name}.conf")
        self.spawn("memcached", "memcached", "-u", user, "-l", "127.0.0.1", "-p", self.memcached, "-m", "32")
        (here / "proxy.conf").write_text(PROXY_CONF.format(
            port=self.port, dir=here, user=user, secret=self.secret_key, region=REGION, page=LIST_PAGE,
            memcached=self.memcached, patience=PATIENCE))
        self.spawn("proxy", "swift-proxy-server", here / "proxy.conf")
        for port in (*self.storage, self.memcached, self.port):
            self.wait_until(lambda p=port: answers(p), START_SECONDS, f"port {port} answered")

    def client(self):
        """A botocore client with path-style addresses and without retries."""
        import botocore.config
        import botocore.session
        return botocore.session.get_session().create_client(
            "s3", endpoint_url=self.endpoint, region_name=REGION, aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=botocore.config.Config(signature_version="s3v4", s3={"addressing_style": "path"},
                                          retries={"max_attempts": 0}, parameter_validation=False))

    def secret_json(self, **rest):
        """The secret that bdn wants, as text."""
        return json.dumps({"aws_access_key_id": self.access_key, "aws_secret_access_key": self.secret_key, **rest})


def main():
    started_at = time.monotonic()
    swift = Swift.start(os.path.abspath(sys.argv[1]))
    print(f"swift is ready at {swift.endpoint} after {time.monotonic() - started_at:.1f} s, "
          f"keys {swift.access_key} {swift.secret_key}", flush=True)
    try:
        swift.daemons[0][1].wait()
    except KeyboardInterrupt:
        pass
    finally:
        swift.stop()


if __name__ == "__main__":
    main()
