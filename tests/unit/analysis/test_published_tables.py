"""The published tables ship with the package."""

import numpy as np
import pytest

from weightwise.errors import UserError
from weightwise.published import (
    published_arms,
    published_names,
    published_path,
    published_table,
)


def test_every_table_can_be_read():
    names = published_names()
    assert names == [
        "bertram",
        "gradattention",
        "mlm",
        "pairing_absolute",
        "pairing_regression",
        "simcse",
    ]
    for name in names:
        assert len(published_table(name)) > 0
        assert published_path(name).is_file()


def test_alphas_stay_exact():
    assert published_table("pairing_absolute")["alpha"].dropna().iloc[0] == "0.1"


@pytest.mark.parametrize("name", ["pairing_absolut", "../errors", ""])
def test_unknown_names_are_refused(name):
    with pytest.raises(UserError, match="no published table"):
        published_table(name)


def test_the_arms_of_gradattention_give_its_overall_score():
    """Section 8 of the specification: the mean with Pearson mapped to (r + 1) / 2."""
    (arm,) = published_arms("gradattention").to_dict("records")
    assert (arm["table"], arm["split"]) == ("table_1", "test")
    assert (arm["SEN"], arm["PAR"], arm["SIM"]) == (0.523, 0.779, 0.338)
    mapped = (arm["SEN"] + arm["PAR"] + (arm["SIM"] + 1) / 2) / 3
    assert round(mapped, 3) == arm["overall"] == 0.657


def test_the_arms_of_the_other_papers_are_read_the_same_way():
    mlm = published_arms("mlm").set_index("arm")
    assert list(mlm.loc["PCGrad", ["SEN", "PAR", "SIM", "overall"]]) == [0.669, 0.487, 0.380, 0.512]
    assert mlm.loc["best", "split"] == "test"
    assert mlm.loc["PCGrad", "split"] is np.nan
    simcse = published_arms("simcse").set_index(["arm", "split"])
    assert simcse.loc[("round-robin, fine-tune", "test"), "PAR"] == 0.822
    bertram = published_arms("bertram")
    assert len(bertram) == len(published_table("bertram"))
    assert bertram["overall"].max() == 0.610


@pytest.mark.parametrize("name", ["pairing_absolute", "pairing_regression"])
def test_a_table_without_arms_is_refused(name):
    with pytest.raises(UserError, match=f"'{name}' holds no arms"):
        published_arms(name)
