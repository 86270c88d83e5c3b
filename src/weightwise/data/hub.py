"""Files of a model hub's repository; the extra `weightwise[hub]` is imported only when asked for.

Only named files of one revision come over (parquet tables, safetensors, JSON), so no script of a
repository ever runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from weightwise.errors import UserError


def fetch_snapshot(
    repository: str,
    kind: Literal["model", "dataset"],
    revision: str,
    patterns: Sequence[str],
    cache: Path,
) -> Path:
    """Folder of the files of `repository` at `revision` that match one of `patterns`.

    Raises:
        UserError: the extra is not installed, or the hub refuses or cannot be reached.
    """
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise UserError(
            f"{kind} '{repository}': the hub needs an extra package; "
            "run `pip install 'weightwise[hub]'`"
        ) from None
    try:
        folder = snapshot_download(
            repository,
            repo_type=kind,
            revision=revision,
            allow_patterns=list(patterns),
            cache_dir=Path(cache) / "hub",
        )
    except Exception as error:  # the client's own error classes differ between its versions
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(
            f"{kind} '{repository}' at revision '{revision}': could not be fetched from the hub "
            f"({first}); check its name, the revision, the network and your access"
        ) from None
    return Path(folder)
