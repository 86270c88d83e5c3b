"""How texts fit their encoder: rows that are cut, unknown tokens, encoders that will not do."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "core"))

from core_helpers import VOCABULARY, make_study, random_split, study_keys, write_checkpoint
from core_helpers import write_data as write_rows

from weightwise.config import StudyConfig
from weightwise.data.batches import Framing
from weightwise.data.fit import text_facts
from weightwise.data.stage import prepare_study
from weightwise.data.tokens import SpecialTokens
from weightwise.errors import UserError
from weightwise.files import read_json
from weightwise.layout import Layout

UNKNOWN = VOCABULARY.index("[UNK]")


@pytest.mark.parametrize("longest", [8, 11, 16, 40])
@pytest.mark.parametrize("pair", [True, False])
def test_rows_are_cut_where_framing_cuts_them(longest, pair):
    split = random_split(3, 60, pair)
    split.a[::7] = UNKNOWN
    facts = text_facts({"dev": split}, longest, UNKNOWN)["dev"]
    whole = Framing(SpecialTokens(2, 3), "joint", 10**6)
    framing = Framing(SpecialTokens(2, 3), "joint", longest)

    def side(ids, offsets, i):
        return ids[offsets[i] : offsets[i + 1]]

    firsts = [side(split.a, split.a_offsets, i) for i in range(len(split))]
    if not pair:
        lengths = [len(whole.single(a)) for a in firsts]
        cut = [len(framing.single(a)) < n for a, n in zip(firsts, lengths, strict=True)]
        assert facts["cut"] == {"single": sum(cut)}
        assert facts["longest"] == {"single": max(lengths)}
    else:
        seconds = [side(split.b, split.b_offsets, i) for i in range(len(split))]
        both = list(zip(firsts, seconds, strict=True))
        joint = [len(framing.joint(a, b)[0]) < len(whole.joint(a, b)[0]) for a, b in both]
        apart = [any(len(framing.single(x)) < len(whole.single(x)) for x in p) for p in both]
        assert facts["cut"] == {"joint": sum(joint), "siamese": sum(apart)}
        assert facts["longest"]["joint"] == max(len(whole.joint(a, b)[0]) for a, b in both)
    assert facts["rows"] == 60
    ids = np.concatenate([split.a, split.b]) if pair else split.a
    assert facts["tokens"] == len(ids)
    assert facts["unknown"] == (ids == UNKNOWN).sum()


def prepared(folder: Path, sizes: dict | None = None, **keys) -> dict:
    write_rows(folder / "data")
    write_checkpoint(folder / "encoder", **(sizes or {}))
    layout = Layout("tiny", folder / "results")
    prepare_study(make_study(folder, **keys), layout)
    return read_json(layout.checks)


def test_checks_hold_the_facts_of_every_split(tmp_path):
    checks = prepared(tmp_path)
    for task in checks["tasks"].values():
        for split in task["splits"].values():
            assert split["tokens"]["rows"] == split["rows"]
    assert set(checks["tasks"]["PAR"]["splits"]["dev"]["tokens"]["cut"]) == {"joint", "siamese"}
    assert set(checks["tasks"]["SEN"]["splits"]["dev"]["tokens"]["cut"]) == {"single"}


@pytest.mark.parametrize(
    ("sizes", "keys", "words"),
    [
        ({"type_vocab_size": 1}, {}, ["type_vocab_size: 1", "task 'PAR'", "`pair: siamese`"]),
        (
            {"type_vocab_size": 1},
            {"training": {"pair": "siamese"}, "sweep": {"pair": ["siamese", "joint"]}},
            ["task 'PAR'", "`pair: siamese`"],
        ),
    ],
)
def test_an_encoder_that_will_not_do_is_refused_before_data_are_read(tmp_path, sizes, keys, words):
    write_checkpoint(tmp_path / "encoder", **sizes)
    with pytest.raises(UserError) as error:  # there are no data, and nobody misses them
        prepare_study(make_study(tmp_path, **keys), Layout("tiny", tmp_path / "results"))
    for word in words:
        assert word in str(error.value)


def test_one_segment_will_do_for_siamese_pairs(tmp_path):
    assert prepared(tmp_path, {"type_vocab_size": 1}, training={"pair": "siamese"})


def test_a_token_without_embedding_is_refused_by_its_name(tmp_path):
    used = max(i for i, word in enumerate(VOCABULARY) if word.startswith("w"))
    with pytest.raises(UserError) as error:
        prepared(tmp_path, {"vocab_size": used - 5})
    said = str(error.value)
    assert f"{used - 5} word embeddings" in said
    assert "resize_token_embeddings" in said
    assert "'w" in said
    assert "task '" in said


def test_weights_that_a_grouping_cannot_have_are_refused_before_data_are_read(tmp_path):
    write_checkpoint(tmp_path / "encoder")
    keys = study_keys(tmp_path, groupings=[["SEN", "PAR", "SIM"]], simplex_step="0.5")
    keys["combiners"] = ["unitary"]
    study = StudyConfig.model_validate(keys)
    with pytest.raises(UserError, match="simplex_step"):
        prepare_study(study, Layout("tiny", tmp_path / "results"))
