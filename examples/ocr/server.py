#!/usr/bin/env python3
"""A small model server: reads every weight file through its mount, then says what it read.

GET /ready    200 once the weights are loaded
GET /weights  JSON: path, bytes, sha256 of each file, and how long loading took
"""
import argparse
import hashlib
import http.server
import json
import mmap
import os
import time


def load(root):
    """Maps each file the way a model loader does, and hashes what it sees."""
    files = []
    for folder, _, names in os.walk(root):
        for name in sorted(names):
            path = os.path.join(folder, name)
            size = os.path.getsize(path)
            digest = hashlib.sha256()
            if size:
                with open(path, "rb") as file:
                    with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as view:
                        digest.update(view)
            files.append({"path": os.path.relpath(path, root), "bytes": size,
                          "sha256": digest.hexdigest()})
    return sorted(files, key=lambda f: f["path"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--weights", required=True)
    parser.add_argument("--port", type=int, required=True)
    args = parser.parse_args()
    started = time.monotonic()
    files = load(args.weights)
    answer = {"weights": files, "bytes": sum(f["bytes"] for f in files),
              "language": os.environ.get("OCR_LANGUAGE"),
              "load_seconds": round(time.monotonic() - started, 3)}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps(answer if self.path == "/weights" else {"ready": True}).encode()
            self.send_response(200 if self.path in ("/ready", "/weights") else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    http.server.ThreadingHTTPServer(("127.0.0.1", args.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
