"""How well an encoder's cosines, untrained for it, follow the labels of the study's pair tasks."""

from __future__ import annotations

from weightwise.config import StudyConfig
from weightwise.data import tokens
from weightwise.data.tokens import SpecialTokens
from weightwise.layout import Layout
from weightwise.model.encoder import Encoder
from weightwise.stages.inputs import framed, ragged
from weightwise.stages.simcse import embed
from weightwise.train.scoring import pearson


def pair_tasks(study: StudyConfig) -> list[str]:
    """Regression tasks on sentence pairs, whose labels cosines can be compared with."""
    return [n for n, t in study.tasks.items() if t.kind == "regression" and len(t.text) == 2]


def zero_shot(
    encoder: Encoder,
    special: SpecialTokens,
    study: StudyConfig,
    layout: Layout,
    representations: tuple[str, ...],
) -> dict[str, dict[str, float]]:
    """Pearson's r, by task and representation, of the cosine of two sentences' representations with
    the label, over the dev split (simcse paper, section 5.2; nothing is trained for it).

    Args:
        encoder: any.
        special: ids of [CLS] and [SEP].
        study, layout: the tasks, and where their token ids lie.
        representations: of `cls`, `pooler`, `mean`.

    Returns:
        {task: {representation: r}}; r is NaN where it is undefined.
    """
    found: dict[str, dict[str, float]] = {}
    for task in pair_tasks(study):
        dev = tokens.load_splits(layout.tokens(task))["dev"]
        sides = [
            [framed(ids, special, study.encoder.max_length) for ids in ragged(values, offsets)]
            for values, offsets in ((dev.a, dev.a_offsets), (dev.b, dev.b_offsets))
        ]
        found[task] = {}
        for how in representations:
            a, b = (embed(encoder, side, how).double() for side in sides)
            cosines = (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1))
            found[task][how] = pearson(cosines.cpu().numpy(), dev.labels)
    return found
