"""Archives: zip and tar of all compressions, their members hostile, their bytes edited.

What is read out of one must be what was put in, or a refusal; nothing is written beside the folder
that was asked for.
"""

from __future__ import annotations

import io
import pickle
import tarfile
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path

from edits import edited, edits
from harness import Payload, marker, refused
from hypothesis import strategies as st

from weightwise.data.archive import extract_folder, read_member
from weightwise.errors import UserError

WANTED = "data/table.tsv"
CONTENT = "text\tlabel\n" + "".join(f"sentence number {i}\t{i % 2}\n" for i in range(40))
NAMES = (
    *("data/other.txt", "../escaped", "/escaped", "data/../../escaped", "C:\\escaped", "data/./x"),
    *("data\\..\\..\\escaped", "data/table.tsv", "data", "data/", "", ".", "a\x00b", "x" * 300),
    *("data/\udcff", "data/é", "data/inner.tar.gz", "data/payload.pkl", "data//x", "./data/x"),
)
KINDS = ("file", "file", "folder", "symlink", "hardlink", "fifo", "device")


@dataclass(frozen=True)
class Archive:
    """An archive, and what is done to it."""

    form: str
    members: tuple[tuple[str, str], ...]
    wanted_at: int
    changes: list
    member: str


@st.composite
def _archives(draw: st.DrawFn) -> Archive:
    form = draw(st.sampled_from(("zip", "zip-stored", "zip-lzma", "", "gz", "bz2", "xz")))
    members = draw(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(KINDS)), max_size=4))
    wanted = draw(st.sampled_from((WANTED, WANTED, WANTED, "data", "data/inner.tar.gz!x", "../x")))
    changes = draw(st.one_of(st.just([]), edits(3)))
    return Archive(form, tuple(members), draw(st.integers(0, len(members))), changes, wanted)


CASES = _archives()


def _built(case: Archive, folder: Path) -> bytes:
    members = list(case.members)
    members.insert(case.wanted_at, (WANTED, "wanted"))
    buffer = io.BytesIO()
    payload = pickle.dumps(Payload(marker(folder)))
    if case.form.startswith("zip"):
        method = {
            "zip": zipfile.ZIP_DEFLATED,
            "zip-stored": zipfile.ZIP_STORED,
            "zip-lzma": zipfile.ZIP_LZMA,
        }[case.form]
        with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", method) as archive:
            warnings.simplefilter("ignore")  # a name that stands twice is wanted here
            for name, kind in members:
                info = zipfile.ZipInfo(name.encode(errors="replace").decode())
                info.compress_type = method
                if kind in ("symlink", "device", "fifo"):
                    mode = {"symlink": 0o120777, "device": 0o060666, "fifo": 0o010666}[kind]
                    info.external_attr = mode << 16
                archive.writestr(info, CONTENT if kind == "wanted" else payload)
    else:
        with tarfile.open(fileobj=buffer, mode=f"w:{case.form}") as archive:
            for name, kind in members:
                data = CONTENT.encode() if kind == "wanted" else payload
                info = tarfile.TarInfo(name)
                info.type = {
                    "folder": tarfile.DIRTYPE,
                    "symlink": tarfile.SYMTYPE,
                    "hardlink": tarfile.LNKTYPE,
                    "fifo": tarfile.FIFOTYPE,
                    "device": tarfile.BLKTYPE,
                }.get(kind, tarfile.REGTYPE)
                info.linkname = "/etc/hostname" if "link" in kind else ""
                info.size = len(data) if info.isreg() else 0
                archive.addfile(info, io.BytesIO(data) if info.isreg() else None)
    return edited(buffer.getvalue(), case.changes)


def attempt(case: Archive, folder: Path) -> str:
    """Read one member, then unpack the folder."""
    path = folder / "archive"
    path.write_bytes(_built(case, folder))
    first_wanted = next(
        kind
        for name, kind in [*case.members[: case.wanted_at], (WANTED, "wanted")]
        if name == WANTED
    )
    said = "accepted"
    try:
        data = read_member(path, case.member, max_bytes=1 << 20)
        if case.member == WANTED and not case.changes:
            assert first_wanted != "wanted" or data == CONTENT.encode(), (
                "other content than written"
            )
    except UserError as error:
        said = refused(error)
    try:
        written = extract_folder(path, "data", folder / "out", max_bytes=1 << 20)
        assert all(p.resolve().is_relative_to(folder / "out") for p in written), written
        assert not any(p.is_symlink() for p in (folder / "out").rglob("*")), "a link was unpacked"
    except UserError as error:
        said = refused(error)
    beside = {p.name for p in folder.iterdir()} | {p.name for p in folder.parent.iterdir()}
    strange = beside - {"archive", "out", folder.name, "executed"}
    assert not strange, f"written beside the folder asked for: {strange}"
    return said
