"""Rounds of kill -9: a process dies before its n-th step, for many n, and the next start makes it right."""

import collections
import concurrent.futures
import hashlib
import http.client
import http.server
import itertools
import json
import pathlib
import re
import shutil
import signal
import threading
import urllib.error
import urllib.parse

from harness import (
    CHUNK, EVERY, MIB, REPO, FakeHub, Killer, Node, make_small_model, pseudo_random, tree_of,
    wait_until, write_config, write_safetensors,
)

TOGETHER = 3  # rounds under way at the same time
ONE_BY_ONE = ("--parallel", "1", "--mirrors", "1")
OF_A_RUN = ONE_BY_ONE[:2]  # for an agent
TYPED = b"\x50\x2a\x4d\x18"  # how manifests and chunkmaps begin at rest, docs/formats/directory-store.md


def make_kill_model(root):
    """Two small files, an empty one and a file of two chunks: one of everything, and few bytes."""
    make_small_model(root)
    (root / "empty.txt").write_bytes(b"")
    write_safetensors(root / "big.safetensors", pseudo_random(CHUNK + MIB // 4, 7))
    return root


def numbers_of(kinds, one_in):
    """The calls to kill before: with BDN_E2E_EVERY=1 every one; else some of those that are not in the
    middle of a row of writes.
    """
    numbers = range(len(kinds) + 1)
    if EVERY:
        return list(numbers)
    return [n for n in numbers if n % 16 == 0 or kinds[max(n - 1, 0):n + 1] != "ww"][::one_in]


def in_rounds(kill, kinds, one_in=4):
    """Kills before each chosen call, several at a time; returns the number of kills."""
    numbers = numbers_of(kinds, one_in)
    with concurrent.futures.ThreadPoolExecutor(TOGETHER) as pool:
        rounds = {n: pool.submit(kill, n) for n in numbers}
    wrong = {n: r.exception() for n, r in rounds.items() if r.exception()}
    assert not wrong, f"{len(wrong)} of {len(numbers)} rounds failed:\n" + "\n".join(
        f"before call {n}: {e}" for n, e in wrong.items())
    killed = {n for n, r in rounds.items() if r.result()}
    # Timing moves a few calls at the end; before it, every round must have been a kill.
    early = len(kinds) * 3 // 4
    assert not [n for n in numbers if n < early and n not in killed]
    kills = len(killed)
    for number in itertools.count(len(kinds) + 1, 7):
        if not kill(number):
            break
        kills += 1
    print(f"\n{kills} kills, {len(kinds)} calls")
    return kills


def sums_of(node, name, location):
    """sha256sum's lines of a deployment's files, seen by a command that runs on them."""
    return node.ok("run", name, "--", "sh", "-c",
                   f"cd {location} && find . -type f | sort | xargs sha256sum").out


def sums_of_directory(root):
    return "".join(
        f"{digest}  ./{name}\n" for name, (_, digest) in sorted(tree_of(root)[0].items()))


def objects_of(node):
    """The objects of an origin: BLAKE3 in hex → SHA-256 of the bytes at rest."""
    return {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest()
        for p in (node.data / "origin" / "bdn").rglob("*") if p.is_file()
    }


def assert_collected(node, objects):
    """Whatever a kill left is found by garbage collection, and what is needed stays."""
    node.ok("gc", "--grace", "0")
    assert node.ok("gc", "--grace", "0", "--dry-run", "--json").json()["deleted"] == 0
    assert objects_of(node) == objects
    assert node.leftovers() == []


def dies_or(node, condition):
    """Waits until the daemon is dead (True) or `condition` holds (False)."""

    def look():
        if node.process.popen.poll() is not None:
            return "dead"
        try:
            return "held" if condition() else None
        except (urllib.error.URLError, OSError, ValueError):
            return None

    return wait_until(look, 60, "the end of a kill's round") == "dead"


def start_or_die(node, env):
    node.launch(env=env)
    return dies_or(node, lambda: "is ready at" in node.process.text())


def stopped_by_kill(node, dead):
    """Stops the daemon; whether it was killed. It must not have ended in any other way."""
    code = node.stop()
    killed = code == -signal.SIGKILL
    assert killed or not dead, f"ended with {code}: {node.process.text()}"
    return killed


def all_active(node):
    deployments = node.get("/v1/deployments")["deployments"]
    return deployments and all(d["status"] == "ACTIVE" for d in deployments)


class Published:
    """The pieces that a mirror asks the Hub for: files, and chunks of files that have several."""

    def __init__(self, repo):
        self.digest = {}  # (path in the repository, first byte) → SHA-256
        self.large = set()
        by_content = {}
        for path, (size, digest) in tree_of(repo)[0].items():
            by_content[digest] = path
            data = (pathlib.Path(repo) / path).read_bytes()
            if size > CHUNK:
                self.large.add(path)
            for at in range(0, size, CHUNK):
                self.digest[path, at] = hashlib.sha256(data[at:at + CHUNK]).hexdigest()
        self._by_content = by_content

    def asked(self, hub):
        """How often each piece was asked for."""
        counts = collections.Counter()
        for e in hub.content():
            first = int(re.fullmatch(r"bytes=(\d+)-\d+", e["range"])[1])
            name = e["path"].split("/")
            path = self._by_content.get(name[-1]) if e["server"] == "cdn" else "/".join(name[7:])
            # What continues in the middle of a piece belongs to that piece.
            counts[path, first // CHUNK * CHUNK] += 1
        assert set(counts) <= set(self.digest), counts
        return counts


class Reference:
    """What an undisturbed run does and leaves."""

    def __init__(self, work, role="up"):
        self.work, self.role = work, role
        self.location = f"/bdn-e2e-kill-{work.name}/model"
        self.repo = make_kill_model(work / "repo")
        self.published = Published(self.repo)
        self.config = write_config(
            work / "model", [{"source": f"hf://{REPO}", "mount_location": self.location}],
            model_name="m")
        self.sums = sums_of_directory(self.repo)
        hub = FakeHub(self.sub("reference"), {REPO: self.repo})
        node = Node(work / "reference", hub.url, role=role, options=ONE_BY_ONE)
        try:
            killer = Killer(work / "reference" / "counter")
            node.start(env=killer.env)
            self.manifest = node.push(self.config, "--wait")["mounts"][0]["manifest"]
            self.mirror_kinds = killer.kinds()
            node.stop()
            self.objects = objects_of(node)
            self.mirrored = work / "mirrored"
            shutil.copytree(node.data, self.mirrored)
            if role == "up":
                killer = Killer(work / "reference" / "counter-fill")
                node.start(env=killer.env)
                assert sums_of(node, "m", self.location) == self.sums
                self.fill_kinds = killer.kinds()
        finally:
            node.stop()
            hub.stop()

    def sub(self, name):
        directory = self.work / name
        directory.mkdir()
        return directory

    def kill_mirror(self, number):
        """Kills the control plane before its call `number`; True when it came to that."""
        work = self.sub(f"mirror-{number}")
        hub = FakeHub(work, {REPO: self.repo})
        node = Node(work, hub.url, role=self.role, options=ONE_BY_ONE)
        try:
            dead = start_or_die(node, Killer(work / "counter", number).env)
            if not dead:
                node.bdn("push", self.config)
                dead = dies_or(node, lambda: all_active(node))
            killed = stopped_by_kill(node, dead)
            stored = set(objects_of(node).values())
            before = self.published.asked(hub)
            hub.clear_log()
            node.start()
            pushed = node.push(self.config, "--wait")
            assert pushed["mounts"][0]["manifest"] == self.manifest
            wait_until(lambda: all_active(node), 30, "every deployment that was pushed")
            self.check_second_fetch(before, self.published.asked(hub), stored)
            assert_collected(node, self.objects)
            return killed
        finally:
            node.stop()
            hub.stop()
            shutil.rmtree(work, ignore_errors=True)

    def check_second_fetch(self, before, after, stored):
        assert not before or max(before.values()) == 1, before
        assert not after or max(after.values()) == 1, after
        again = [piece for piece in after if self.published.digest[piece] in stored]
        assert not [p for p in again if p[0] in self.published.large], "a stored chunk came again"
        # A small file is on record a moment after it is stored: the last one may come again.
        assert len(again) <= 1, f"fetched again: {again}"
        missing = [p for p, digest in self.published.digest.items() if digest not in stored]
        assert set(missing) <= set(after), "something is stored that nobody fetched"

    def count_push(self):
        """The calls of a control plane that takes a volume version, and what it then has."""
        node = Node(self.sub("push"), None, role=self.role)
        killer = Killer(node.work / "counter")
        try:
            node.start(env=killer.env)
            node.ok("volume", "push", self.repo, "bdn:kill/v")
            kinds = killer.kinds()
        finally:
            node.stop()
        self.pushed_objects = objects_of(node)
        return kinds

    def kill_push(self, number):
        """Kills the control plane before its call `number`, of a start and a push of a directory."""
        work = self.sub(f"push-{number}")
        node = Node(work, None, role=self.role)
        try:
            dead = start_or_die(node, Killer(work / "counter", number).env)
            push = None if dead else node.bdn("volume", "push", self.repo, "bdn:kill/v")
            killed = stopped_by_kill(node, dead or push.code != 0)
            node.start()
            node.ok("volume", "push", self.repo, "bdn:kill/v")
            node.ok("pull", "bdn:kill/v", work / "pulled")
            assert tree_of(work / "pulled") == tree_of(self.repo)
            assert_collected(node, self.pushed_objects)
            return killed
        finally:
            node.stop()
            shutil.rmtree(work, ignore_errors=True)

    def kill_fill(self, number):
        """Kills `bdn up` before its call `number`, of a start and a node fill."""
        work = self.sub(f"fill-{number}")
        node = Node(work, "http://127.0.0.1:1", options=ONE_BY_ONE)
        shutil.copytree(self.mirrored, node.data)
        try:
            dead = start_or_die(node, Killer(work / "counter", number).env)
            run = None if dead else node.bdn("run", "m", "--", "true")
            killed = stopped_by_kill(node, dead)
            assert killed or run.code == 0, run
            node.start()
            assert sums_of(node, "m", self.location) == self.sums
            assert_collected(node, self.objects)
            return killed
        finally:
            node.stop()
            shutil.rmtree(work, ignore_errors=True)


# --- the roles apart ---


class Proxy:
    """Stands between an agent and its control plane, and keeps what was asked and sent.

    `target` may change at any time; where nothing listens the client's connection is dropped.
    `before` is called with the number of each request, from 0, and `within` in the middle of its body.
    """

    def __init__(self, target):
        self.target = target
        self.before = lambda number: None
        self.within = lambda number: None
        self.log = []
        self._lock = threading.Lock()
        self._requests = itertools.count()
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def serve(self):
                proxy.serve(self)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = serve

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *args):
                pass  # a client that was killed

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

    def objects(self):
        """How often each object was sent, and how many bytes of it: hex → (times, bytes)."""
        with self._lock:
            log = list(self.log)
        sent = {}
        for path, got in log:
            if "/objects/b3/" in path:
                name = path.rsplit("/", 1)[1]
                times, total = sent.get(name, (0, 0))
                sent[name] = (times + 1, total + got)
        return sent

    def clear(self):
        with self._lock:
            self.log = []

    def serve(self, client):
        number = next(self._requests)
        self.before(number)
        size = int(client.headers.get("Content-Length", 0))
        body = client.rfile.read(size) if size else None
        sent = 0
        try:
            upstream = http.client.HTTPConnection(urllib.parse.urlsplit(self.target).netloc, timeout=30)
            headers = {k: v for k, v in client.headers.items() if k.lower() not in ("host", "connection")}
            upstream.request(client.command, client.path, body, headers)
            answer = upstream.getresponse()
            client.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("connection", "transfer-encoding"):
                    client.send_header(name, value)
            if answer.getheader("Content-Length") is None:
                client.send_header("Connection", "close")
                client.close_connection = True
            client.end_headers()
            size = answer.length
            half = (size or 0) // 2
            while piece := answer.read(min(64 << 10, half - sent) if sent < half else 64 << 10):
                client.wfile.write(piece)
                sent += len(piece)
                if sent == half:
                    client.wfile.flush()
                    self.within(number)
            if size is not None and sent < size:
                client.close_connection = True  # it broke there, so it breaks here
            upstream.close()
        except (OSError, http.client.HTTPException):
            client.close_connection = True
        finally:
            with self._lock:
                self.log.append((client.path, sent))


class Apart:
    """A control plane with a mirrored deployment "m"; agents reach it through proxies."""

    def __init__(self, work):
        self.reference = Reference(work, role="control")
        self.work = work
        self.control = Node(work, "http://127.0.0.1:1", role="control", name="control")
        shutil.copytree(self.reference.mirrored, self.control.data)
        self.control.start()
        # What an agent asks for by name: small files and chunks, and the two chunks of the large file.
        self.pieces = {}
        self.large_chunks = []
        by_digest = {sha: name for name, sha in self.reference.objects.items()}
        for (path, at), digest in self.reference.published.digest.items():
            self.pieces[by_digest[digest]] = (path, at)
            if path in self.reference.published.large:
                self.large_chunks.append(by_digest[digest])
        typed = [p.name for p in (self.control.data / "origin" / "bdn").rglob("*")
                 if p.is_file() and p.read_bytes()[:4] == TYPED]
        self.chunkmap = next(n for n in typed if not self.reference.manifest.endswith(n))
        self.fill_kinds, self.fill_requests = self._count_fill()

    def stop(self):
        self.control.stop()

    def agent(self, work, proxy):
        """An agent that was not started; `launch` it with `env_of`."""
        agent = Node(work, None, role="agent", name="agent", options=OF_A_RUN)
        # Commands find the agent by the client.json that it writes into its data directory.
        agent.env["XDG_CONFIG_HOME"] = str(agent.work / "nothing")
        self.point(agent, proxy)
        return agent

    def point(self, agent, proxy):
        """The agent's next start goes through `proxy`."""
        client = agent.work / "config" / "bdn"
        client.mkdir(parents=True, exist_ok=True)
        file = json.loads((self.control.data / "client.json").read_text())
        (client / "client.json").write_text(json.dumps({**file, "url": proxy.url}))

    @staticmethod
    def env_of(agent, killer=None):
        return {"XDG_CONFIG_HOME": str(agent.work / "config"), **(killer.env if killer else {})}

    def start(self, agent, killer=None):
        agent.launch(env=self.env_of(agent, killer))
        agent.process.wait_for("agent is ready")

    def _count_fill(self):
        """The calls of an undisturbed start and fill of an agent, and how many requests it makes."""
        work = self.reference.sub("counting")
        proxy = Proxy(self.control.url)
        agent = self.agent(work, proxy)
        killer = Killer(work / "counter")
        try:
            self.start(agent, killer)
            assert sums_of(agent, "m", self.reference.location) == self.reference.sums
            kinds = killer.kinds()
            assert all(times == 1 for times, _ in proxy.objects().values())
            assert set(proxy.objects()) >= set(self.pieces) | {self.chunkmap}
            return kinds, len(proxy.log)
        finally:
            agent.stop()
            proxy.stop()

    def stored(self, agent):
        """The pieces that are complete on the agent's disk, by the names of docs/architecture.md."""
        found = set()
        cache = agent.data / "cache"
        for path in (cache / "files").rglob("*") if cache.exists() else ():
            if path.is_dir():
                continue
            if path.name.endswith(".map"):
                found.update(self.large_chunks)
            else:
                found.add(path.name.split(".")[0])
        for path in (cache / "partial").glob("*.marks"):
            marks = path.read_bytes()
            if path.with_suffix("").exists():
                found.update(c for c, mark in zip(self.large_chunks, marks) if mark == 1)
        return found & set(self.pieces)

    def kill_agent(self, number):
        """Kills the agent before its call `number`, of a start and a node fill; True when it came to that."""
        work = self.reference.sub(f"agent-{number}")
        proxy = Proxy(self.control.url)
        agent = self.agent(work, proxy)
        try:
            dead = start_or_die(agent, self.env_of(agent, Killer(work / "counter", number)))
            run = None if dead else agent.bdn("run", "m", "--", "true")
            killed = stopped_by_kill(agent, dead)
            assert killed or run.code == 0, run
            stored = self.stored(agent)
            before = proxy.objects()
            assert all(times == 1 for times, _ in before.values()), before
            # What a killed agent had asked for may still be on its way through the first proxy.
            proxy.stop()
            proxy = Proxy(self.control.url)
            self.point(agent, proxy)
            self.start(agent)
            assert sums_of(agent, "m", self.reference.location) == self.reference.sums
            after = proxy.objects()
            assert all(times == 1 for times, _ in after.values()), after
            again = {self.pieces[name] for name in set(after) & stored}
            assert not again, f"stored and fetched again: {again}"
            assert set(self.pieces) - stored <= set(after)
            agent.stop()
            assert agent.leftovers() == []
            return killed
        finally:
            agent.stop()
            proxy.stop()
            shutil.rmtree(work, ignore_errors=True)

    def kill_control(self, number, within):
        """Kills the control plane before request `number` of a fill, or in the middle of its answer."""
        work = self.reference.sub(f"control-{number}-{within}")
        proxy = Proxy(self.control.url)
        agent = self.agent(work, proxy)
        restarted = []

        def kill(n):
            if n != number or restarted:
                return
            self.control.process.kill()
            restarted.append(threading.Thread(target=restart))
            restarted[0].start()

        def restart():
            self.control.start()
            proxy.target = self.control.url

        if within:
            proxy.within = kill
        else:
            proxy.before = kill
        try:
            self.start(agent)
            run = agent.bdn("run", "m", "--", "true")
            if restarted:
                restarted[0].join()
            # Commands of a user are not repeated for him; what the agent itself asks for is.
            assert run.code == 0 or restarted and run.code == 11, run
            assert sums_of(agent, "m", self.reference.location) == self.reference.sums
            for name, (_, sent) in proxy.objects().items():
                if name in self.pieces:
                    path, at = self.pieces[name]
                    size = min((self.reference.repo / path).stat().st_size - at, CHUNK)
                    assert sent == size, f"{sent} bytes of {size} of {path} from {at}"
            agent.stop()
            assert agent.leftovers() == []
            return bool(restarted)
        finally:
            if restarted:
                restarted[0].join()
            agent.stop()
            proxy.stop()
            shutil.rmtree(work, ignore_errors=True)
