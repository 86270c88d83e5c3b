"""The table of runs: how many, what they are called, which are one method, what identifies them."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from core_helpers import make_study
from pydantic import ValidationError

from weightwise.errors import UserError
from weightwise.grid import Arm, Grid

NINE = [f"0.{i}" for i in range(1, 10)]
SMALL = {"epsilon": 1e-8}


@pytest.fixture
def grid(tmp_path):
    """`grid(**keys)` -> the Grid of the tiny study."""
    return lambda **keys: Grid(make_study(tmp_path, **keys))


def test_pairing_grid_has_the_papers_cells(grid):
    found = grid(alphas=NINE, seeds=[1, 2])
    assert len(found.cells) == len(found.runs) == 2 * (3 + 3 * (1 + 9 + 1))
    assert len(grid(alphas=NINE, seeds=[1, 2], training=SMALL).runs) == 2 * 33
    assert len({c.id for c in found.cells}) == len(found.cells)


def test_equal_weights_are_run_as_addition(grid):
    found = grid(alphas=NINE, training=SMALL)
    shared = [c for c in found.cells if found.runs_as(c) != c]
    assert {c.arm.label for c in shared} == {"unitary-0.5"}
    assert {found.runs_as(c).arm.label for c in shared} == {"addition"}
    assert all(found.runs_as(c) in found.runs for c in found.cells)
    assert found.run("SEN+PAR/unitary-0.5/default/seed-1").arm == Arm("addition")


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"training": {"epsilon": 2e-8}},
        {"training": SMALL | {"clip_norm": 1.0}},
        {"training": SMALL | {"precision": "bf16"}},
        {"training": SMALL | {"precision": "auto"}},
        {"training": SMALL | {"accumulate": 2}},
        {"training": SMALL, "combiners": ["unitary", "pcgrad"]},
    ],
)
def test_equal_weights_are_run_where_they_are_a_method_of_their_own(grid, keys):
    found = grid(alphas=NINE, **keys)
    assert found.runs == found.cells


def test_alias_follows_the_variants_own_clipping(grid):
    found = grid(alphas=["0.5"], training=SMALL, sweep={"clip_norm": [None, 1.0]})
    shared = {c.variant for c in found.cells if found.runs_as(c) != c}
    assert shared == {"clip_norm=None"}


def test_explicit_groupings_bring_their_baselines(grid):
    found = grid(groupings=[["SIM", "SEN"]])
    assert found.groups == (("SEN",), ("SIM",), ("SEN", "SIM"))


def test_order_within_a_grouping_does_not_matter(grid):
    one, other = grid(groupings=[["SIM", "PAR", "SEN"]]), grid(groupings=[["SEN", "PAR", "SIM"]])
    assert one.cells == other.cells
    assert [one.fingerprint(r) for r in one.runs] == [other.fingerprint(r) for r in other.runs]


def test_grouping_listed_twice_counts_once(grid):
    assert len(grid(groupings=[["SIM", "SEN"], ["SEN", "SIM"]]).groups) == 3


@pytest.mark.parametrize("step", ["0.25", "0.1", "0.2"])
def test_simplex_weights_sum_to_one_exactly(grid, step):
    found = grid(groupings={"up_to": 3}, simplex_step=step, alphas=NINE)
    units = int(1 / Decimal(step))
    triples = [c for c in found.cells if len(c.group) == 3 and c.arm.combiner == "unitary"]
    assert len(triples) == (units - 1) * (units - 2) // 2
    for cell in found.cells:
        weights = cell.arm.weights(len(cell.group))
        if len(cell.group) > 1 and weights is not None:
            assert len(weights) == len(cell.group)
            assert sum(Decimal(w) for w in weights) == 1
            assert all(Decimal(w) > 0 for w in weights)


def test_alpha_of_a_pair_is_the_first_tasks_weight():
    assert Arm("unitary", "0.4").weights(2) == ("0.4", "0.6")
    assert Arm("unitary", "0.1").weights(2) == ("0.1", "0.9")
    assert Arm("unitary", "1").weights(2) == ("1", "0")
    with pytest.raises(UserError):
        Arm("unitary", "0.1,0.9").weights(3)


def test_ids_can_be_paths(grid):
    found = grid(
        groupings={"up_to": 3},
        alphas=NINE,
        sweep={"learning_rate": [1e-5, 0.001], "clip_norm": [None, 2.5], "head": ["linear"]},
    )
    ids = [c.id for c in found.cells]
    assert len(set(ids)) == len({i.lower() for i in ids}) == len(ids)
    for part in "/".join(ids).split("/"):
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9+.,=_-]*", part)
        assert not part.endswith(".")


def test_sweep_runs_every_combination(grid):
    found = grid(sweep={"learning_rate": [1e-4, 1e-3], "head": ["linear", "hidden"]})
    assert list(found.variants) == [
        "learning_rate=0.0001,head=linear",
        "learning_rate=0.0001,head=hidden",
        "learning_rate=0.001,head=linear",
        "learning_rate=0.001,head=hidden",
    ]
    assert found.training("learning_rate=0.001,head=linear").head == "linear"
    assert found.training("learning_rate=0.001,head=linear").epochs == 3
    assert len(found.cells) == 4 * len(grid().cells)
    assert len({found.fingerprint(r) for r in found.runs}) == len(found.runs)


def test_sweep_value_that_does_not_fit_is_refused(grid):
    with pytest.raises(ValidationError, match="sweep: epochs=0: epochs: "):
        grid(sweep={"epochs": [1, 0]})


def test_seeds_come_one_after_another(grid):
    seeds = [c.seed for c in grid(seeds=[3, 1]).cells]
    assert seeds == sorted(seeds, reverse=True)


def test_packs_hold_every_run_once(grid):
    found = grid(seeds=[1, 2], runs_per_job=4)
    assert sum(found.packs, ()) == found.runs
    assert all(len(p) <= 4 and len({r.seed for r in p}) == 1 for p in found.packs)


def test_unknown_run(grid):
    with pytest.raises(UserError, match="has no run 'SEN/none'"):
        grid().run("SEN/none")


PAIR = "SEN+PAR/unitary-0.3/default/seed-1"


def fingerprint(grid, run=PAIR, **keys) -> str:
    made = grid(**keys)
    return made.fingerprint(made.run(run))


@pytest.mark.parametrize(
    "keys",
    [
        {"training": {"epochs": 4}},
        {"training": {"epsilon": 1e-7}},
        {"training": {"precision": "bf16"}},
        {"training": {"device": "auto"}},
        {"threads": 2},
        {"study_seed": 1},
        {"encoder": {"source": {"type": "directory", "path": "x"}, "max_length": 16}},
        {"encoder": {"source": {"type": "directory", "path": "x"}, "max_length": 24, "layers": 1}},
    ],
)
def test_fingerprint_changes_with_what_decides(grid, keys):
    assert fingerprint(grid, **keys) != fingerprint(grid)


def test_fingerprint_tells_seeds_arms_and_tasks_apart(grid):
    found = grid(seeds=[1, 2], alphas=NINE)
    assert len({found.fingerprint(r) for r in found.runs}) == len(found.runs)


@pytest.mark.parametrize(
    "keys",
    [
        {"name": "other"},
        {"report": {"title": "other"}},
        {"seeds": [5, 1]},
        {"alphas": NINE},
        {"groupings": [["PAR", "SEN"]]},
        {"runs_per_job": 5},
        {"data_dir": "/elsewhere"},
    ],
)
def test_fingerprint_leaves_out_what_does_not_decide(grid, keys):
    assert fingerprint(grid, **keys) == fingerprint(grid)


def with_task_keys(tmp_path, **changes):
    study = make_study(tmp_path)
    tasks = dict(study.tasks)
    tasks["SEN"] = tasks["SEN"].model_copy(update=changes)
    return Grid(study.model_copy(update={"tasks": tasks}))


def test_fingerprint_and_a_tasks_keys(grid, tmp_path):
    changed = with_task_keys(tmp_path, title="T", licence="L", id="i", classes=("x", "y", "z"))
    assert changed.fingerprint(changed.run(PAIR)) == fingerprint(grid)
    changed = with_task_keys(tmp_path, head="linear")
    assert changed.fingerprint(changed.run(PAIR)) != fingerprint(grid)
    other = "PAR+SIM/unitary-0.3/default/seed-1"
    assert changed.fingerprint(changed.run(other)) == fingerprint(grid, other)


def test_a_tasks_own_loss_is_the_loss_whatever_the_study_says(grid, tmp_path):
    run, keys = "SIM/baseline/default/seed-1", {"training": {"similarity_loss": "cross_entropy"}}
    study = make_study(tmp_path, **keys)
    own = {"SIM": study.tasks["SIM"].model_copy(update={"loss": "mse"})}
    pinned = Grid(study.model_copy(update={"tasks": dict(study.tasks) | own}))
    assert fingerprint(grid, run) != fingerprint(grid, run, **keys)
    assert fingerprint(grid, run) == pinned.fingerprint(pinned.run(run))


def reordered(tmp_path) -> Grid:
    study = make_study(tmp_path)
    tasks = {name: study.tasks[name] for name in ("PAR", "SEN", "SIM")}
    return Grid(study.model_copy(update={"tasks": tasks}))


def test_weights_belong_to_their_tasks(grid, tmp_path):
    """Two studies that list the tasks in another order share the store: 0.3 is SEN's weight in
    the one and PAR's in the other."""
    other = reordered(tmp_path)
    swapped = other.run("PAR+SEN/unitary-0.3/default/seed-1")
    assert other.fingerprint(swapped) != fingerprint(grid)


ARMS = {
    "baseline": {"schedule": "round_robin", "combiners": ["addition"]},
    "surgery": {"combiners": ["pcgrad"]},
    "longer": {
        "schedule": "sequential",
        "combiners": ["addition"],
        "groupings": [["SEN", "SIM"]],
        "epochs": 5,
        "epoch_surgery": True,
    },
}


def test_named_arms_override_training_combiners_and_groupings(grid):
    found = grid(arms=ARMS, groupings={"up_to": 3}, combiners=["addition", "pcgrad"])
    assert list(found.variants) == list(ARMS)
    assert found.training("longer").epochs == 5
    assert found.training("surgery").schedule == "min_size"
    arms = {
        variant: {c.arm.label for c in found.cells if c.variant == variant and len(c.group) > 1}
        for variant in ARMS
    }
    assert arms == {"baseline": {"addition"}, "surgery": {"pcgrad"}, "longer": {"addition"}}
    groups = {c.group for c in found.cells if c.variant == "longer"}
    assert groups == {("SEN",), ("SIM",), ("SEN", "SIM")}
    assert ("SEN", "PAR", "SIM") in {c.group for c in found.cells if c.variant == "surgery"}
    assert "SEN+SIM/addition/longer/seed-1" in {c.id for c in found.runs}


def test_arms_cross_with_sweeps(grid):
    found = grid(arms=ARMS, sweep={"dropout": [0.1, 0.3]})
    assert set(found.variants) == {f"{a},dropout={d}" for a in ARMS for d in (0.1, 0.3)}
    assert found.training("longer,dropout=0.3").dropout == 0.3


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"arms": {"a": {"epoch": 3}}}, "arms.a: unknown key 'epoch'; did you mean 'epochs'?"),
        ({"arms": {"a": {"epochs": 0}}}, "arms.a: epochs: is 0, but must be at least 1"),
        ({"arms": {"a": {"combiners": ["pcgard"]}}}, "arms.a: .*did you mean 'pcgrad'?"),
        ({"arms": {"a": {"groupings": [["SEN", "SIN"]]}}}, "arms.a: groupings: unknown task 'SIN'"),
        (
            {"arms": {"a": {"groupings": [["SEN", "SEN"]]}}},
            "arms.a: groupings: a task stands twice",
        ),
        ({"arms": {"a": {"combiners": ["pcgrad", "pcgrad"]}}}, "arms.a: given twice: pcgrad"),
        ({"arms": {"a": {"trunk_tasks": ["SIN"]}}}, "arms.a: trunk_tasks: unknown task 'SIN'"),
        ({"arms": {"a": {"pair": "joint", "decoder": "product"}}}, "arms.a: .*pair: siamese"),
        ({"arms": {"a": {}, "b": {}}}, "'b' and 'a' are one configuration"),
        ({"arms": {"a": {"start": "NOPE"}}}, "arms.a: .*unknown stage 'NOPE'"),
        ({"arms": {"default": {}}}, "an arm cannot be called 'default'"),
        (
            {"arms": {"a": {"epochs": 2}}, "sweep": {"epochs": [1, 2]}},
            "arms.a: 'epochs' is swept, too",
        ),
        (
            {"training": {"schedule": "round_robin"}, "combiners": ["addition", "pcgrad"]},
            "combiner 'pcgrad' needs all tasks in one step, and schedule 'round_robin'",
        ),
        ({"training": {"epoch_surgery": True}}, "epoch_surgery needs a schedule of one task"),
        (
            {"training": {"trunk_tasks": ["SEN"]}, "combiners": ["pcgrad_alpha"]},
            "combiner 'pcgrad_alpha' weighs all tasks .* `trunk_tasks`",
        ),
    ],
)
def test_arms_that_cannot_be_are_refused_by_name(grid, keys, reason):
    with pytest.raises(ValidationError, match=reason):
        grid(**keys)


def test_left_out_task_tells_runs_apart_only_where_it_plays_a_part(grid):
    found = grid(arms={"all": {}, "without": {"trunk_tasks": ["SEN", "PAR"]}})

    def marks(run: str) -> set[str]:
        names = ("all", "without")
        return {found.fingerprint(found.run(f"{run}/{name}/seed-1")) for name in names}

    assert len(marks("SEN/baseline")) == len(marks("SEN+PAR/pcgrad")) == 1
    assert len(marks("SIM/baseline")) == len(marks("SEN+SIM/pcgrad")) == 2


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"training": {"trunk_tasks": []}}, "`trunk_tasks` names no task"),
        ({"training": {"trunk_tasks": ["SEN", "SEN"]}}, "trunk_tasks: a task stands twice"),
        ({"training": {"freeze_trunk": True, "smart": {}}}, "`smart` makes no sense beside it"),
        (
            {"training": {"freeze_trunk": True, "trunk_tasks": ["SEN"]}},
            "`trunk_tasks` makes no sense beside it",
        ),
        (
            {"arms": {"a": {}, "b": {"combiners": [], "single_tasks": False}}},
            "arms.b: without `combiners` and `single_tasks` it has no run at all",
        ),
        (
            {"arms": {"a": {}, "b": {"combiners": ["pcgard"]}}},
            "arms.b: combiners.0: unknown combiner 'pcgard'",
        ),
        (
            {
                "single_tasks": False,
                "arms": {"a": {}, "b": {"epochs": 2}},
                "report": {
                    "published": "mlm",
                    "counterparts": {"linear probe": {"arm": "b", "alone": True}},
                },
            },
            "the tasks of 'b' are not trained alone",
        ),
    ],
)
def test_what_would_do_nothing_is_refused(tmp_path, keys, message):
    with pytest.raises(ValidationError, match=re.escape(message)):
        make_study(tmp_path, **keys)
