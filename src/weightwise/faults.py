"""How a command ends that cannot go on: in one paragraph, with the traceback for who asks for it.

What a user can mend (a wrong file, no permission, a full disk) is told with its remedy; anything
else is a fault of weightwise, said to be one, and its traceback is kept in a file. `--debug`, or
the environment variable WEIGHTWISE_DEBUG=1 where a command is started by Snakemake, shows
tracebacks, those of wrong files included. Imports no torch.
"""

from __future__ import annotations

import errno
import os
import platform
import shlex
import sys
import tempfile
import traceback
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

from weightwise import __version__
from weightwise.errors import UserError

DEBUG_VARIABLE = "WEIGHTWISE_DEBUG"
ELSEWHERE = "or work elsewhere (`--results FOLDER`; with Snakemake `--config results=FOLDER`)"
NO_SPACE = (
    "there is no space left (a full disk or a used-up quota); make some (`df -h`, `quota -s`), "
    f"{ELSEWHERE}; the same command goes on from there"
)
NO_PERMISSION = (
    f"this user may not do that; ask for the permission (`ls -ld` shows it), {ELSEWHERE}"
)
# Line ends, and the two signs that some scripts join letters with.
_KEPT = "\n\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
# What the machine refuses and the user can mend; other OSErrors are faults of ours.
WORDS = {
    errno.EACCES: NO_PERMISSION,
    errno.EPERM: NO_PERMISSION,
    errno.EROFS: f"the file system is read-only; make it writable, {ELSEWHERE}",
    errno.ENOSPC: NO_SPACE,
    errno.EDQUOT: NO_SPACE,
    errno.EMFILE: "too many files are open; raise the limit (`ulimit -n 4096`)",
    errno.ENFILE: "too many files are open on this machine; try again later",
    errno.ENAMETOOLONG: "the path is too long; use shorter names of study, tasks or folders",
    errno.ENOTDIR: "a part of the path is a file where a folder is needed; move the file away",
    errno.EISDIR: "is a folder where a file is needed; move the folder away",
    errno.ELOOP: "symbolic links lead round in a circle; mend the link",
    errno.EIO: "the disk or the network file system fails; see its messages, and try again",
    errno.ESTALE: "the network file system lost the file; try again",
}


def asked_to_debug() -> bool:
    """Whether tracebacks are to be shown."""
    return os.environ.get(DEBUG_VARIABLE, "") not in ("", "0")


def printable(text: str) -> str:
    """The text with what a terminal obeys, or cannot take, as escapes: control characters but line
    ends, marks that turn the direction of writing, half surrogate pairs."""
    return "".join(
        c
        if c in _KEPT or unicodedata.category(c) not in ("Cc", "Cf", "Cs")
        else c.encode("unicode_escape").decode()
        for c in text
    )


def told(error: BaseException) -> str | None:
    """What a user is to read of an error that a user can mend; None: it is no such error."""
    if isinstance(error, UserError):
        return printable(str(error))
    if isinstance(error, MemoryError):
        return "the memory is not enough; close other programs, or use less data (`limit`)"
    if isinstance(error, OSError) and error.errno in WORDS:
        where = error.filename if error.filename2 is None else error.filename2
        place = f"{os.fsdecode(where)}: " if isinstance(where, str | bytes | os.PathLike) else ""
        return printable(f"{place}{os.strerror(error.errno)}: {WORDS[error.errno]}")
    return None


def explain(error: BaseException, command: Sequence[str] | None = None) -> str:
    """What to print of an error that ends a command, in one paragraph.

    Where the error is no fault of the user's, its traceback is written into a file that the
    paragraph names.

    Args:
        error: what ended the command.
        command: the words of the command; None: those of this process.
    """
    known = told(error)
    if known is not None:
        return known
    words = shlex.join(sys.argv if command is None else command)
    kept = _keep(error, words)
    where = f"; the traceback is in {kept}" if kept else ""
    show = "" if asked_to_debug() else f" `--debug` (or {DEBUG_VARIABLE}=1) shows it here."
    return printable(
        f"this is a fault of weightwise {__version__}, not of your files: "
        f"{type(error).__name__}: {_first_words(error)}{where}.{show} Please report it with that "
        "traceback and the study's file."
    )


def show_traceback(error: BaseException) -> None:
    """Print the traceback to stderr if it was asked for, with the causes that messages hide."""
    if asked_to_debug():
        print(printable(_traceback(error)), file=sys.stderr, flush=True)


def guarded(main: Callable[[], int | None], say: Callable[[str], None]) -> int:
    """Run a command and return its exit code.

    Args:
        main: the command.
        say: prints the paragraph of an error that ends it.

    Returns:
        What `main` returns; 2 for what the user can mend, 70 for a fault of weightwise.
    """
    try:
        return main() or 0
    except Exception as error:
        show_traceback(error)
        say(explain(error))
        return 2 if told(error) is not None else 70


def _first_words(error: BaseException) -> str:
    try:
        text = " ".join(str(error).split())
    except Exception:  # a message that cannot be made is no reason to say nothing
        text = "(its message cannot be shown)"
    return text[:300] + ("…" if len(text) > 300 else "")


def _traceback(error: BaseException) -> str:
    """The traceback, with errors that `raise ... from None` left out."""
    one: BaseException | None = error
    seen: set[int] = set()
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        if one.__cause__ is None:
            one.__suppress_context__ = False
        one = one.__cause__ or one.__context__
    return "".join(traceback.format_exception(error))


def _keep(error: BaseException, words: str) -> Path | None:
    """The file that the traceback was written into; None: it could not be written."""
    text = (
        f"weightwise {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
        f"command: {words}\n\n{_traceback(error)}"
    )
    try:
        handle, name = tempfile.mkstemp(prefix="weightwise-fault-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError:
        return None
    return Path(name)
