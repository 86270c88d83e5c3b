"""Code identity follows imports: nothing has to be listed for it to count."""

from __future__ import annotations

import shutil
from importlib.metadata import version

import pytest

from weightwise import code
from weightwise.combine import COMBINERS
from weightwise.identity.imports import Imports
from weightwise.identity.versions import versions


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package that may be edited."""
    copy = tmp_path / "package"
    shutil.copytree(code.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code, "PACKAGE", copy)
    code.forget()
    yield copy
    code.forget()


def digest(*combiners: str) -> str:
    code.forget()
    return code.code_version(*combiners or ("addition",))


def edit(path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def test_a_new_file_that_the_loop_imports_counts(package):
    before = digest()
    new = package / "train" / "extra.py"
    new.write_text("def twice(x):\n    return 2 * x\n")
    assert digest() == before
    loop = package / "train" / "loop.py"
    edit(loop, "import time\n", "import time\nfrom weightwise.train.extra import twice\n")
    imported = digest()
    edit(new, "2 * x", "3 * x")
    assert len({before, imported, digest()}) == 3


@pytest.mark.parametrize(
    "line",
    [
        "from weightwise.train import extra",
        "import weightwise.train.extra",
        "def late():\n    from weightwise.train.extra import twice",
    ],
)
def test_every_way_of_importing_is_followed(package, line):
    (package / "train" / "extra.py").write_text("X = 1\n")
    loop = package / "train" / "loop.py"
    loop.write_text(loop.read_text() + f"\n{line}\n")
    code.forget()
    assert package / "train" / "extra.py" in code.training_modules()


def test_every_module_that_is_behind_a_run_counts(package):
    before = digest("gradattention")
    for path in code.training_modules("gradattention"):
        text = path.read_text("utf-8")
        path.write_text(text + "\nCHANGED = 1\n")
        assert digest("gradattention") != before, path
        path.write_text(text)
    assert digest("gradattention") == before


def test_only_combiners_of_a_run_are_behind_it(package):
    (package / "combine" / "new.py").write_text("x = 1\n")
    before = {name: digest(name) for name in COMBINERS}
    edit(package / "combine" / "pcgrad.py", "product < 0", "product > 0")
    moved = {name for name in COMBINERS if digest(name) != before[name]}
    assert moved == {"pcgrad", "pcgrad_alpha"}
    # A run whose epochs end with surgery has two of them.
    surgery = digest("addition", "pcgrad")
    edit(package / "combine" / "pcgrad.py", "product > 0", "product < 0")
    assert digest("addition", "pcgrad") != surgery


def test_where_files_lie_does_not_count(package):
    before = digest()
    (package / "model" / "probability").mkdir()
    (package / "model" / "probability" / "__init__.py").write_text("")
    moved = package / "model" / "probability" / "dropping.py"
    (package / "model" / "dropout.py").rename(moved)
    for path in package.rglob("*.py"):
        text = path.read_text("utf-8")
        path.write_text(
            text.replace("weightwise.model.dropout", "weightwise.model.probability.dropping")
        )
    code.forget()
    assert moved in code.training_modules()
    # The one new module of all is the empty __init__ of its folder.
    (package / "model" / "probability" / "__init__.py").unlink()
    assert digest() == before


def test_from_which_module_something_comes_counts(tmp_path):
    def said(source: str) -> str:
        (tmp_path / "root.py").write_text(f"from weightwise.{source} import f\n")
        imports = Imports(tmp_path)
        return imports.digest(imports.reached(["root.py", "a.py", "b.py"]))

    (tmp_path / "a.py").write_text("def f():\n    return 1\n")
    (tmp_path / "b.py").write_text("def f():\n    return 2\n")
    assert said("a") != said("b")


def test_constants_of_what_is_left_out_count(package):
    before = digest()
    edit(package / "config" / "training.py", '= ("min_size", "max_size")', '= ("min_size",)')
    assert digest() != before
    edit(package / "config" / "training.py", '= ("min_size",)', '= ("min_size", "max_size")')
    edit(package / "config" / "training.py", "class SmartConfig", "class SmarterConfig")
    assert digest() == before


def test_what_computes_has_its_version_in_the_key():
    assert code.packages("addition") == ("numpy", "torch")
    assert code.packages("upgrad") == ("numpy", "scipy", "torch")
    found = versions(code.packages("torchjd:UPGrad"))
    assert found["torchjd"] == version("torchjd")
    assert found["torch"] == version("torch")
    for name in COMBINERS:
        assert None not in versions(code.packages(name)).values(), name
    for kind in ("mlm", "simcse"):
        assert code.stage_packages(kind) == ("numpy", "torch")
