"""bdn migrate on chains: the code before and after is run with stand-ins for truss, and what reaches
chains.Assets is compared; comments and everything outside the calls stay."""

import dataclasses
import enum
import io
import itertools
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tokenize
import types

import pytest
from harness import BDN, Done

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "src/model/testdata/chains"


def migrate(target, *args, stdin=""):
    done = subprocess.run(
        [str(BDN), "migrate", str(target), "--offline", *args], input=stdin, capture_output=True, text=True, timeout=30,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"}, check=False)
    return Done(done.returncode, done.stdout, done.stderr)


class Kind(str, enum.Enum):
    HF = "hf"
    GCS = "gcs"
    S3 = "s3"
    AZURE = "azure"


@dataclasses.dataclass
class ModelRepo:
    repo_id: str
    revision: str = ""
    allow_patterns: list | None = None
    ignore_patterns: list | None = None
    volume_folder: str | None = None
    use_volume: bool = False
    kind: str = "hf"
    runtime_secret_name: str | None = "hf_access_token"


@dataclasses.dataclass
class WeightsSource:
    source: str
    mount_location: str
    auth_secret_name: str | None = None
    allow_patterns: list | None = None
    ignore_patterns: list | None = None


def as_weights(repo):
    """The rules of docs/migrate.md, once more."""
    kind = Kind(repo.kind).value
    source = {"hf": "hf", "gcs": "gs", "s3": "s3", "azure": "azure"}[kind] + "://" + repo.repo_id
    if kind == "hf" and repo.revision:
        source += "@" + repo.revision
    if repo.use_volume:
        mount = str(pathlib.PurePosixPath("/app/model_cache") / repo.volume_folder)
    else:
        name = repo.repo_id.replace("/", "_") if kind == "hf" else repo.repo_id.split("/")[0]
        mount = "/app/model_cache/" + name
    secret = "hf_access_token" if repo.runtime_secret_name is None else repo.runtime_secret_name
    return WeightsSource(source, mount, secret or None, list(repo.allow_patterns or []) or None,
                         list(repo.ignore_patterns or []) or None)


def normal(weights):
    return dataclasses.replace(weights, allow_patterns=list(weights.allow_patterns or []) or None,
                               ignore_patterns=list(weights.ignore_patterns or []) or None)


def run(text):
    """What every call of Assets was given, in order."""
    calls = []

    def assets(cached=(), secret_keys=(), external_data=(), weights=()):
        calls.append((list(cached), list(secret_keys), list(weights)))

    anything = lambda *a, **k: None  # noqa: E731
    config = types.ModuleType("truss.base.truss_config")
    for module in (config,):
        module.ModelRepo, module.ModelRepoSourceKind = ModelRepo, Kind
        module.Resources = module.Runtime = anything
    chains = types.ModuleType("truss_chains")
    chains.Assets, chains.WeightsSource, chains.ChainletBase = assets, WeightsSource, object
    chains.RemoteConfig = chains.Compute = chains.ChainletOptions = chains.DockerImage = anything
    truss, base = types.ModuleType("truss"), types.ModuleType("truss.base")
    truss.base, base.truss_config, truss.truss_config = base, config, config
    modules = {"truss": truss, "truss.base": base, "truss.base.truss_config": config, "truss_chains": chains}
    saved = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        exec(compile(text, "chain.py", "exec"), {"__name__": "chain"})  # noqa: S102
    finally:
        for name, module in saved.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
    return calls


def comments(text):
    return sorted(t.string for t in tokenize.generate_tokens(io.StringIO(text).readline) if t.type == tokenize.COMMENT)


def expect_same_meaning(before, after):
    moved = 0
    for (cached, keys, weights), (cached2, keys2, weights2) in zip(run(before), run(after), strict=True):
        assert keys == keys2
        if cached2 == cached:
            assert weights2 == weights
            continue
        assert cached2 == [] and weights == []
        assert [normal(w) for w in weights2] == [as_weights(r) for r in cached]
        moved += 1
    assert comments(before) == comments(after)
    return moved


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.py")), ids=lambda p: p.stem)
def test_the_code_means_the_same(work, path):
    chain = work / "chain.py"
    text = path.read_bytes()
    chain.write_bytes(text)
    done = migrate(work, "--yes")
    after = chain.read_bytes()
    if (b"refused" in path.with_suffix(".expected").read_bytes().split(b"\n")[0]):
        assert done.code == 1 and after == text and list(work.iterdir()) == [chain]
        assert "nothing is changed" in done.err
        return
    assert done.code == 0, done
    assert (work / "chain.py.bak").read_bytes() == text
    assert (b"\r\n" in text) == (b"\r\n" in after) and (b"\n" in after.replace(b"\r\n", b"")) == (b"\n" in text.replace(b"\r\n", b""))
    assert expect_same_meaning(text.decode(), after.decode()) > 0
    again = migrate(work, "--yes")
    assert (work / "chain.py").read_bytes() == after, again


def random_call(rng, constants):
    indent = rng.choice(["", "    ", "\t", "            "])

    def value(text):
        if rng.random() < 0.2:
            name = f"NAME_{len(constants)}"
            constants.append(f"{name} = {text!r}\n")
            return name
        quote = rng.choice("'\"")
        return f"{quote}{text}{quote}"

    arguments = [f"repo_id={value('owner/repo' + str(rng.randrange(10 ** 9)))}"]
    volume = rng.random() < 0.5
    if volume or rng.random() < 0.3:
        arguments.append(f"use_volume={volume}")
    if volume:
        arguments.append(f"volume_folder={value('f' + str(rng.randrange(10 ** 9)))}")
    for key, texts in (("revision", ["main", "v1.0", "a" * 40]), ("runtime_secret_name", ["s", "hf_access_token", ""]),
                       ("kind", ["hf"])):
        if rng.random() < 0.4:
            arguments.append(f"{key}={value(rng.choice(texts))}")
    for key in ("allow_patterns", "ignore_patterns"):
        if rng.random() < 0.4:
            items = [repr(rng.choice(["*.json", "**/*.x", "unet/*", "x y.bin", "a[1]"])) for _ in range(rng.randrange(4))]
            arguments.append(f"{key}=[{', '.join(items)}]")
    rng.shuffle(arguments)
    out = "ModelRepo("
    for i, argument in enumerate(arguments):
        last = i + 1 == len(arguments)
        before = rng.choice(["", " ", f"\n{indent}", f"  # comment {rng.randrange(10 ** 9)}\n{indent}"])
        comma = "," if not last or rng.random() < 0.5 else ""
        out += before + argument + rng.choice(["", " "]) * (not last) + comma
        if rng.random() < 0.2:
            out += f"  # beside {rng.randrange(10 ** 9)}\n{indent}"
    return out + rng.choice(["", "\n", f"\n{indent}"]) + ")"


def random_chain(rng):
    constants, body = [], ""
    for i in range(rng.randrange(1, 4)):
        repos = []
        for j in range(rng.randrange(1, 3)):
            call = random_call(rng, constants)
            if rng.random() < 0.3:
                constants.append(f"REPO_{i}_{j} = {call}\n")
                call = f"REPO_{i}_{j}"
            repos.append(call)
        listing = "[" + ",\n ".join(repos) + rng.choice(["", ",", "\n"]) + "]"
        body += f"# call {i}\nX{i} = chains.Assets({rng.choice(['', 'secret_keys=[], '])}cached={listing})\n"
    imports = ["import truss_chains as chains\n", "from truss.base.truss_config import ModelRepo\n", "import os\n"]
    rng.shuffle(imports)
    return "".join(imports) + "".join(constants) + body + "print('end'  ,os)  # end\n"


def test_random_chains(work, capsys):
    """What parses, migrates; a few that would not be valid together are refused."""
    rng = random.Random(4)
    moved = 0
    for number in range(150):
        before = random_chain(rng)
        run(before)
        chain = work / "chain.py"
        chain.write_text(before)
        done = migrate(chain, "--yes", "--json")
        after = chain.read_text()
        (work / "chain.py.bak").unlink(missing_ok=True)
        try:
            assert done.code in (0, 1), done
            moved += expect_same_meaning(before, after)
            assert after.endswith("print('end'  ,os)  # end\n")
        except (AssertionError, SyntaxError) as problem:
            pytest.fail(f"seed 4, number {number}: {problem}\n{before}\n=====\n{after}\n{done}")
    assert moved > 200


def test_all_files_change_or_none(work):
    """A config and two chains: three backups; one that cannot be replaced leaves all as they were."""
    text = (GOLDEN / "documented.py").read_text()
    (work / "sub").mkdir()
    (work / "a.py").write_text(text)
    (work / "sub" / "b.py").write_text(text.replace("PHI_", "MY_"))
    (work / "config.yaml").write_text("model_cache: [{repo_id: a/b, use_volume: false}]\n")
    before = {p: p.read_bytes() for p in work.rglob("*") if p.is_file()}
    # The name of a backup's temporary file does not fit any more.
    long = work / "sub" / ("x" * 250 + ".py")
    long.write_text(text.replace("PHI_", "OTHER_"))
    before[long] = long.read_bytes()
    done = migrate(work, "--yes")
    assert done.code == 1 and "no backup could be made" in done.err, done
    assert {p: p.read_bytes() for p in work.rglob("*") if p.is_file()} == before
    long.unlink()
    answer = migrate(work, "--yes", "--json").json()
    assert answer["status"] == "migrated"
    assert [f["path"] for f in answer["files"]] == [f"{work}/config.yaml", f"{work}/a.py", f"{work}/sub/b.py"]
    assert all(pathlib.Path(f["backup"]).read_bytes() == before[pathlib.Path(f["path"])] for f in answer["files"])
    assert answer["backup"] == f"{work}/config.yaml.bak"
    heads = re.findall(r"^\+\+\+ (.*)$", answer["diff"], re.M)
    assert heads == ["config.yaml (migrated)", "a.py (migrated)", "sub/b.py (migrated)"]


def test_by_hand_says_file_line_and_what_to_write(work):
    (work / "c.py").write_bytes((GOLDEN / "computed.py").read_bytes())
    done = migrate(work)
    assert done.code == 1
    assert "warning: c.py:6: cached is not rewritten: the value of repo_id is computed: REPO" in done.err
    assert '    weights=[\n        ch.WeightsSource(source="hf://" + REPO + "@v1.0"' in done.err.replace("\n        weights", "\n    weights")
    answer = json.loads(migrate(work, "--dry-run", "--json").out)
    assert answer["status"] == "refused"
    assert [w["line"] for w in answer["warnings"]] == [6, 7, 8]
    assert all(w["suggestion"].startswith("weights=[\n") for w in answer["warnings"])


def test_one_file_can_be_named(work):
    (work / "one.py").write_bytes((GOLDEN / "documented.py").read_bytes())
    (work / "two.py").write_bytes((GOLDEN / "documented.py").read_bytes().replace(b"PHI", b"X"))
    assert migrate(work / "one.py", "--yes").code == 0
    assert sorted(p.name for p in work.iterdir()) == ["one.py", "one.py.bak", "two.py"]
    (work / "notes.txt").write_text("x")
    done = migrate(work / "notes.txt")
    assert done.code == 1 and "neither a directory nor a config.yaml nor a Python file" in done.err


def test_every_pair_of_golden_files_migrates_together(work):
    names = ["bare_names", "crlf", "documented", "imports", "layouts"]
    for a, b in itertools.combinations(names, 2):
        directory = work / f"{a}-{b}"
        directory.mkdir()
        for name in (a, b):
            (directory / f"{name}.py").write_bytes((GOLDEN / f"{name}.py").read_bytes())
        done = migrate(directory, "--yes", "--json")
        assert done.code == 0 and len(done.json()["files"]) == 2, done
