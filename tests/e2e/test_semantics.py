"""Executes the example of every claim of docs/semantics.md, in the order of the page."""

import pathlib
import re

import pytest
from harness import FakeHub, Node, make_small_model
import subprocess

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "semantics.md"
BLOCK = re.compile(r'^```sh claim="([^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)
CLAIMS = BLOCK.findall(PAGE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """A hub, a running bdn and the directory that the examples share."""
    work = tmp_path_factory.mktemp("semantics")
    shared = work / "shared"
    shared.mkdir()
    hub = FakeHub(work, {"demo/tiny": make_small_model(work / "repo")})
    node = Node(work, hub.url).start()
    node.env |= {"WORK": str(shared), "BDN_HUB": hub.url}
    yield node
    node.stop()
    hub.stop()


def test_every_numbered_claim_has_an_example():
    numbers = re.findall(r"^\*\*(\d+)\.", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert CLAIMS and numbers
    assert [name for name, _ in CLAIMS] == numbers


@pytest.mark.parametrize("name, script", CLAIMS, ids=[f"claim-{name}" for name, _ in CLAIMS])
def test_claim(machine, name, script):
    done = subprocess.run(
        ["bash", "-x"], input=script, capture_output=True, text=True, timeout=60, env=machine.env,
        cwd=machine.env["WORK"])
    assert done.returncode == 0, (
        f"claim {name} does not hold (exit {done.returncode})\n{done.stdout}\n{done.stderr}\n"
        f"--- bdn's log\n{machine.process.text()}")
