"""From a prepared study to the inputs of one of its stages."""

from __future__ import annotations

from weightwise.data import tokens
from weightwise.data.tokenizer import SpecialTokens, read_tokenizer
from weightwise.model.architecture import BertConfig
from weightwise.runs import StudyRuns
from weightwise.stages.definition import longest
from weightwise.stages.inputs import StageInputs
from weightwise.train.device import choose_bf16, choose_device


def stage_inputs(runs: StudyRuns, name: str) -> StageInputs:
    """Everything that the training of a stage needs.

    Raises:
        UserError: its texts are not prepared, or the stage before it is not finished.
    """
    study, stage = runs.study, runs.study.stages[name]
    path = runs.layout.stage_tokens(name)
    splits = tokens.load_splits(path)
    folder, layers = runs.encoder_after(stage.after)
    device = choose_device(study.training.device)
    embeddings = BertConfig.read(folder / "config.json").vocab_size
    return StageInputs(
        name=name,
        stage=stage,
        study_seed=study.study_seed,
        train=splits["train"],
        held_out=splits["dev"],
        special=SpecialTokens(*tokens.facts(path)["special"]),
        mask=read_tokenizer(folder, embeddings=embeddings).mask,
        max_length=longest(study, stage),
        folder=folder,
        layers=layers,
        device=device,
        bf16=choose_bf16(stage.precision, device),
    )
