#!/usr/bin/env python3
"""fill.py BUILD_DIR [WORK_DIR]: bringing a version of 1 GiB from the origin to the node cache.

Two ways: in one process from the origin's directory (`bdn up`), and by an agent from a control plane
over HTTP on loopback (`bdn control`, `bdn agent`). Each round empties the node cache and mounts again.
Measured beside them, in the same rounds: `dd` of the same bytes in 256 KiB pieces with fdatasync, and
a pass of `b3sum` with one thread, which together are what a verified copy costs at least.
"""
import os
import pathlib
import sys
import urllib.request

import lab

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
SIZE = 1 << 30


def evict_all(server, key):
    request = urllib.request.Request(server.url + "/v1/node/evict", b'{"bytes":1099511627776}',
                                     {"Authorization": "Bearer " + key,
                                      "Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        assert lab.read_json(answer.read())["freed"] >= SIZE


def client_of(home):
    return lab.read_json((home / "data" / "client.json").read_text())


def fill_once(bdn, node, key, target, servers):
    bdn_env = bdn.env | {"BDN_NODE_URL": node.url}
    mount = [bdn.program, "mount", "bdn:bench/fill", str(target)]
    wall, cpu, _ = lab.run(mount, env=bdn_env, servers=servers)
    assert (target / "weights.bin").stat().st_size == SIZE
    lab.run([bdn.program, "unmount", str(target)], env=bdn_env)
    evict_all(node, key)
    return wall, cpu


def main():
    build = sys.argv[1]
    work = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else "/var/tmp") / "bdn-bench-fill"
    lab.remove(work)
    plain = work / "tree" / "weights.bin"
    lab.fill_file(plain, SIZE)
    results = lab.Results("fill")
    bdn = lab.Bdn(build, work / "home")
    agent = None
    try:
        key = client_of(bdn.home)["node_key"]
        bdn("volume", "push", plain.parent, "bdn:bench/fill")
        env = bdn.env | {"BDN_URL": bdn.url, "BDN_API_KEY": client_of(bdn.home)["api_key"]}
        agent = lab.Server([bdn.program, "agent", "--data", str(work / "agent"), "--listen",
                            "127.0.0.1:0"], "agent is ready", env)
        agent_key = client_of(bdn.home)["node_key"]
        lab.sync(work)
        for _ in range(ROUNDS):
            load = lab.wait_until_quiet()
            wall, cpu = fill_once(bdn, bdn, key, work / "mounted", [bdn.pid])
            results.add("directory", wall=wall, cpu=cpu, load=load)
            wall, cpu = fill_once(bdn, agent, agent_key, work / "mounted", [agent.pid])
            results.add("http", wall=wall, cpu=cpu, load=load)
            copy, copy_cpu, _ = lab.run(["dd", f"if={plain}", f"of={work / 'copy'}", "bs=256K",
                                         "conv=fdatasync", "status=none"])
            hashed, hash_cpu, _ = lab.run(["b3sum", "--num-threads", "1", "--no-mmap", str(plain)])
            results.add("floor", wall=copy + hashed, cpu=copy_cpu + hash_cpu)
            (work / "copy").unlink()
            lab.sync(work)
    finally:
        if agent:
            agent.stop()
        bdn.stop()
        lab.remove(work)
    floor, floor_cpu = results.median("floor", "wall"), results.median("floor", "cpu")
    for name, title in (("directory", "1 GiB from the origin directory"),
                        ("http", "1 GiB over HTTP from a control plane")):
        wall, cpu = results.median(name, "wall"), results.median(name, "cpu")
        low, high = results.spread(name, "wall")
        lab.row("fill", title, f"{SIZE / wall / 1e9:.2f} GB/s",
                f"{wall:.2f} s ({low:.2f}-{high:.2f}), CPU {cpu:.2f} s, "
                f"{floor / wall:.2f} x the speed of dd, then b3sum; "
                f"{cpu / floor_cpu:.2f} x their CPU; load {results.median(name, 'load'):.1f}")
    lab.row("fill", "1 GiB by dd (fdatasync), then b3sum, 1 thread", f"{SIZE / floor / 1e9:.2f} GB/s",
            f"{floor:.2f} s, CPU {floor_cpu:.2f} s")


main()
