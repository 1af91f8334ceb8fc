"""A TCP proxy that counts what passes and breaks it: resets, silence, slowness."""

import contextlib
import fcntl
import re
import select
import socket
import struct
import termios
import threading
import time

REQUEST = re.compile(rb"(GET|HEAD|POST) (\S+) HTTP/1\.1\r\n")
RANGE = re.compile(rb"\r\nrange: *(\S+)\r\n", re.IGNORECASE)
BLOCK = 64 << 10  # bytes read at once


class FaultProxy:
    """HTTP/1.1 from a port of its own to `port`; with `tls`, an ssl.SSLContext, it speaks TLS to its clients.

    Faults meet only answers to requests for content: GETs with `content` in their target. Bytes pass unchanged, so
    the Host that the server sees is the proxy's own address, and signatures stay right.
    """

    def __init__(self, port, content, tls=None):
        self.server_port, self.wanted, self.tls = port, content.encode(), tls
        self.requests = []  # dicts of method, path, range, bytes of the body that were passed on
        self.reset_each = None  # bytes of a body after which its connection is reset, every time
        self.stalls = 0  # so many answers more end after their headers, with an open connection
        self.rate = None  # bytes a second of one connection
        self.closing = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def content(self):
        """The requests that were answered with bytes of content, or should have been."""
        with self.lock:
            return [dict(r) for r in self.requests if r["content"]]

    def bytes(self):
        return sum(r["bytes"] for r in self.content())

    def forget(self):
        with self.lock:
            self.requests = []

    def stop(self):
        self.closing.set()
        # Wakes accept(); closing alone does not.
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self):
        while not self.closing.is_set():
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with contextlib.suppress(OSError), contextlib.ExitStack() as open_sockets:
            open_sockets.callback(client.close)
            if self.tls:
                client = self.tls.wrap_socket(client, server_side=True)
                open_sockets.callback(client.close)
            server = open_sockets.enter_context(socket.create_connection(("127.0.0.1", self.server_port)))
            self._pass(client, server)

    def _pass(self, client, server):
        """One request after another on one connection, as without pipelining."""
        request, head = None, b""
        while not self.closing.is_set():
            for readable in select.select([client, server], [], [], 0.2)[0]:
                data = readable.recv(BLOCK)
                if not data:
                    return
                if readable is client:
                    if match := REQUEST.match(data):
                        request, head = self._note(match, data), b""
                    server.sendall(data)
                    continue
                if head is not None:
                    head += data
                    if b"\r\n\r\n" not in head:
                        continue
                    end = head.index(b"\r\n\r\n") + 4
                    client.sendall(head[:end])
                    data, head = head[end:], None
                    if request["content"] and self._takes_a_stall():
                        self._wait_for_end(client)
                        return
                if not self._pass_body(client, request, data):
                    return

    def _pass_body(self, client, request, data):
        """Whether the connection lives on."""
        limit = self.reset_each if request["content"] else None
        if limit is not None:
            data = data[:limit - request["bytes"]]
        client.sendall(data)
        with self.lock:
            request["bytes"] += len(data)
        if limit is not None and request["bytes"] >= limit:
            reset(client)
            return False
        if self.rate and request["content"]:
            time.sleep(len(data) / self.rate)
        return True

    def _note(self, match, data):
        found = RANGE.search(data)
        request = {"method": match[1].decode(), "path": match[2].decode(), "bytes": 0,
                   "range": found[1].decode() if found else None,
                   "content": match[1] == b"GET" and self.wanted in match[2]}
        with self.lock:
            self.requests.append(request)
        return request

    def _takes_a_stall(self):
        with self.lock:
            self.stalls -= 1
            return self.stalls >= 0

    def _wait_for_end(self, client):
        while not self.closing.is_set() and not select.select([client], [], [], 0.2)[0]:
            pass


def reset(client):
    """Ends a connection with RST, when all that was sent has arrived."""
    unsent = bytearray(4)
    for _ in range(200):
        fcntl.ioctl(client.fileno(), termios.TIOCOUTQ, unsent)
        if unsent == bytes(4):
            break
        time.sleep(0.005)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
