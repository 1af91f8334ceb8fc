"""bdn migrate on realistic and on random configs, judged with PyYAML: every other key keeps its value and its
bytes, the weights are what docs/migrate.md says, the result validates, and a second run has nothing to do."""

import difflib
import json
import os
import pathlib
import random
import re
import subprocess

import pytest
import yaml
from harness import BDN, Done

CONFIGS = pathlib.Path(__file__).resolve().parents[2] / "src/model/testdata/migrate"
OLD_KEYS = ("model_cache", "hf_cache", "external_data", "weights")


def load(text):
    """libyaml's scanner, which takes tabs before comments; PyYAML's own in Python does not."""
    return yaml.load(text, Loader=yaml.CSafeLoader)


def bdn(*args):
    done = subprocess.run([str(BDN), *map(str, args)], capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL,
                          env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"}, check=False)
    return Done(done.returncode, done.stdout, done.stderr)


def join(base, folder):
    return str(pathlib.PurePosixPath(base) / folder)


def expected_weights(config):
    weights = []
    for item in (config.get("model_cache") or config.get("hf_cache") or []):
        kind, repo = item.get("kind", "hf"), item["repo_id"]
        prefix = {"hf": "hf", "gcs": "gs", "s3": "s3", "azure": "azure", "r2": "r2"}[kind] + "://"
        repo = repo.removeprefix(prefix)
        one = {"source": prefix + repo}
        if kind == "hf" and item.get("revision"):
            one["source"] += "@" + item["revision"]
        if item.get("use_volume", False):
            one["mount_location"] = join("/app/model_cache", item["volume_folder"])
        else:
            one["mount_location"] = join("/app/model_cache", repo.replace("/", "_") if kind == "hf" else repo.split("/")[0])
        secret = item.get("runtime_secret_name")
        secret = "hf_access_token" if secret is None else secret
        if secret:
            one["auth"] = {"auth_method": "CUSTOM_SECRET", "auth_secret_name": secret}
        for key in ("allow_patterns", "ignore_patterns"):
            if item.get(key):
                one[key] = item[key]
        weights.append(one)
    for item in config.get("external_data") or []:
        weights.append({"source": item["url"], "mount_location": join("/app/data", item["local_data_path"])})
    return weights


def check(directory, text):
    """Migrates `text`; True when it was migrated, False when it was refused (then nothing changed)."""
    path = directory / "config.yaml"
    path.write_bytes(text)
    done = bdn("migrate", directory, "--yes", "--json", "--offline")
    answer = json.loads(done.out)
    after = path.read_bytes()
    if answer["status"] != "migrated":
        assert after == text and not list(directory.glob("*.bak*"))
        assert done.code == (1 if answer["status"] == "refused" else 0)
        return False
    assert done.code == 0, done
    backup = directory / "config.yaml.bak"
    assert backup.read_bytes() == text
    backup.unlink()
    before_config, after_config = load(text), load(after)
    rest = [{k: v for k, v in c.items() if k not in OLD_KEYS} for c in (before_config, after_config)]
    assert rest[0] == rest[1] and list(rest[0]) == list(rest[1])
    assert after_config["weights"] == expected_weights(before_config)
    assert not set(after_config) & {"model_cache", "hf_cache", "external_data"}
    validated = json.loads(bdn("validate", directory, "--json").out)
    assert validated["ok"], validated
    # The diff is a real one: it names lines of the files, and they are those that differ.
    diff = answer["diff"].splitlines()
    for sign, lines in (("-", text), ("+", after)):
        shown = [d[1:] for d in diff if d.startswith(sign) and not d.startswith(sign * 3)]
        assert set(shown) <= {line.rstrip("\r\n") for line in lines.decode("utf-8-sig").splitlines()} | {
            line.decode() for line in lines.splitlines()}
    assert json.loads(bdn("migrate", directory, "--yes", "--json").out)["status"] == "nothing_to_do"
    assert path.read_bytes() == after
    return True


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda p: p.stem)
def test_the_corpus(work, path):
    migrated = check(work, path.read_bytes())
    assert migrated == path.with_suffix(".expected").read_bytes().startswith(b"migrated")


def test_realistic_configs_keep_every_line_outside_the_old_keys(work):
    """By a line diff: what the migration took away are lines of the old keys and comments beside them."""
    for path in sorted(CONFIGS.glob("corpus_*.yaml")):
        text = path.read_bytes()
        if path.stem == "corpus_flow":  # its keys share lines
            continue
        assert check(work, text)
        old = text.decode().splitlines(keepends=True)
        new = (work / "config.yaml").read_bytes().decode().splitlines(keepends=True)
        key, inside = None, []
        for line in old:
            if match := re.match(r"([\w-]+) ?:", line):
                key = match[1]
            inside.append(key in OLD_KEYS)
        for tag, a1, a2, _, _ in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
            if tag in ("replace", "delete"):
                assert all(inside[a1:a2]), (path, old[a1:a2])


class Writer:
    """Random YAML: styles, quotes, indentation, comments and line ends of all kinds."""

    def __init__(self, rng):
        self.rng = rng
        self.serial = 0

    def scalar(self, text):
        plain = re.fullmatch(r"[A-Za-z0-9_/][A-Za-z0-9_./-]*", text) and load(text) == text
        style = self.rng.randrange(3 if plain else 2)
        if style == 0 or "\\" in text or "\t" in text:
            return json.dumps(text, ensure_ascii=self.rng.random() < 0.5)
        if style == 1:
            return "'" + text.replace("'", "''") + "'"
        return text

    def comment(self, chance=0.2):
        self.serial += 1
        return f"  # note {self.serial}" if self.rng.random() < chance else ""

    def flow(self, value):
        if isinstance(value, list):
            return "[" + ", ".join(map(self.flow, value)) + "]"
        if isinstance(value, dict):
            return "{" + ", ".join(f"{k}: {self.flow(v)}" for k, v in value.items()) + "}"
        return self.scalar(value) if isinstance(value, str) else {True: "true", False: "no", None: "~"}[value]

    def item(self, item, indent):
        if self.rng.random() < 0.25:
            return f"{indent}- {self.flow(item)}{self.comment()}\n"
        out, first = "", True
        for key, value in item.items():
            lead = indent + ("- " if first else "  ")
            first = False
            if isinstance(value, list) and value and self.rng.random() < 0.6:
                deeper = indent + "  " + self.rng.choice(["", "  ", "    "])
                out += f"{lead}{key}:{self.comment()}\n" + "".join(f"{deeper}- {self.scalar(v)}{self.comment()}\n" for v in value)
            else:
                out += f"{lead}{key}: {self.flow(value)}{self.comment()}\n"
            if self.rng.random() < 0.1:
                out += f"{indent}  # alone {self.serial}\n"
        return out

    def key(self, name, items):
        if self.rng.random() < 0.2:
            return f"{name}: {self.flow(items)}{self.comment()}\n"
        indent = self.rng.choice(["", "  ", "    "])
        return f"{name}:{self.comment()}\n" + "".join(self.item(i, indent) for i in items)

    def model(self, number):
        rng = self.rng
        kind = rng.choice(["hf", "hf", "hf", "s3", "gcs", "azure", "r2"])
        repo = {"hf": "owner/Re-po_", "s3": "bucket", "gcs": "bucket.x", "azure": "acct", "r2": "acct.buck"}[kind] + str(number)
        if kind != "hf":
            repo += "/" + rng.choice(["a", "a/b", "c-d"])
        item = {"repo_id": repo, "use_volume": rng.random() < 0.6}
        if item["use_volume"]:
            item["volume_folder"] = rng.choice(["f", "a/f", "/abs/f", "./f"]) + str(number)
        if kind != "hf" or rng.random() < 0.3:
            item["kind"] = kind
        if rng.random() < 0.6:
            item["revision"] = rng.choice(["main", "refs/pr/1", "a" * 40, "v1.0"])
        if rng.random() < 0.4:
            item["runtime_secret_name"] = rng.choice(["", "my token", "hf_access_token", "clé"])
        for key in ("allow_patterns", "ignore_patterns"):
            if rng.random() < 0.4:
                item[key] = [rng.choice(["*.json", "**/*.bin", "a b.txt", "it's", "é*", "x\ty", "unet/", "#no", "- x", "a: b", "yes", "7"])
                             for _ in range(rng.randrange(4))]
        keys = list(item)
        rng.shuffle(keys)
        return {k: item[k] for k in keys}

    def config(self):
        rng = self.rng
        others = ["model_name: \"ünï\\tcödé\"  # why\n", "secrets: {hf_access_token: null}\n", "resources:\n    accelerator: H100:2\n    use_gpu: true\n",
                  "run: |\n  # not a comment\n  model_cache: no\n\n", "list: [1,   2,\n  3]\n", "folded: >-\n  a\n  b\n\n", "# a comment\n\n",
                  "anchors: &a [x, y]\n", "empty:\n", "\"quoted key\": 'it''s'\n", "date: 2024-01-01\n"]
        parts = rng.sample(others, rng.randrange(len(others)))
        models = [self.model(n) for n in range(rng.randrange(1, 4))]
        old = [self.key(rng.choice(["model_cache", "model_cache", "hf_cache"]), models)]
        if rng.random() < 0.4:
            old.append(self.key("external_data", [{"url": f"https://example.com/f{n}?a=b", "local_data_path": f"d/{n}"} for n in range(2)]))
        for part in old:
            parts.insert(rng.randrange(len(parts) + 1), part)
        text = "".join(parts)
        if rng.random() < 0.2:
            text = text.removesuffix("\n")
        if rng.random() < 0.2:
            text = text.replace("\n", "\r\n")
        return text.encode()


def test_random_configs(work):
    rng = random.Random(11)
    migrated = 0
    for number in range(120):
        text = Writer(rng).config()
        load(text)
        try:
            migrated += check(work, text)
        except (AssertionError, yaml.YAMLError) as problem:
            pytest.fail(f"seed 11, number {number}: {problem}\n{text.decode()}\n=====\n{(work / 'config.yaml').read_text()}")
    assert migrated > 70
