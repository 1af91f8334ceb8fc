#!/usr/bin/env python3
"""Runs s3_servers_test against a real server. usage: s3_servers_test.py PROGRAM rgw|swift [gtest options]"""
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "servers"))

program, kind, *options = sys.argv[1:]
if kind == "rgw":
    from rgw import Rgw as Server
else:
    from swift import Swift as Server

with tempfile.TemporaryDirectory(prefix=f"bdn-{kind}-") as directory:
    server = Server.start(directory)
    try:
        code = subprocess.run([program, kind, server.endpoint, server.access_key, server.secret_key, *options],
                              timeout=170).returncode
        if code:
            print(server.tails())
    finally:
        server.stop()
sys.exit(code)
