"""What must be known of a published study to read its tables beside ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class TimeRatio:
    """A printed ratio of step times: `of` over `to`, both combiners of ours.

    `quantity` names its row in the published table; where `over` names a second row, the ratio is
    not printed itself but follows from the two: quantity / over.
    """

    of: str
    to: str
    quantity: str
    over: str | None = None


@dataclass(frozen=True)
class Paper:
    """A published study.

    `citation`: who, title, which tables. `setting`: how it trained, after "the paper". `shape`:
    what may be compared although encoders and data differ. `arms`: the published table of arms, by
    name; None where the report has its own layout for the paper. `overall`: how the paper computes
    the overall score, a column of `tables.Overall`. `baseline`: the printed arm that its others are
    compared with, None where it prints none; `our_baseline`: our combiner in the same part.
    `named_arms`: its arms are whole configurations, which a study names (`report.counterparts`),
    not combiners of one. `left_out`: for leave-one-task-out the printed arm by left-out task, with
    `left_out_full` and `left_out_probe`, the printed arms that its cells are compared with.
    """

    citation: str
    setting: str
    shape: str
    arms: str | None = None
    overall: Literal["mean_mapped", "mean_raw"] = "mean_mapped"
    baseline: str | None = None
    our_baseline: str = "addition"
    cautions: tuple[str, ...] = ()
    time_ratios: tuple[TimeRatio, ...] = ()
    time_setting: str = ""
    named_arms: bool = False
    left_out: tuple[tuple[str, str], ...] = ()
    left_out_full: str | None = None
    left_out_probe: str | None = None


PAIRING = Paper(
    citation="Jatusripitak and Wirawarn, “Good Things Come to Those Who Weight: Effective Pairing "
    "Strategies for Multi-Task Fine-Tuning”, appendix B, figures 3 to 5 and section 5.4.4.",
    setting="fine-tuned minBERT from BERT-base weights on Stanford's CS224N files (SST, Quora, "
    "STS), batch 8, 10 epochs, learning rate 1e-5, one seed",
    shape="which pairing helps, and at which weight",
)

GRADATTENTION = Paper(
    citation="Yildiz, “GradAttention: Attention-Based Gradient Surgery for Multitask "
    "Fine-Tuning”, table 1 and section 4.6.",
    setting="trained all weights of minBERT (12 layers, 768 wide) on Stanford's CS224N files (SST, "
    "Quora, STS), all three tasks together, 100 epochs, batch 24 (PCGrad 16), learning rates "
    "1e-5 and 1e-4, heads of one and two layers, one seed",
    shape="which combiner is ahead, and what it costs",
    arms="gradattention",
    cautions=(
        "The paper prints the scores of one model, that of the lowest total training loss, on the "
        "leaderboard's test set. It names neither its combiner nor any score of the others, and "
        "its column of changes (+0.523, +0.779, +1.338) is the distance from an empty entry (0, 0 "
        "and −1). So there is no published difference between combiners to compare ours with.",
        "Its table calls the score of STS an accuracy and that of paraphrases a correlation; its "
        "overall score comes out only with them the other way round, as they stand here.",
        "A head of one linear layer on the two concatenated means of a pair gives one term for "
        "each text and adds them: it cannot tell whether the two are alike. That, and not only the "
        "sigmoid that the paper suspects, may keep similarity low, in its table and in our "
        "variants with such heads.",
    ),
    time_ratios=(
        TimeRatio(
            of="pcgrad",
            to="addition",
            quantity="step time GradAttention / addition (AdamW)",
            over="step time GradAttention / PCGrad",
        ),
        TimeRatio(
            of="gradattention", to="addition", quantity="step time GradAttention / addition (AdamW)"
        ),
        TimeRatio(of="gradattention", to="pcgrad", quantity="step time GradAttention / PCGrad"),
    ),
    time_setting="The paper measured on one machine, over fewer epochs and with equal batches.",
)

BERTRAM = Paper(
    citation="Hong and Wu, “Exploring Improvements on BERT”, table 1.",
    setting="fine-tuned BERT-base on Stanford's CS224N files (SST, 8,000 pairs of Quora, STS), "
    "batch 8, 10 epochs, learning rate 1e-5, dropout 0.3, one seed",
    shape="which extension helps which task",
    arms="bertram",
    baseline="constant or random prediction",
    named_arms=True,
    cautions=(
        "The paper's own differences are to its first row, which reads no text: all its trained "
        "models are far above that for sentiment and similarity. Whether an extension helps is "
        "told by the differences to training on all three tasks, in the table of named arms.",
        "For sentiment that row always says “neutral”; ours says the most frequent class of the "
        "training labels. So our differences for sentiment begin elsewhere.",
        "Row 12 prints +0.169 for paraphrases where 0.522 − 0.375 is 0.147, which stands here.",
        "Quora's dev file has 37.5 % paraphrases, so whoever always answers no is right in 62.5 %. "
        "The paper's paraphrase accuracies, 0.375 to 0.541, all lie below that.",
        "One seed: rows of the paper that differ by less than the noise floor are not told apart.",
    ),
)

MLM = Paper(
    citation="Aranguiz-Dias and Cheung, “Fine-Tuning BERT with Multi-Task Learning, Gradient "
    "Surgery, and Masked Language Modeling for Downstream NLP Tasks”, section 4.4.",
    setting="fine-tuned BERT-base on Stanford's CS224N files (SST, Quora, STS), batch 8, 10 "
    "epochs, learning rate 1e-5 (probing 1e-3), dropout 0.3, one seed",
    shape="which extension helps which task",
    arms="mlm",
    overall="mean_raw",
    baseline="multitask fine-tune (round-robin)",
    named_arms=True,
    cautions=(
        "On which split the tables are measured is not sure but for the first, the leaderboard's "
        "test set: the text says test set (section 4.2) and speaks of dev (4.4), too. They stand "
        "beside our dev scores.",
        "The paper's text and table disagree: gradient surgery is said to raise sentiment by 0.179 "
        "where the table gives 0.170, and paraphrases to fall by 0.077 in the last row where the "
        "table has them rise by as much. The differences here are those of the printed scores.",
        "A head of one linear layer on two concatenated vectors gives one term for each text and "
        "adds them: it cannot tell whether the two are alike.",
    ),
)

SIMCSE = Paper(
    citation="Toups, Tsegay and Alinur, “Evaluating fine-tuning methods for robust multi-task "
    "sentence embeddings”, tables 1 to 3.",
    setting="fine-tuned BERT-base on Stanford's CS224N files (SST, Quora, STS) in turn, batch 32, "
    "learning rate printed as 1e-3 for probing and for fine-tuning, SimCSE on MNLI, one seed",
    shape="whether the intermediate stage, a decoder or leaving out a task helps",
    arms="simcse",
    overall="mean_raw",
    baseline="round-robin, fine-tune",
    named_arms=True,
    cautions=(
        "The paper calls linear probing its baseline (section 5.2) and round-robin training, too "
        "(5.4.1). Here differences are to fine-tuning in turn.",
        "Table 2 of the paper prints −0.092 and −0.434 for sentiment and similarity on its "
        "diagonal. From its table 1 the differences to probing are −0.108 and −0.368, which stand "
        "here.",
        "The paper's SimCSE stage was trained on MNLI, whose premises have both kinds of "
        "hypotheses. SICK, which stands in our study, is smaller, and few of its premises do.",
    ),
    left_out=(
        ("SEN", "leave out SEN, fine-tune"),
        ("PAR", "leave out PAR, fine-tune"),
        ("SIM", "leave out SIM, fine-tune"),
    ),
    left_out_full="round-robin, fine-tune",
    left_out_probe="round-robin, linear probe",
)

PAPERS: dict[str, Paper] = {
    "pairing": PAIRING,
    "gradattention": GRADATTENTION,
    "bertram": BERTRAM,
    "mlm": MLM,
    "simcse": SIMCSE,
}
"""The papers that `report.published` can name."""
