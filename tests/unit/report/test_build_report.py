"""The page: what it says first, what it holds, what it lets through."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from figure_inputs import make_checks, make_study, make_study_tables, no_figures

from weightwise import tables
from weightwise.errors import UserError
from weightwise.report import build_report


class Page(HTMLParser):
    """Tags with their attributes, ids, links, and the text that a reader sees."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag: str) -> list[dict]:
        return [attrs for name, attrs in self.tags if name == tag]


def test_the_verdict_stands_first(full_page):
    page = Page(full_page)
    start = page.text.index("Which tasks to pair, and how to weight them: tiny")
    assert page.text.index("gains when trained with") < page.text.index("Contents")
    assert start < page.text.index("gains when trained with")
    assert "2 runs of this study are missing" in page.text
    assert "the loss is not finite" in page.text
    assert "logs/" in page.text


def test_every_section_is_there_and_linked(full_page):
    page = Page(full_page)
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = [a["href"] for a in page.all("a")]
    assert links
    assert all(link.startswith("#") and link[1:] in ids for link in links)
    for heading in (
        *("What was run", "Who helps whom", "SEN", "Learning", "Where training ended"),
        *("Beside the published results", "Jatusripitak and Wirawarn"),
        *("What it gets wrong", "most confident errors", "Words shared"),
        *("Overall scores", "Noise floor", "Data", "Cost", "Every run", "Versions"),
        *("Licences and credits", "How the numbers are computed", "Leakage"),
    ):
        assert heading in page.text


def test_nothing_is_loaded_and_nothing_runs(full_page, hostile_page):
    for text in (full_page, hostile_page):
        page = Page(text)
        assert not page.all("script")
        assert not page.all("link")
        assert not page.all("iframe")
        assert all(img["src"].startswith("data:image/svg+xml,") for img in page.all("img"))
        assert all(img["alt"] for img in page.all("img"))
        assert not [a for _, attrs in page.tags for a in attrs if a.startswith("on")]
        assert not [attrs for _, attrs in page.tags if "style" in attrs]
        policy = page.all("meta")[1]["content"]
        assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
        assert "unsafe" not in policy


def test_hostile_texts_are_shown_as_text(hostile_page):
    page = Page(hostile_page)
    assert "<script>alert(1)</script>" in page.text
    assert '"><img src=x onerror=alert(2)>' in page.text
    assert '"><script>alert(9)</script>' in page.text
    assert {a["src"][:5] for a in page.all("img")} == {"data:"}
    assert "<script" not in re.sub(r'src="[^"]*"', "", hostile_page)


def test_tables_are_accessible(full_page):
    page = Page(full_page)
    assert len(page.all("caption")) == len(page.all("table")) > 15
    assert all(th.get("scope") for th in page.all("th"))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == levels.count(1) == 1
    assert page.tags[0] == ("html", {"lang": "en"})


def test_the_published_results_stand_beside_ours(full_page):
    text = Page(full_page).text
    for number in ("0.644", "0.909", "0.939", "0.897", "0.802", "0.901", "0.779", "0.526"):
        assert number in text
    assert "differ by up to SEN 0.011" in text
    assert "The published table is one seed" in text
    assert "How ours differs" in text


def test_the_absolute_table_has_the_papers_rows(full_page):
    rows = [r for r in re.findall(r'<tr><th scope="row">(.*?)</th>', full_page) if "seed-" not in r]
    start = rows.index("Baseline")
    want = ["Baseline", "α = 0.2", "α = 0.5 ≡", "α = 0.6", "α = 0.8", "Addition", "PCGrad"]
    assert rows[start : start + 7] == want


def test_a_bare_table_of_scores_is_enough(build):
    text = Page(build(predictions=False)).text
    assert "only a table of scores was analysed" in text
    assert "Leakage" not in text
    assert "Cost of every combiner" not in text


def test_one_seed_is_said(build):
    text = Page(build(predictions=False, seeds=(1,), splits=("dev",))).text
    assert "Only one seed was run." in text
    assert "no pairing can be recommended" in text
    assert "one seed: no interval" in text
    assert "optimistic: selected on dev" in text


def test_what_is_not_shown_is_not_decided(tmp_path):
    folder = make_study_tables(tmp_path / "t", predictions=False, seeds=(1, 2))
    best = tables.read_table(folder / "best.parquet", tables.Best)
    best["verdict"] = "not decided"
    tables.write_table(best, tables.Best, folder / "best.parquet")
    no_figures(tmp_path / "f")
    text = Page(build_report(folder, tmp_path / "f", tmp_path / "r.html").read_text()).text
    assert "Not decided for SEN, PAR, SIM: no pairing is shown to help" in text
    assert "This study could have seen changes of" in text
    assert "Train SEN" not in text


def test_training_alone_is_advised_where_gains_are_excluded(tmp_path):
    folder = make_study_tables(tmp_path / "t", predictions=False, seeds=(1, 2))
    best = tables.read_table(folder / "best.parquet", tables.Best)
    best["verdict"] = "no change worth having"
    tables.write_table(best, tables.Best, folder / "best.parquet")
    no_figures(tmp_path / "f")
    text = Page(build_report(folder, tmp_path / "f", tmp_path / "r.html").read_text()).text
    assert "Train SEN and PAR and SIM alone: a gain of 1 % or more is excluded for every" in text
    assert "train it alone" in text


def test_a_single_task_and_a_missing_baseline_have_pages(build):
    assert "There is nothing to pair: SEN was trained alone" in Page(build(tasks=("SEN",))).text
    text = Page(build(predictions=False, no_baseline=("PAR",))).text
    assert "PAR cannot be compared" in text
    assert "there is no baseline" in text


def test_variants_have_sections_and_a_table(build):
    page = Page(build(predictions=False, splits=("dev",), variants=("lr=1,a=b", "lr=2,a=b")))
    assert "Variants side by side" in page.text
    targets = {a["href"] for a in page.all("a")}
    assert len([t for t in targets if t.startswith("#variant-")]) >= 2


def test_a_partial_study_says_so(build):
    assert "This report is partial" in Page(build(predictions=False, partial=True)).text


def test_same_input_gives_the_same_page(tmp_path):
    folder = make_study_tables(tmp_path / "t", predictions=False, seeds=(1, 2), splits=("dev",))
    pages = []
    for name in "ab":
        no_figures(tmp_path / name)
        out = tmp_path / f"{name}.html"
        pages.append(build_report(folder, tmp_path / name, out, make_study()).read_bytes())
    assert pages[0] == pages[1]


def test_broken_input_is_named(tmp_path):
    folder = make_study_tables(tmp_path / "t", predictions=False, seeds=(1,), splits=("dev",))
    with pytest.raises(UserError, match=r"index\.json: cannot be read"):
        build_report(folder, tmp_path, tmp_path / "r.html")
    (tmp_path / "index.json").write_text('[{"file": "../../etc/passwd"}]')
    with pytest.raises(UserError, match="names the missing figure"):
        build_report(folder, tmp_path, tmp_path / "r.html")
    (tmp_path / "checks.json").write_text("{")
    with pytest.raises(UserError, match="is not JSON"):
        build_report(folder, tmp_path, tmp_path / "r.html", None, tmp_path / "checks.json")


def test_every_kind_of_combiner_is_named_in_the_report(build):
    more = ("cagrad(c=0.8)", "mgda", "pcgrad_alpha")
    text = Page(build(make_study(), make_checks(), runs=True, more=more)).text
    assert "PCGrad; Weighted PCGrad with α = 0.2, 0.5, 0.8; CAGrad (c=0.8); MGDA" in text
    assert re.search(
        r"survives? as (a gain|gains) on test(, \d+ as losses)?; [^;]+ \+\d+\.\d+ %", text
    )
    assert "≡ same method as Addition or PCGrad." in text
    assert text.count("best weights on dev, Weighted PCGrad, α = 0.8") + text.count(
        "best weights on dev, Weighted PCGrad, α = 0.2"
    ) == text.count("best weights on dev, α =")
