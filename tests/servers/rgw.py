#!/usr/bin/env python3
"""Ceph's object gateway (radosgw), for tests: one monitor, one OSD in memory, one gateway, no manager.

A real S3 with Signature Version 4, session tokens and, with `sts=True`, a real AssumeRoleWithWebIdentity.
Packages: ceph-mon ceph-osd ceph-common radosgw python3-botocore. By hand: rgw.py DIRECTORY [--sts].

    rgw = Rgw.start(directory)             # about four seconds
    rgw.endpoint, rgw.access_key, rgw.secret_key
    s3 = rgw.client("s3")                  # a botocore client: create_bucket, put_object, …
    rgw.stop()

An identity provider and a role for it (only with sts=True; wrong secrets are then AccessDenied instead of
SignatureDoesNotMatch):

    rgw.add_oidc_provider(issuer_url, [audience], thumbprint)
    arn = rgw.add_web_identity_role("reader", issuer_url, audience, bucket)
    # AssumeRoleWithWebIdentity at rgw.endpoint with RoleArn=arn and a token of the issuer

The gateway fetches <issuer>/.well-known/openid-configuration and its jwks_uri for each call; both may be
http. Each key needs `x5c`, the certificate (DER, base64) whose SHA-1 in hex is `thumbprint`, and tokens need
`aud` (or `azp`, `client_id`) equal to the audience. Only RS256, RS384 and RS512 are known to it. It decodes
no "+" in form bodies, so a blank in a form has to be %20.
"""

import contextlib
import json
import os
import pathlib
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from base import Cluster, answers, free_ports, started  # noqa: E402

START_SECONDS = 60  # for one step, on a machine that is busy with compilers
LIST_PAGE = 100  # objects in a page of a listing at most, so that paging is cheap to test
ACCESS_KEY = "AKIABDNTESTRGW"
SECRET_KEY = "secret/with+odd=characters/0123456789"

# beast: 0x…: 127.0.0.1 - user [time] "GET /bucket/key HTTP/1.1" 206 10 - "agent" bytes=0-9 latency=…
LOG_LINE = re.compile(r' beast: \S+: .*? "(?P<method>[A-Z]+) (?P<target>\S+) HTTP/1\.1" (?P<status>\d+) (?P<bytes>\d+) ')

CONF = """\
[global]
fsid = {fsid}
mon_host = [v2:127.0.0.1:{mon2},v1:127.0.0.1:{mon1}]
mon_initial_members = a
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_ipv6 = false
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
auth_allow_insecure_global_id_reclaim = false
paxos_propose_interval = 0.02
paxos_min_wait = 0.01
mon_osd_report_timeout = 900
mon_allow_pool_size_one = true
mon_warn_on_pool_no_redundancy = false
mon_data_avail_crit = 1
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 2
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
run_dir = {dir}/run
admin_socket =
log_file = {dir}/$name.log
keyring = {dir}/keyring
mon_data = {dir}/mon
osd_data = {dir}/osd
debug_ms = 0
[osd]
osd_objectstore = memstore
memstore_device_bytes = 4294967296
osd_op_num_shards = 1
osd_max_object_name_len = 256
osd_max_object_namespace_len = 64
[client]
rgw_data = {dir}/rgw
rgw_frontends = beast endpoint=127.0.0.1:{port}
rgw_enable_usage_log = false
rgw_thread_pool_size = 32
rgw_max_listing_results = {page}
rgw_dns_name = s3.localhost
rgw_s3_auth_use_sts = {sts}
rgw_sts_key = abcdefghijklmnop
"""


class Rgw(Cluster):
    @classmethod
    def start(cls, directory, sts=False):
        """A gateway that answers and has a user, in a new directory below `directory`."""

        def make():
            rgw = cls(pathlib.Path(directory) / f"rgw-{uuid.uuid4().hex[:8]}", sts)
            try:
                rgw._start()
            except BaseException:
                rgw.stop()
                raise
            return rgw

        return started(make)

    def __init__(self, directory, sts):
        super().__init__(directory)
        self.mon2, self.mon1, self.port = free_ports(3)
        self.sts = sts
        self.log_offset = 0
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.access_key, self.secret_key = ACCESS_KEY, SECRET_KEY

    def env(self):
        return {**super().env(), "CEPH_CONF": str(self.directory / "ceph.conf")}

    def _start(self):
        for name in ("mon", "osd", "run", "rgw"):
            (self.directory / name).mkdir()
        fsid, osd = str(uuid.uuid4()), str(uuid.uuid4())
        (self.directory / "ceph.conf").write_text(CONF.format(
            fsid=fsid, mon1=self.mon1, mon2=self.mon2, port=self.port, dir=self.directory, page=LIST_PAGE,
            sts=str(self.sts).lower()))
        for i, name in enumerate(("mon.", "client.admin", "client.rgw", "osd.0")):
            self.run("ceph-authtool", *(["--create-keyring"] if i == 0 else []), "keyring", "--gen-key", "-n", name,
                     "--cap", "mon", "allow *", "--cap", "osd", "allow *", "--cap", "mgr", "allow *")
        self.run("monmaptool", "--create", "--clobber", "--addv", "a",
                 f"[v2:127.0.0.1:{self.mon2},v1:127.0.0.1:{self.mon1}]", "--fsid", fsid, "monmap")
        self.run("ceph-mon", "--mkfs", "-i", "a", "--monmap", "monmap", "--keyring", "keyring")
        self.spawn("ceph-mon", "ceph-mon", "-i", "a", "-f")
        self.wait_until(lambda: answers(self.mon2), START_SECONDS, "the monitor answered")
        connect = ("ceph", "--connect-timeout", START_SECONDS)
        self.run(*connect, "osd", "new", osd, seconds=START_SECONDS)
        self.run(*connect, "auth", "import", "-i", "keyring", seconds=START_SECONDS)
        self.run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd, seconds=START_SECONDS)
        self.spawn("ceph-osd", "ceph-osd", "-i", "0", "-f")
        # The gateway waits for the OSD itself, and making its pools takes most of the time.
        self.spawn("radosgw", "radosgw", "-n", "client.rgw", "-f")
        self.wait_until(lambda: answers(self.port), START_SECONDS, "the gateway answered")
        self.add_user("bdn", self.access_key, self.secret_key, caps="roles=*;oidc-provider=*;user-policy=*")

    def add_user(self, uid, access_key, secret_key, caps=""):
        return json.loads(self.run(
            "radosgw-admin", "user", "create", f"--uid={uid}", f"--display-name={uid}",
            f"--access-key={access_key}", f"--secret={secret_key}", *([f"--caps={caps}"] if caps else []),
            seconds=START_SECONDS))

    def add_key(self, uid, access_key, secret_key):
        """Another pair of keys of a user."""
        self.run("radosgw-admin", "key", "create", f"--uid={uid}", "--key-type=s3", f"--access-key={access_key}",
                 f"--secret={secret_key}", seconds=START_SECONDS)

    def requests(self):
        """What was asked since `forget_requests`, in order: dicts of method, path (decoded), query, status,
        bytes. From the gateway's log, which is written a moment later: a request of our own marks its end."""
        marker = f"/marker-{uuid.uuid4().hex}"
        with contextlib.suppress(urllib.error.HTTPError):
            urllib.request.urlopen(self.endpoint + marker, timeout=20)
        log = self.directory / "client.rgw.log"
        self.wait_until(lambda: marker + " " in log.read_text(errors="replace"), START_SECONDS, "the log was written")
        text = log.read_text(errors="replace")[self.log_offset:]
        found = []
        for match in LOG_LINE.finditer(text):
            path, _, query = match["target"].partition("?")
            if not path.startswith("/marker-"):
                found.append({"method": match["method"], "path": urllib.parse.unquote(path), "query": query,
                              "status": int(match["status"]), "bytes": int(match["bytes"])})
        return found

    def forget_requests(self):
        self.requests()  # so that nothing is written later
        self.log_offset = len((self.directory / "client.rgw.log").read_text(errors="replace"))

    def client(self, service="s3", access_key=None, secret_key=None, session_token=None, endpoint=None):
        """A botocore client with path-style addresses and without retries."""
        import botocore.config
        import botocore.session
        return botocore.session.get_session().create_client(
            service, endpoint_url=endpoint or self.endpoint, region_name="us-east-1",
            aws_access_key_id=access_key or self.access_key, aws_secret_access_key=secret_key or self.secret_key,
            aws_session_token=session_token,
            config=botocore.config.Config(signature_version="s3v4" if service == "s3" else "v4",
                                          s3={"addressing_style": "path"}, retries={"max_attempts": 0},
                                          parameter_validation=False))

    def secret_json(self, **rest):
        """The secret that bdn wants, as text."""
        return json.dumps({"aws_access_key_id": self.access_key, "aws_secret_access_key": self.secret_key, **rest})

    def add_oidc_provider(self, issuer, audiences, thumbprint):
        """Makes `issuer` known; gives its ARN."""
        made = self.client("iam").create_open_id_connect_provider(
            Url=issuer, ClientIDList=list(audiences), ThumbprintList=[thumbprint.upper()])
        return made["OpenIDConnectProviderArn"]

    def add_web_identity_role(self, name, issuer, audience, bucket, actions=("s3:GetObject", "s3:ListBucket")):
        """A role that tokens of `issuer` for `audience` may take, to do `actions` in `bucket`; gives its ARN."""
        provider = issuer.split("://", 1)[1]
        trust = {"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"Federated": [f"arn:aws:iam:::oidc-provider/{provider}"]},
            "Action": ["sts:AssumeRoleWithWebIdentity"],
            "Condition": {"StringEquals": {f"{provider}:app_id": audience}}}]}
        rights = {"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Action": list(actions),
            "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]}]}
        iam = self.client("iam")
        # Without blanks: the gateway takes the "+" that clients write for one as it is.
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust, separators=(",", ":")))
        iam.put_role_policy(RoleName=name, PolicyName="rights",
                            PolicyDocument=json.dumps(rights, separators=(",", ":")))
        return role["Role"]["Arn"]


def main():
    started_at = time.monotonic()
    rgw = Rgw.start(os.path.abspath(sys.argv[1]), sts="--sts" in sys.argv[2:])
    print(f"radosgw is ready at {rgw.endpoint} after {time.monotonic() - started_at:.1f} s, "
          f"keys {rgw.access_key} {rgw.secret_key}", flush=True)
    try:
        rgw.daemons[0][1].wait()
    except KeyboardInterrupt:
        pass
    finally:
        rgw.stop()


if __name__ == "__main__":
    main()
