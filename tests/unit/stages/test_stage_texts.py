"""From a stage's source to its texts: what is refused, what is left out, what is held out."""

from __future__ import annotations

import itertools
import json

import pytest
from stage_helpers import stages

from weightwise.data.stage import prepare_study
from weightwise.data.texts import same_text_key
from weightwise.data.tokens import load_splits
from weightwise.errors import UserError
from weightwise.stages.pairs import premises_of
from weightwise.tables import Examples, read_table


def prepare(fresh, **changes) -> tuple[dict, object]:
    study, layout = fresh(stages=stages(**changes))
    return prepare_study(study, layout)["stages"], layout


def test_facts_of_both_kinds(fresh):
    facts, layout = prepare(fresh)
    assert facts["TEXTS"]["texts"] == {"train": 54, "held_out": 6}
    assert facts["TEXTS"]["hard_negatives"] is None
    pairs = facts["PAIRS"]
    assert pairs["texts"] == {"train": 54, "held_out": 6}
    assert sum(pairs["hard_negatives"].values()) == 20
    assert pairs["dropped"] == {
        "neither entailed nor contradicted": 60,
        "contradicted, of a premise that entails nothing": 1,
    }
    assert json.loads(layout.checks.read_text())["stages"] == facts


def test_nothing_held_out_is_trained_on(fresh):
    # Every text twice: held out by text, not by row.
    for name in ("texts", "pairs"):
        path = fresh.folder / "data" / f"{name}.csv"
        header, *rows = path.read_text().splitlines()
        path.write_text(
            "\n".join([header, *rows, *(row.replace(" ", "  ") for row in rows)]) + "\n"
        )
    _, layout = prepare(fresh)
    for stage in ("TEXTS", "PAIRS"):
        rows = read_table(layout.stage_texts(stage), Examples)
        sides = [
            {same_text_key(text) for text in rows.loc[rows["split"] == split, "text_a"]}
            for split in ("train", "dev")
        ]
        assert not sides[0] & sides[1]
        assert len(sides[1]) == 6


def test_a_limit_is_of_texts_and_of_premises(fresh):
    facts, layout = prepare(fresh, TEXTS={"limit": 20}, PAIRS={"limit": 10, "held_out": 0.2})
    assert facts["TEXTS"]["texts"] == {"train": 18, "held_out": 2}
    assert facts["TEXTS"]["dropped"] == {"beyond `limit`": 40}
    assert facts["PAIRS"]["texts"] == {"train": 8, "held_out": 2}
    splits = load_splits(layout.stage_tokens("PAIRS"))
    assert [len(premises_of(splits[s])) for s in ("train", "dev")] == [8, 2]


def test_several_columns_are_texts_of_their_own(fresh):
    _, layout = prepare(fresh, TEXTS={"text": ["text", "other"]})
    rows = read_table(layout.stage_texts("TEXTS"), Examples)
    assert len(rows) == 120
    assert rows["text_b"].isna().all()


def test_texts_that_the_tasks_score_are_counted(fresh):
    path = fresh.folder / "data" / "texts.csv"
    dev = (fresh.folder / "data" / "SIM-dev.csv").read_text().splitlines()[1]
    path.write_text(path.read_text() + dev.split(",")[0] + ",w1\n")
    study, layout = fresh()
    checks = prepare_study(study, layout)
    (shared,) = [
        s for s in checks["stages"]["TEXTS"]["shared"] if (s["task"], s["split"]) == ("SIM", "dev")
    ]
    assert shared["rows"] >= 1
    assert any(
        "stage TEXTS" in warning and "dev rows of SIM" in warning for warning in checks["warnings"]
    )


def test_held_out_pairs_with_a_sentence_of_training_are_counted(fresh):
    """No premise stands on both sides, but a hypothesis may be a premise elsewhere."""
    lines = (fresh.folder / "data" / "pairs.csv").read_text().splitlines()
    premises = list(dict.fromkeys(line.split(",")[0] for line in lines[1:]))
    for one, other in itertools.pairwise(premises):
        lines.append(f"{one},{other},entailment")
    (fresh.folder / "data" / "pairs.csv").write_text("\n".join(lines) + "\n")
    study, layout = fresh()
    checks = prepare_study(study, layout)
    (own,) = [s for s in checks["stages"]["PAIRS"]["shared"] if s["split"] == "held out"]
    rows = read_table(layout.stage_texts("PAIRS"), Examples)
    train, dev = (rows[rows["split"] == split] for split in ("train", "dev"))
    known = {*train["text_a"], *train["text_b"]}
    want = sum(a in known or b in known for a, b in zip(dev["text_a"], dev["text_b"], strict=True))
    assert want > 0
    assert (own["task"], own["rows"], own["share"]) == ("PAIRS", want, want / len(dev))
    assert any("PAIRS: of the held-out rows" in warning for warning in checks["warnings"])
    assert not [s for s in checks["stages"]["TEXTS"]["shared"] if s["split"] == "held out"]


def spoil(folder, name: str, old: str, new: str) -> None:
    path = folder / "data" / f"{name}.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_an_empty_source_is_refused_by_the_stages_name(fresh):
    (fresh.folder / "data" / "texts.csv").write_text("text,other\n")
    with pytest.raises(UserError, match=r"stage 'TEXTS': no text is left of .*texts\.csv"):
        prepare(fresh)
    (fresh.folder / "data" / "texts.csv").write_text("text,other\n ,w1\n,w2\n")
    with pytest.raises(UserError, match=r"line 2, column 'text': 2 rows of stage 'TEXTS'"):
        prepare(fresh)
    with pytest.raises(UserError, match=r"stage 'TEXTS': no text is left of .*2 empty text"):
        prepare(fresh, TEXTS={"empty_text": "drop"})


@pytest.mark.parametrize("relation", ["entailment", "contradiction"])
def test_a_source_without_one_of_the_relations_is_refused(fresh, relation):
    spoil(fresh.folder, "pairs", relation, "unclear")
    with pytest.raises(UserError) as caught:
        prepare(fresh)
    for word in ("stage 'PAIRS'", f"'{relation}'", "'relation'", "'neutral', 'unclear'"):
        assert word in str(caught.value)


def test_too_few_texts_and_wrong_counts_are_refused(fresh):
    with pytest.raises(UserError, match="stage 'PAIRS': 10 texts"):
        prepare(fresh, PAIRS={"limit": 10, "held_out": 0.1})
    with pytest.raises(UserError, match="`known_rows` of stage 'TEXTS' says 7"):
        prepare(fresh, TEXTS={"known_rows": 7})
    with pytest.raises(UserError, match="no column 'words'; known: other, text"):
        prepare(fresh, TEXTS={"text": ["words"]})


def test_an_encoder_that_cannot_be_trained_so_is_refused(fresh):
    with pytest.raises(UserError, match=r"stages\.TEXTS\.max_length: 100 .* 40 positions"):
        prepare(fresh, TEXTS={"max_length": 100})
    path = fresh.folder / "encoder" / "tokenizer.json"
    path.write_text(path.read_text().replace("[MASK]", "[BLANK]"))
    with pytest.raises(UserError, match=r"stage 'TEXTS': the encoder's tokenizer has no \[MASK\]"):
        prepare(fresh)


def test_a_pooler_that_is_not_there_is_refused(fresh):
    from core_helpers import rewrite_tensors

    rewrite_tensors(
        fresh.folder / "encoder", lambda t: {k: v for k, v in t.items() if "pooler" not in k}
    )
    with pytest.raises(UserError, match=r"stages\.PAIRS\.representation: .* no pooler"):
        prepare(fresh, PAIRS={"representation": "pooler"})
