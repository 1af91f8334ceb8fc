"""bdn migrate on real directories: the prompt, backups, modes and what is printed."""

import json
import os
import subprocess

import pytest
from harness import BDN, Done

OLD = """# kept
model_name: m   # also kept
model_cache:
  - repo_id: a/b
    use_volume: false
    allow_patterns: ["*.json"]
"""


def migrate(directory, *args, stdin=""):
    done = subprocess.run(
        [str(BDN), "migrate", str(directory), "--offline", *args], input=stdin, capture_output=True, text=True,
        timeout=30, env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def model(work):
    directory = work / "truss"
    (directory / "model").mkdir(parents=True)
    (directory / "config.yaml").write_text(OLD)
    (directory / "model" / "model.py").write_text('import x\nx.load("a/b")\n')
    return directory


def names(directory):
    return sorted(p.name for p in directory.iterdir())


@pytest.mark.parametrize("answer", ["y\n", "Y\n", "yes\n", "maybe\ny\n"])
def test_yes_applies_and_keeps_a_backup(model, answer):
    done = migrate(model, stdin=answer)
    assert done.code == 0, done
    assert "--- config.yaml\n+++ config.yaml (migrated)\n@@ " in done.out
    assert done.out.endswith(f"Backup created: {model}/config.yaml.bak\nMigration complete!\n")
    assert ("Error: invalid input" in done.out) == answer.startswith("maybe")
    assert "\x1b" not in done.out + done.err
    assert (model / "config.yaml.bak").read_text() == OLD
    text = (model / "config.yaml").read_text()
    assert text.startswith("# kept\nmodel_name: m   # also kept\nweights:\n  - source: hf://a/b\n")
    assert "model/model.py:2: " in done.err and "/app/model_cache/a_b" in done.err
    assert "'**/*.json'" in done.err
    again = migrate(model)
    assert again.code == 0
    assert again.out == "Config already uses the weights API. Nothing to migrate.\n"


@pytest.mark.parametrize("answer", ["n\n", "\n", "NO\n"])
def test_no_changes_nothing(model, answer):
    done = migrate(model, stdin=answer)
    assert done.code == 0 and done.out.endswith("Migration cancelled.\n")
    assert (model / "config.yaml").read_text() == OLD
    assert names(model) == ["config.yaml", "model"]


def test_no_answer_is_a_failure(model):
    assert migrate(model, stdin="").code == 1
    assert names(model) == ["config.yaml", "model"]


@pytest.mark.parametrize("flag", ["--yes", "-y", "--non-interactive"])
def test_older_backups_stay_and_the_mode_too(model, flag):
    (model / "config.yaml.bak").write_text("older")
    (model / "config.yaml.bak.1").write_text("old")
    os.chmod(model / "config.yaml", 0o664)
    done = migrate(model, flag)
    assert done.code == 0 and "Apply these changes" not in done.out
    assert (model / "config.yaml.bak").read_text() == "older"
    assert (model / "config.yaml.bak.1").read_text() == "old"
    assert (model / "config.yaml.bak.2").read_text() == OLD
    assert os.stat(model / "config.yaml").st_mode & 0o777 == 0o664
    assert names(model) == [
        "config.yaml", "config.yaml.bak", "config.yaml.bak.1", "config.yaml.bak.2", "model"]


def test_a_dry_run_writes_nothing(model):
    done = migrate(model, "--dry-run", "--yes", "--json")
    answer = json.loads(done.out)
    assert done.code == 0 and done.err == ""
    assert answer["status"] == "dry_run" and answer["backup"] == ""
    assert answer["diff"].startswith("--- config.yaml\n")
    assert set(answer["warnings"][0]) == {
        "file", "line", "message", "new_path", "suggestion", "pattern"}
    assert names(model) == ["config.yaml", "model"]


def test_json_says_what_was_done(model):
    answer = json.loads(migrate(model, "--yes", "--json").out)
    assert answer["status"] == "migrated"
    assert answer["backup"] == f"{model}/config.yaml.bak"


def test_what_would_not_be_valid_is_refused(model):
    text = "external_data: [{url: 'http://h/x', local_data_path: x}]\n"
    (model / "config.yaml").write_text(text)
    done = migrate(model, "--yes")
    assert done.code == 1 and "https" in done.err
    assert (model / "config.yaml").read_text() == text
    answer = json.loads(migrate(model, "--yes", "--json").out)
    assert answer["status"] == "refused" and answer["errors"][0]["line"] == 1
    assert names(model) == ["config.yaml", "model"]


def test_mistakes(model):
    assert migrate(model, "--json").code == 2
    assert migrate(model, "--frobnicate").code == 2
    (model / "config.yaml").rename(model / "config.yml")
    done = migrate(model)
    assert done.code == 1
    assert f"No config.yaml found at {model}/config.yaml" in done.err and "rename" in done.err
    (model / "config.yaml").write_text("")
    done = migrate(model)
    assert done.code == 0
    assert done.out == "No model_cache or external_data found. Nothing to migrate.\n"
