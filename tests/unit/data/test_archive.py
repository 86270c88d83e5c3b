"""Nothing of an archive is trusted."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from weightwise.data import archive
from weightwise.data.archive import extract_folder, read_member
from weightwise.errors import UserError


def make_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        for name, data in files.items():
            z.writestr(name, data)
    return path


def make_tar(path: Path, files: dict[str, bytes], mode: str = "w:gz", special=()) -> Path:
    with tarfile.open(path, mode) as t:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
        for info in special:
            t.addfile(info)
    return path


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


FILES = {"a/b.txt": b"hello", "a/deep/c.txt": b"there", "other.txt": b"no"}


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_every_kind_reads_and_extracts(tmp_path, kind):
    path = tmp_path / f"x.{kind}"
    if kind == "zip":
        make_zip(path, FILES)
    else:
        make_tar(path, FILES, "w:" + kind.removeprefix("tar").removeprefix("."))
    assert read_member(path, "a/deep/c.txt") == b"there"
    out = tmp_path / "out"
    written = extract_folder(path, "a", out)
    assert [p.relative_to(out).as_posix() for p in written] == ["b.txt", "deep/c.txt"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", path.name]


def test_member_inside_a_member(tmp_path):
    inner = make_tar(tmp_path / "inner.tar.gz", {"in/t.txt": b"deep"})
    path = make_zip(tmp_path / "o.zip", {"d/inner.tar.gz": inner.read_bytes()})
    assert read_member(path, "d/inner.tar.gz!in/t.txt") == b"deep"
    with pytest.raises(UserError, match=r"o.zip!d/inner.tar.gz: has no file 'in/u.txt'; did you"):
        read_member(path, "d/inner.tar.gz!in/u.txt")


def test_missing_member_names_the_nearest(tmp_path):
    path = make_zip(tmp_path / "x.zip", FILES)
    with pytest.raises(UserError, match=r"no file 'a/bb.txt'; did you mean 'a/b.txt'"):
        read_member(path, "a/bb.txt")
    with pytest.raises(UserError, match=r"it holds a/deep/c.txt"):
        read_member(path, "somewhere/else/entirely/far/away/c.txt")
    with pytest.raises(UserError, match="no folder 'aa'"):
        extract_folder(path, "aa", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("bad", ["../evil.txt", "/etc/evil", "a/../../evil", "C:/evil", "a\\..\\e"])
@pytest.mark.parametrize("maker", [make_zip, make_tar])
def test_unsafe_paths_are_refused(tmp_path, bad, maker):
    path = maker(tmp_path / "x.bin", {bad: b"evil", **FILES})
    for act in (
        lambda: read_member(path, "other.txt"),
        lambda: read_member(path, bad),
        lambda: extract_folder(path, "a", tmp_path / "in" / "out"),
    ):
        with pytest.raises(UserError, match="unsafe"):
            act()
    assert not list(tmp_path.rglob("*evil*"))


@pytest.mark.parametrize("target", ["/etc/passwd", "b.txt"])
@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])
def test_tar_links_and_devices_are_refused(tmp_path, target, kind):
    path = make_tar(tmp_path / "x.tar.gz", FILES, special=[link("a/link", target, kind)])
    with pytest.raises(UserError, match="link or device"):
        read_member(path, "a/link")
    with pytest.raises(UserError, match="link or device"):
        extract_folder(path, "a", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert read_member(path, "a/b.txt") == b"hello"


def test_zip_symlink_is_refused(tmp_path):
    path = tmp_path / "x.zip"
    info = zipfile.ZipInfo("a/link")
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as z:
        z.writestr(info, "/etc/passwd")
    with pytest.raises(UserError, match="link or device"):
        read_member(path, "a/link")
    with pytest.raises(UserError, match="link or device"):
        extract_folder(path, "a", tmp_path / "out")


@pytest.mark.parametrize("maker", [make_zip, make_tar])
def test_bombs_are_refused(tmp_path, maker, monkeypatch):
    path = maker(tmp_path / "x.bin", {"a/zeros": bytes(3_000_000), "a/z2": bytes(10)})
    assert path.stat().st_size < 20_000
    with pytest.raises(UserError, match="larger than 1,000,000 bytes"):
        read_member(path, "a/zeros", max_bytes=1_000_000)
    with pytest.raises(UserError, match="more than the allowed size"):
        extract_folder(path, "a", tmp_path / "out", max_bytes=1_000_000)
    assert not (tmp_path / "out").exists()
    if maker is make_tar:  # passing over a bomb to reach a later member is bounded, too
        monkeypatch.setattr(archive, "MAX_ARCHIVE_BYTES", 1_000_000)
        with pytest.raises(UserError, match="unpacks to more"):
            read_member(path, "a/z2")


def test_damaged_archives(tmp_path):
    good = make_tar(tmp_path / "x.tar.gz", {"a.txt": b"x" * 100_000})
    for name, data in {
        "cut.tar.gz": good.read_bytes()[:-40],
        "text.zip": b"PK nothing of the kind",
        "text.tar": b"hello",
        "empty": b"",
    }.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError, match=f"{name}: (is no readable|has no file)"):
            read_member(tmp_path / name, "b.txt")
    with pytest.raises(UserError, match="cannot be read"):
        read_member(tmp_path / "missing.zip", "b.txt")


def test_damaged_content_of_a_zip(tmp_path):
    path = make_zip(tmp_path / "x.zip", {"a.txt": b"hello world" * 1000})
    data = bytearray(path.read_bytes())
    data[45] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"x.zip: is no readable"):
        read_member(path, "a.txt")


def test_extraction_takes_only_what_is_wanted(tmp_path):
    path = make_zip(tmp_path / "x.zip", FILES)
    written = extract_folder(path, "a/", tmp_path / "out", only=frozenset(["b.txt"]))
    assert [p.name for p in written] == ["b.txt"]
    with pytest.raises(UserError, match="no wanted file below 'a'"):
        extract_folder(path, "a", tmp_path / "two", only=frozenset(["zzz"]))
