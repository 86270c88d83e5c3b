"""Keys of training. Every one of them but `smart` can also be swept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, model_validator

from weightwise.config.base import Aside, Count, Name, Strict
from weightwise.config.tasks import (
    Decoder,
    Head,
    Output,
    Pairing,
    Representation,
    SimilarityLoss,
)

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, lt=1)]


# Schedules by what makes a step.
ALL_TASKS_A_STEP = ("min_size", "max_size")
ONE_TASK_A_STEP = ("round_robin", "sequential", "rotating", "weakest_last")
SHARED_LENGTH = ("min_size", "max_size", "round_robin")
"""Schedules in which every task has as many examples in an epoch as the smallest or largest has."""
Schedule = Literal["min_size", "max_size", "round_robin", "sequential", "rotating", "weakest_last"]


class SmartConfig(Strict):
    """SMART regularisation (Jiang et al. 2020); defaults are theirs, which bertram kept."""

    tasks: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """Tasks whose loss has SMART's terms; null: all of them."""
    epsilon: Positive = 1e-5
    """Largest perturbation of every element of a word embedding. At 1e-5 the smoothness term hardly
    weighs: on the default study its gradient was a millionth of the loss's, at 1e-2 a tenth
    (benchmarks/smart.py). Let `sigma` and `step_size` grow with it."""
    sigma: Positive = 1e-5
    """Standard deviation of the normal draw from which the perturbation is sought."""
    step_size: Positive = 1e-3
    """Length of the one step upwards, in the maximum norm, before it is cut to `epsilon`."""
    weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    """Weight of the smoothness term, lambda_s; 0: leave it out."""
    proximal: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    """Weight of the Bregman proximal term, mu; 0: leave it out."""
    decay: Share = 0.99
    """Decay of the average of the weights that the proximal term keeps a run close to."""

    @model_validator(mode="after")
    def _does_something(self) -> SmartConfig:
        if self.weight == 0 and self.proximal == 0:
            raise ValueError("smart: weight and proximal are both 0; write `smart: null` instead")
        if self.tasks is not None and len(set(self.tasks)) != len(self.tasks):
            raise ValueError(f"smart.tasks: a task stands twice in {list(self.tasks)}")
        return self


class OptimiserConfig(Strict):
    """AdamW's keys, of a run or of a stage."""

    warmup: Share = 0.0
    """Share of the steps over which the rate rises from zero."""
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.01
    """Decoupled weight decay; biases and layer norms are spared."""
    beta1: Share = 0.9
    """AdamW's decay of the first moment."""
    beta2: Share = 0.999
    """AdamW's decay of the second moment."""
    epsilon: Positive = 1e-6
    """AdamW's epsilon."""


class TrainingConfig(OptimiserConfig):
    """How a run trains. Defaults are the pairing paper's (section 5.3)."""

    start: Annotated[Name | None, Aside("the stage itself counts")] = None
    """The stage (see `stages`) whose encoder the run starts from; null: the encoder as it comes."""
    epochs: Count = 10
    """Passes; dev is scored after each."""
    schedule: Schedule = "min_size"
    """All tasks in every step: `min_size`: an epoch ends when the smallest data set of the study is
    exhausted; `max_size`: when the largest is; smaller ones cycle. One task a step: `round_robin`:
    the tasks take turns until the smallest data set of the study is exhausted; `sequential`: all
    batches of one task, then the next; `rotating`: the same, beginning with another task in every
    epoch; `weakest_last`: the same, ending with the task of the lowest score on its training
    data. Except in the first three, every task's epoch is its own data set."""
    epoch_surgery: bool = False
    """With one task a step: end every epoch with a PCGrad step on the last batch of every task."""
    examples_per_epoch: Count | None = None
    """Cut an epoch to so many examples of each task; null: as the schedule says."""
    train_rows: dict[Name, Count] | None = None
    """Train on so many of a task's training rows, such as `{PAR: 8000}`, drawn once for all seeds;
    where there are fewer, on all. Tasks that are not named, and null: all rows."""
    trunk_tasks: Annotated[tuple[Name, ...] | None, Aside("what it means for a run counts")] = None
    """Tasks that train the encoder; null: all of them. The others train their heads on
    what it makes of their texts, at `probe_learning_rate`, and leave it alone (simcse's
    leave-one-out)."""
    batch_size: Count = 8
    """Examples of each task in a step."""
    accumulate: Count = 1
    """Micro-batches in which each task's batch of a step is processed: less memory, and but for
    the draws of dropout the same gradient."""
    learning_rate: Positive = 1e-5
    """AdamW learning rate of the encoder."""
    head_learning_rate: Positive | None = None
    """Learning rate of the heads; null: the encoder's."""
    freeze_trunk: bool = False
    """Linear probing (mlm, simcse): the encoder stays as it is and only the heads are trained, at
    `probe_learning_rate`."""
    probe_epochs: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Probe, then fine-tune: in so many first epochs (of `epochs`) only the heads are trained, then
    everything. Each of the two parts has the rate's schedule for itself."""
    probe_learning_rate: Positive = 1e-3
    """Learning rate of the heads while the encoder is frozen, and of those of tasks that
    `trunk_tasks` leaves out."""
    learning_rate_schedule: Literal["constant", "linear"] = "constant"
    """`linear`: falls to zero over the run, after the warm-up."""
    clip_norm: Positive | None = None
    """Largest norm of the combined encoder gradient; null: no clipping."""
    dropout: Share = 0.5
    """Dropout in the heads."""
    encoder_dropout: Share | None = None
    """Dropout in the encoder; null: the checkpoint's own."""
    head: Head = "hidden"
    """`hidden`: dropout, linear, ReLU, dropout, linear (pairing). `linear`: dropout, linear.
    `tanh2`: dropout, linear, tanh, linear (gradattention). `chance`: reads no text and learns
    nothing (bertram's first row): the most frequent class of the training labels, or a number drawn
    from the label range; it needs `freeze_trunk: true`."""
    representation: Representation = "cls"
    """`cls`: first token. `mean`: mean over real tokens. `pooler`: BERT's pooler."""
    pair: Pairing = "joint"
    """`joint`: one sequence [CLS] a [SEP] b [SEP]. `siamese`: two sequences."""
    decoder: Decoder = "concatenate"
    """Siamese pairs: the two vectors concatenated, their element-wise product (simcse), or their
    cosine after the head's layers but the last (bertram). For regression by an `mse` or a
    `cosine_embedding` loss the cosine is the prediction, 0 to 1 read as the label range."""
    output: Output = "relu"
    """Regression: `relu` (from the smallest label up), `sigmoid` (scaled to the label range; over
    [0, 5] gradattention's 5 * sigmoid) or `identity`. Unused where decoder or loss read a cosine or
    class probabilities."""
    similarity_loss: SimilarityLoss = "mse"
    """Loss of regression tasks. `mse`: squared error in the label's unit, so that its weight beside
    other tasks grows with it: labels from 0 to 100 drown a class task. `mse_normalised`: squared
    error of both as shares of `range`, 0 to 1, so that the unit decides nothing (scores and
    predictions stay in the label's unit). `weightwise check` warns where two tasks that are trained
    together start with gradients more than ten times apart. `cosine_embedding_graded` (mlm):
    squared distance of the cosine to the label's place in its range. `cosine_embedding_two_class`
    (bertram): labels from three fifths of the range up are similar, the others not, margin 0.
    `cross_entropy` (bertram): over the rounded labels, read back as the expectation. The
    `cosine_embedding` losses need `pair: siamese` and `decoder: cosine`."""
    smart: SmartConfig | None = None
    """SMART regularisation (bertram; Jiang et al. 2020), such as `smart: {tasks: [SEN]}`, or
    `smart: {}` for all tasks: a smoothness term and a proximal term become part of the loss. null:
    none."""
    precision: Literal["auto", "fp32", "bf16"] = "fp32"
    """Arithmetic of the encoder's products; weights stay fp32. `auto`: bf16 where the hardware
    multiplies it natively, else fp32."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto`: a GPU where there is one."""
    record_every: Annotated[
        int, Field(ge=0, le=2**31 - 1), Aside("a recorded step is the same step")
    ] = 50
    """Record the inner products of the task gradients, by layer block, in every so many steps,
    from the first on; 0: never. Changes no result, so a finished run keeps what it has recorded."""

    def meant_for(self, group: Iterable[str]) -> TrainingConfig:
        """The same for a run of these tasks: without SMART where none of them has it, and with the
        names of those that have; without the `train_rows` that mean nothing to it. Two runs that it
        makes equal are one."""
        group, smart, rows = tuple(group), self.smart, self.train_rows
        if smart is not None:
            chosen = tuple(t for t in group if smart.tasks is None or t in smart.tasks)
            smart = smart.model_copy(update={"tasks": chosen}) if chosen else None
        # In a schedule of shared length the sizes of all tasks decide the epoch's.
        if rows is not None and self.schedule not in SHARED_LENGTH:
            rows = {task: rows[task] for task in group if task in rows} or None
        return self.model_copy(update={"smart": smart, "train_rows": rows})

    @model_validator(mode="after")
    def _surgery_is_for_one_task_a_step(self) -> TrainingConfig:
        if self.epoch_surgery and self.schedule not in ONE_TASK_A_STEP:
            raise ValueError(
                f"epoch_surgery needs a schedule of one task a step: {', '.join(ONE_TASK_A_STEP)}; "
                f"'{self.schedule}' has all tasks in every step, so use the combiner pcgrad"
            )
        return self

    @model_validator(mode="after")
    def _some_task_trains_the_trunk(self) -> TrainingConfig:
        kept = self.trunk_tasks
        if kept is not None and not kept:
            raise ValueError(
                "`trunk_tasks` names no task; to train no encoder, `freeze_trunk: true`"
            )
        if kept is not None and len(set(kept)) != len(kept):
            raise ValueError(f"trunk_tasks: a task stands twice in {list(kept)}")
        return self

    @model_validator(mode="after")
    def _decoders_are_for_two_vectors(self) -> TrainingConfig:
        if self.pair == "joint" and self.decoder != "concatenate":
            raise ValueError(f"decoder '{self.decoder}' needs `pair: siamese`")
        return self

    @model_validator(mode="after")
    def _something_follows_the_probing(self) -> TrainingConfig:
        for key in ("smart", "trunk_tasks"):
            if self.freeze_trunk and getattr(self, key) is not None:
                raise ValueError(
                    f"`freeze_trunk` trains the heads alone, so `{key}` makes no sense beside it"
                )
        if self.freeze_trunk and self.probe_epochs:
            raise ValueError(
                "`freeze_trunk` probes in every epoch, so `probe_epochs` makes no sense beside it"
            )
        if self.probe_epochs >= self.epochs:
            raise ValueError(
                f"`probe_epochs` ({self.probe_epochs}) must leave some of the {self.epochs} "
                "`epochs` for fine-tuning; to probe alone, set `freeze_trunk: true`"
            )
        return self
