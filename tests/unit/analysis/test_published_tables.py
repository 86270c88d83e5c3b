"""The published tables ship with the package."""

import pytest

from weightwise.errors import UserError
from weightwise.published import published_names, published_path, published_table


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
