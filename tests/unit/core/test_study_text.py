"""The text of a study's file: hostile YAML is refused in a line, mistakes with their remedies."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
import yaml
from core_helpers import study_keys

from weightwise.config import load_study
from weightwise.config.yaml_text import DEEPEST, LARGEST_FILE
from weightwise.errors import UserError
from weightwise.grid import Grid

sys.path.insert(0, str(Path(__file__).parents[2] / "fuzz"))
import study_files


@pytest.fixture
def refused(tmp_path):
    """`refused(text or bytes)` -> the words in which a study's file is refused."""

    def read(text: str | bytes) -> str:
        path = tmp_path / "study.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(UserError) as caught:
            load_study(path)
        return str(caught.value).replace(str(tmp_path), "")

    return read


def bomb(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: " + "[" * 700 + "]" * 700, f"line 1, column 43: more than {DEEPEST} levels"),
        ("".join("  " * i + f"k{i}:\n" for i in range(300)), f"more than {DEEPEST} levels"),
        (bomb(10), "more than 50,000 values (its aliases counted as what they name)"),
        ("\n".join(["a0: &a0 x"] + [f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 60)]), "levels"),
        ("a: &a [*a]", "an alias stands inside what it names"),
        ("a: &a {<<: *a}", "an alias stands inside what it names"),
        ("a: 1\na: 2", "line 2, column 1: key 'a' is given twice"),
        ("1: a\n1: b", "key '1' is given twice"),
        ("false: a\nFalse: b", "key 'False' is given twice"),
        ("? [a]\n: b", "a key must be a text"),
        ("? {a: b}\n: b", "a key must be a text"),
        ("a: " + "9" * 5000, "is no int; put it in quotes if it is a text"),
        ("a: " + "1" + ":59" * 2000, "is no int; put it in quotes"),
        ("a: 2001-99-99", "'2001-99-99' is no timestamp; put it in quotes"),
        ("a: !!int x", "'x' is no int"),
        ("a: !!timestamp x", "'x' is no timestamp"),
        ("a: !!bool x", "'x' is no bool"),
        ("a: !!binary ä", "failed to convert base64 data"),
        ("a: !!python/object/apply:os.system [x]", "a text that begins with ! needs quotes"),
        ("a: !x y", "a text that begins with ! needs quotes"),
        ("a: *x", "a text that begins with * or & needs quotes"),
        ("a:\n\t- x", "indent with spaces, not with tabs"),
        ("a: b: c", "a text that holds ': ' needs quotes"),
        ('a: "C:\\data"', "write a backslash in single quotes, or / in paths"),
        ("a: [#1 String, #2 String]\nb: c", "an unquoted # begins a comment: put such a text in"),
        ("a: @x", "put the text in quotes"),
        ("a: 'x", "a quote or a bracket is not closed"),
        ("a: 1\n---\nb: 2", "keep one document"),
        ("a: x\0y", "line 1: the character U+0000 may not stand in YAML; remove it"),
        (b"a: b\nc: \xe4", "is not UTF-8 text (byte 0xe4 in line 2); save it as UTF-8"),
        ("a: b".encode("utf-16"), "is UTF-16; save it as UTF-8"),
        (b"x" * (LARGEST_FILE + 1), "is larger than 300 kB, so it can hardly be a study's file"),
        ('extends: "a\\0b"', "extends: 'a\\x00b' is no path of a study's file"),
        ('extends: "a\\ud800"', "extends: 'a\\ud800' is no path of a study's file"),
        ("extends: [a]", "extends: ['a'] is no path of a study's file"),
        ("extends: study.yaml", "`extends` goes round in a circle"),
        ("extends: .", "cannot be read (Is a directory)"),
        ('name: "a\\ud800"', "name: the text 'a\\ud800' holds U+D800, half of a surrogate pair"),
        ('a: {b: ["\\0"]}', "a.b.0: the text '\\x00' holds U+0000, a NUL"),
        ('{"\\udfff": 1}', "\\udfff: the text '\\udfff' holds U+DFFF"),
        ("false: 1", "the key false is no text"),
        ("", "must be a mapping of keys"),
        ("- a", "must be a mapping of keys"),
    ],
)
def test_a_text_that_is_no_study_is_refused_in_a_line(refused, text, said):
    started = time.monotonic()
    words = refused(text)
    assert time.monotonic() - started < 20
    assert said in words
    assert words.startswith("/study.yaml: ") or "study.yaml" not in words
    assert "\n" not in words
    words.encode("utf-8")


def test_a_chain_of_files_has_an_end(tmp_path, refused):
    for number in range(30):
        (tmp_path / f"{number}.yaml").write_text(f"extends: {number + 1}.yaml\n")
    assert "goes through more than 20 files" in refused("extends: 0.yaml")


def test_byte_order_mark_and_merged_keys_are_read(tmp_path):
    keys = study_keys(tmp_path)
    text = yaml.safe_dump(keys, sort_keys=False)
    (tmp_path / "study.yaml").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert load_study(tmp_path / "study.yaml").name == keys["name"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("label: label", "label: True"), "label: is true, but must be a text: put it in quotes, "
         '"True", since YAML reads True as true (line '),
        (("label: label", "label: 0x1F"), '"0x1F", since YAML reads 0x1F as a number (line '),
        (("label: label", "label: 2001-01-02"), 'must be a text: put it in quotes, "2001-01-02"'),
        (("label: label", "label: #1 a"), "label: is empty, but must be a text (line "),
        (("label: label", "label: #1 a"), "a comment begins where the value should stand"),
        (("label: label", "label: [x]"), "label: is a list, but must be a text: leave the brackets "
         "out, label: x (line "),
        (("kind: classification", "kind: clasification"), "did you mean 'classification'?"),
        (("  SEN:", "  my sen:"), "tasks.my sen: 'my sen' is no name: letters, digits, _ . and - "
         "only, and a letter or digit first, such as my_sen (line "),
        (("  SEN:", "  S+N:"), "such as S_N; + joins the tasks of a grouping (line "),
        (("type: file", "type: flie"), "type 'flie' is none of: file, package, hub; did you mean"),
        (("seeds:", "groupings: pair\nseeds:"), "groupings: is 'pair', but must be `pairs`, keys "
         "with values or a list (line "),
        (("seeds:", "groupings: {upto: 2}\nseeds:"), "groupings: unknown key 'upto'; did you mean"),
        (("seeds:", "groupings: [SEN, PAR]\nseeds:"), "groupings.0: is 'SEN', but must be a list: "
         "write it as a list, [SEN] (line "),
        (("seeds:", "threads: 0\nseeds:"), "threads: is 0, but must be at least 1 (line "),
        (("seeds:", "threads: 1.5\nseeds:"), "threads: is 1.5, but must be a whole number (line "),
        (("seeds:", "single_tasks: 3\nseeds:"), "is 3, but must be true or false (line "),
        (("seeds:", "arms: [a]\nseeds:"), "arms: is a list, but must be keys with values (line "),
        (("seeds:", "simplex_step: 1e-999999999\nseeds:"), "has more than 20 decimals"),
        (("seeds:", "sweep: {epochs: 3}\nseeds:"), "write it as a list, epochs: [3] (line "),
    ],
)  # fmt: skip
def test_mistakes_are_told_in_the_words_of_the_file(refused, tmp_path, change, said):
    keys = study_keys(tmp_path)
    text = yaml.safe_dump({k: v for k, v in keys.items() if k != "groupings"}, sort_keys=False)
    assert change[0] in text
    words = refused(text.replace(*change, 1))
    assert said in words
    for inner in study_files.INNER_WORDS:
        assert inner not in words


def test_text_columns(refused, tmp_path):
    keys = study_keys(tmp_path)
    keys["tasks"]["SEN"]["text"] = ["a", "b", "c"]
    said = refused(yaml.safe_dump(keys, sort_keys=False))
    assert "has 3 entries, and at most 2 are possible: one text column, or two of a" in said


def test_the_line_is_that_of_the_file_that_gives_the_value(tmp_path):
    keys = study_keys(tmp_path) | {"threads": 0}
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(keys, sort_keys=False))
    (tmp_path / "own.yaml").write_text("extends: base.yaml\n\nruns_per_job: 0\n")
    with pytest.raises(UserError) as caught:
        load_study(tmp_path / "own.yaml", ["seeds=[x]"])
    said = str(caught.value)
    line = (tmp_path / "base.yaml").read_text().splitlines().index("threads: 0") + 1
    assert f"threads: is 0, but must be at least 1 ({tmp_path}/base.yaml, line {line})" in said
    assert "runs_per_job: is 0, but must be at least 1 (line 3)" in said
    assert "seeds.0: is 'x', but must be a whole number (--set seeds=[x])" in said


def test_studies_without_end_are_refused(tmp_path):
    def words(**keys) -> str:
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump(study_keys(tmp_path, **keys), sort_keys=False))
        with pytest.raises(UserError) as caught:
            _ = Grid(load_study(path)).cells
        return str(caught.value)

    sweep = {"epochs": list(range(1, 41)), "batch_size": list(range(1, 41))}
    assert "2 keys (and the arms) make 1,600 variants" in words(sweep=sweep)
    everything = {"groupings": {"up_to": 3}, "combiners": ["unitary"]}
    fine = words(**everything, simplex_step="0.0001")
    assert "simplex_step: 0.0001 makes 49,985,001 arms of a grouping of 3 tasks" in fine
    assert "cells (groupings x arms x variants x seeds)" in words(
        combiners=["unitary"], alphas=[i / 1000 for i in range(1, 301)], seeds=list(range(1000))
    )


def test_some_of_the_mutants_of_every_study(tmp_path):
    """The nightly run tries some 100,000; see fuzz/study_files.py."""
    counts, faults = study_files.run(study_files.some_cases(20, 60), tmp_path)
    assert faults == []
    assert counts["accepted"] + counts["refused"] == 60
