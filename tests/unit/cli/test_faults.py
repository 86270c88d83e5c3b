"""How a command ends that cannot go on: one paragraph, and the traceback for who asks for it."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from weightwise import faults
from weightwise.errors import UserError
from weightwise.folders import refuse_full, refuse_unwritable

ROOT = Path(__file__).parents[3]
# Root may write everywhere; without these two rights it is like anyone.
AS_ANYONE = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "weightwise", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | environment,
    )


def broken(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """`weightwise plan` whose code was changed by a line."""
    program = f"import sys, weightwise.cli as cli\n{code}\nsys.argv = ['weightwise', *sys.argv[1:]]"
    return subprocess.run(
        [sys.executable, "-c", f"{program}\ncli.main()", "plan", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=ROOT,
        env=os.environ | environment,
    )


FAULT = "def fail(*_):\n    raise RuntimeError('two\\nlines')\ncli._open = fail"


def test_a_fault_of_ours_is_said_to_be_one_and_its_traceback_is_kept(tmp_path):
    done = broken(FAULT, TMPDIR=str(tmp_path))
    assert done.returncode == 70
    assert "Traceback" not in done.stderr
    said = " ".join(done.stderr.split())
    assert "this is a fault of weightwise" in said
    assert "RuntimeError: two lines" in said
    assert "--debug" in said
    (kept,) = tmp_path.glob("weightwise-fault-*.txt")
    assert kept.name in said.replace(" ", "")
    text = kept.read_text()
    assert "command: weightwise plan" in text
    assert re.search(r"in fail\n.*RuntimeError", text, re.DOTALL)


@pytest.mark.parametrize("how", ["option", "variable"])
def test_tracebacks_are_shown_to_who_asks(tmp_path, how):
    options = ["--debug"] if how == "option" else []
    environment = {"TMPDIR": str(tmp_path)} | ({} if options else {"WEIGHTWISE_DEBUG": "1"})
    done = broken(FAULT, *options, **environment)
    assert done.returncode == 70
    assert "in fail" in done.stderr
    done = run("plan", "nowhere.yaml", *options, **environment)
    assert done.returncode == 2
    assert "FileNotFoundError" in done.stderr  # what `from None` left out, too
    assert done.stderr.rstrip().endswith("(No such file or directory)")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "there is no space left"),
        (errno.EDQUOT, "there is no space left"),
        (errno.EACCES, "this user may not do that"),
        (errno.EROFS, "the file system is read-only"),
        (errno.ENAMETOOLONG, "use shorter names"),
    ],
)
def test_what_the_machine_refuses_is_no_fault_of_ours(code, words):
    told = faults.explain(OSError(code, os.strerror(code), "results/x"))
    assert told.startswith("results/x: ")
    assert words in told
    assert "\n" not in told
    assert faults.told(OSError(errno.ENOENT, "gone", "internal.json")) is None


def test_what_a_terminal_would_obey_is_shown_as_escapes():
    assert faults.told(UserError("a\x1b[31m\u202eb\ud800\n")) == "a\\x1b[31m\\u202eb\\ud800\n"
    assert faults.told(UserError("悲しい می‌خواهم é")) == "悲しい می‌خواهم é"


def test_a_message_that_cannot_be_made_does_no_harm(tmp_path, monkeypatch):
    class Broken(Exception):
        def __str__(self):
            raise ValueError

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert "Broken: (its message cannot be shown)" in faults.explain(Broken())


@pytest.fixture
def read_only(tmp_path):
    """A folder without permission to write, and how to run a command as anyone."""
    command = [] if os.geteuid() else AS_ANYONE
    if command and not shutil.which(command[0]):
        pytest.skip("root, and no setpriv")
    folder = tmp_path / "theirs"
    folder.mkdir()
    folder.chmod(0o555)
    yield folder, command
    folder.chmod(0o755)


def test_a_folder_that_cannot_be_written_is_one_line(read_only):
    folder, command = read_only
    code = (
        "import sys; from pathlib import Path; from weightwise.folders import *\n"
        "refuse_unwritable([Path(sys.argv[1]) / 'results' / 'deeper'])"
    )
    done = subprocess.run(
        [*command, sys.executable, "-c", code, str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"UserError: {folder}: Permission denied: this user may not do that" in done.stderr
    program = [*command, sys.executable, "-m", "weightwise", "check", str(ROOT / "config.yaml")]
    done = subprocess.run(
        [*program, "--results", str(folder / "results")],
        capture_output=True,
        text=True,
        check=False,
    )
    said = " ".join(done.stderr.split())
    assert done.returncode == 2
    assert "Permission denied" in said
    assert "Traceback" not in said


def test_folders_that_cannot_be(tmp_path):
    refuse_unwritable([tmp_path / "a" / "b", tmp_path])
    assert not (tmp_path / "a").exists()
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file: Not a directory: a part of the path is a file"):
        refuse_unwritable([tmp_path / "file" / "results"])
    (tmp_path / "link").symlink_to(tmp_path / "swept")
    with pytest.raises(UserError, match=r"is a link to .*swept, which is gone"):
        refuse_unwritable([tmp_path / "link"])


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    refuse_full(tmp_path / "results")
    assert list((tmp_path / "results").iterdir()) == []

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="results: No space left on device: there is no space"):
        refuse_full(tmp_path / "results")


def test_the_snakefile_says_it_in_a_line(tmp_path, monkeypatch, capsys):
    """An error while the Snakefile is read, ours or the user's, ends Snakemake without its own
    twenty lines."""
    from weightwise import workflow

    with pytest.raises(SystemExit, match=r"^error: .*nowhere\.yaml: cannot be read"):
        workflow.open_study({"study": str(tmp_path / "nowhere.yaml")}, [])
    with pytest.raises(SystemExit, match="a target before it: `snakemake TARGET --configfile"):
        workflow.open_study({}, ["a.yaml", "prepared"])
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(workflow, "load_study", lambda *_: 1 / 0)
    with pytest.raises(SystemExit, match=r"this is a fault of weightwise .*ZeroDivisionError"):
        workflow.open_study({}, [])
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("WEIGHTWISE_DEBUG", "1")
    with pytest.raises(SystemExit):
        workflow.open_study({}, [])
    assert "Traceback" in capsys.readouterr().err
