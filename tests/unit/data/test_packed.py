"""Files packed by gzip, bzip2, xz, zip or tar, whatever they are called."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weightwise.config.sources import FileSource
from weightwise.data import compressed
from weightwise.data.archive import read_member
from weightwise.data.compressed import unpack
from weightwise.data.download import file_sha256
from weightwise.data.sources import read_table_source
from weightwise.errors import UserError

TABLE = b"label\ttext\n1\ta lovely song\n0\tdull\n"
PACKERS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


def zipped(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file.getvalue()


def tarred(files: dict[str, bytes], mode: str = "w") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


@pytest.fixture
def read(tmp_path):
    def make(name: str, data: bytes, **keys):
        (tmp_path / name).write_bytes(data)
        source = FileSource(type="file", path=name, **keys)
        return read_table_source(source, tmp_path, tmp_path)

    return make


@pytest.mark.parametrize("ending", PACKERS)
@pytest.mark.parametrize("name", ["a.tsv.{}", "a.tsv", "a.{}"])
def test_packed_files_are_told_by_their_content(read, tmp_path, ending, name):
    name = name.format(ending)
    keys = {} if ".tsv" in name else {"format": "tsv"}
    table = read(name, PACKERS[ending](TABLE), **keys)
    assert table.column("text").tolist() == ["a lovely song", "dull"]
    assert table.sha256 == file_sha256(tmp_path / name)
    assert table.at(1) == f"{tmp_path / name}, line 3"


JUNK = {"__MACOSX/._a.tsv": b"x", "d/.DS_Store": b"y"}


@pytest.mark.parametrize(
    "data",
    [zipped({"d/a.tsv": TABLE}), zipped({"d/a.tsv": TABLE} | JUNK),
     zipped({"a.tsv.gz": gzip.compress(TABLE)}), tarred({"d/a.tsv": TABLE}),
     tarred({"a.tsv": TABLE}, "w:gz"), tarred({"a.tsv": TABLE}, "w:xz"),
     gzip.compress(zipped({"a.tsv": TABLE}))],
)  # fmt: skip
def test_archives_of_one_file_need_no_member(read, data):
    assert read("x.bin", data).column("label").tolist() == ["1", "0"]


TWO = {"a.tsv": TABLE, "b.tsv": TABLE[:-7]}


@pytest.mark.parametrize("data", [zipped(TWO | {"c/d.csv": b"x"}), tarred(TWO, "w:gz")])
def test_archives_of_several_files_are_listed(read, data):
    with pytest.raises(UserError, match=r"x.zip: holds \d files \('a.tsv', 'b.tsv'.*`member`"):
        read("x.zip", data)
    table = read("x.zip", data, member="b.tsv")
    assert table.column("label").tolist() == ["1"]
    assert table.name.endswith("x.zip, b.tsv")
    with pytest.raises(UserError, match=r"no file 'e.tsv'; did you mean"):
        read("x.zip", data, member="e.tsv")


def test_an_archive_in_an_archive(read):
    data = zipped({"in.tar.gz": tarred({"d/a.tsv": TABLE, "b": b""}, "w:gz")})
    with pytest.raises(UserError, match=r"itself an archive; .*`member: in.tar.gz!FILE`"):
        read("x.zip", data)
    assert len(read("x.zip", data, member="in.tar.gz!d/a.tsv").frame) == 2


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (zipped({"[Content_Types].xml": b"", "xl/workbook.xml": b""}), "workbook"),
        (zipped({}), "holds 0 files"), (b"\x28\xb5\x2f\xfd123", "zstandard"),
        (b"7z\xbc\xaf\x27\x1c", "7-Zip"), (gzip.compress(TABLE)[:-4], "damaged or cut off"),
        (gzip.compress(TABLE)[:-8] + b"\0" * 8, "damaged or cut off"),
        (bz2.compress(TABLE)[:-4], "damaged or cut off"),
        (lzma.compress(TABLE)[:-4], "damaged or cut off"), (b"\x1f\x8b\x08", "damaged or cut off"),
        (b"PK\x03\x04nothing", "no readable zip"),
    ],
)  # fmt: skip
def test_what_cannot_be_unpacked(read, data, message):
    with pytest.raises(UserError, match=message):
        read("x.csv", data)
    with pytest.raises(UserError, match="is no archive, so it has no `member`"):
        read("y.csv", b"a,b\n1,2\n", member="y")


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_bombs_are_refused_by_ratio_and_size(pack, monkeypatch):
    monkeypatch.setattr(compressed, "UNSUSPICIOUS", 1 << 20)
    data = pack(bytes(3 << 20))
    with pytest.raises(UserError, match=r"FILE: its .* bytes unpack to more than .*`max_unpacked`"):
        unpack(data, "FILE")
    assert len(unpack(data, "FILE", 3 << 20)) == 3 << 20
    with pytest.raises(UserError, match="more than 1,000;"):
        unpack(data, "FILE", 1000)


def test_a_bomb_in_a_zip_is_refused(read):
    data = zipped({"a.csv": b"x" * (100 << 20)})
    with pytest.raises(UserError, match=r"'a.csv' is larger than 67,108,864 bytes.*max_unpacked"):
        read("x.zip", data)


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_content_that_its_checksum_denies_is_refused(tmp_path, mode):
    data = bytearray(tarred({"a.txt": bytes(range(256)) * 40, "b.txt": b"other" * 500}, mode))
    path = tmp_path / "x"
    for at in range(len(data) - 12, len(data) - 4):
        changed = bytearray(data)
        changed[at] ^= 0x55
        path.write_bytes(changed)
        with pytest.raises(UserError, match="x: is no readable"):
            read_member(path, "a.txt")


def test_a_damaged_header_in_a_tar_is_not_its_end(tmp_path):
    data = bytearray(tarred({"a.txt": b"one", "b.txt": b"two", "c.txt": b"three"}))
    data[1024] ^= 1  # the name of b.txt
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(UserError, match="x: is no readable zip or tar archive"):
        read_member(tmp_path / "x", "a.txt")


def test_a_file_that_is_there_twice_is_refused(tmp_path):
    for data in (
        zipped({"a.txt": b"one", "b.txt": b"two"}),
        tarred({"a.txt": b"1", "b.txt": b"2"}),
    ):
        # The other name is patched, its checksum (of tar headers) with it.
        changed = data.replace(b"b.txt", b"a.txt")
        if data[:2] != b"PK":
            header = bytearray(changed[1024:1536])
            header[148:156] = b" " * 8
            header[148:156] = b"%06o\0 " % sum(header)
            changed = changed[:1024] + bytes(header) + changed[1536:]
        (tmp_path / "x").write_bytes(changed)
        with pytest.raises(UserError, match=r"holds 'a.txt' twice"):
            read_member(tmp_path / "x", "a.txt")


def test_a_name_without_letters_is_refused(tmp_path):
    data = bytearray(zipped({"ab": b"one"}))
    central = data.index(b"PK\x01\x02")
    data[central + 28 : central + 30] = b"\0\0"  # length of the name
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(UserError, match="x: "):
        read_member(tmp_path / "x", "a")


FILES = {"a.txt": b"hello world " * 20, "d/b.txt": bytes(range(200))}
ARCHIVES = {"zip": zipped(FILES), "tar.gz": tarred(FILES, "w:gz"), "tar.xz": tarred(FILES, "w:xz")}


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(ARCHIVES)), st.data())
def test_an_edited_archive_gives_its_content_or_is_refused(kind, data):
    content = bytearray(ARCHIVES[kind])
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    for member, expected in FILES.items():
        try:
            found = read_member(bytes(content), member)
        except UserError:
            continue
        assert found == expected
