"""Archives of the Python package index, fetched by their checksum and never installed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from filelock import FileLock

from weightwise.errors import UserError
from weightwise.seal import file_sha256

# A source distribution's own build script would run when pip asks it for metadata. pip imports
# this stand-in for setuptools instead, which answers without opening the archive.
_STAND_IN = """
import os


class _Backend:
    def get_requires_for_build_wheel(self, settings=None):
        return []

    def prepare_metadata_for_build_wheel(self, folder, settings=None):
        name = {name!r}
        os.makedirs(os.path.join(folder, name), exist_ok=True)
        with open(os.path.join(folder, name, "METADATA"), "w") as file:
            file.write("Metadata-Version: 2.1\\nName: {package}\\nVersion: {version}\\n")
        return name


__legacy__ = _Backend()
get_requires_for_build_wheel = __legacy__.get_requires_for_build_wheel
prepare_metadata_for_build_wheel = __legacy__.prepare_metadata_for_build_wheel
"""

_PACKAGE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*")


def fetch_package(package: str, version: str, sha256: str, binary: bool, cache: Path) -> Path:
    """The verified archive of one exact release, downloaded only where the cache lacks it.

    pip verifies the checksum before it opens the archive. A wheel is never opened by pip; for a
    source distribution its build script is replaced by a stand-in, so none of its code runs.

    Args:
        package: name on the index.
        version: exact version.
        sha256: checksum that the archive must have, 64 lower-case hexadecimal digits.
        binary: True for the wheel, False for the source distribution.
        cache: folder of downloads; the archive lies in `cache/<sha256>/<filename>`.

    Raises:
        UserError: another checksum, no such release, no network, or pip is missing.
    """
    if not _PACKAGE.fullmatch(package) or not _VERSION.fullmatch(version):
        # Both stand in a requirements file, where a space or newline would add an option.
        raise UserError(f"package '{package}' {version}: is not a package name and exact version")
    entry = Path(cache) / sha256
    try:
        entry.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{entry}: the download cache cannot be made ({error.strerror})") from None
    with FileLock(entry / ".lock"):
        for path in sorted(entry.iterdir()):
            if path.is_file() and not path.name.startswith("."):
                if file_sha256(path) == sha256:
                    return path
                path.unlink()  # a damaged copy is fetched anew
        with tempfile.TemporaryDirectory(dir=entry, prefix=".download-") as folder:
            got = _pip_download(package, version, sha256, binary, Path(folder))
            target = entry / got.name
            os.replace(got, target)
    return target


def _pip_download(package: str, version: str, sha256: str, binary: bool, folder: Path) -> Path:
    """Run `pip download` into `folder` and return the one archive, its checksum compared again."""
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{package}=={version} --hash=sha256:{sha256}\n", "utf-8")
    archives = folder / "archives"
    command = [sys.executable, "-m", "pip", "download", "--no-input", "--no-deps"]
    command += ["--require-hashes", "--disable-pip-version-check"]
    environment = dict(os.environ)
    if binary:
        command.append("--only-binary=:all:")
    else:
        # Without isolation pip fetches no build tools, which no checksum would cover.
        command += ["--no-binary=:all:", "--no-build-isolation"]
        stand_in = folder / "stand-in" / "setuptools"
        stand_in.mkdir(parents=True)
        (stand_in / "__init__.py").touch()
        text = _STAND_IN.format(
            name=f"{package}-{version}.dist-info", package=package, version=version
        )
        (stand_in / "build_meta.py").write_text(text, "utf-8")
        environment |= {
            "PYTHONPATH": str(stand_in.parent),
            "PIP_USE_PEP517": "1",
            "SETUPTOOLS_USE_DISTUTILS": "stdlib",
        }
    command += ["-r", str(requirements), "-d", str(archives)]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode:
        raise UserError(_explain(package, version, sha256, binary, done.stdout + done.stderr))
    found = sorted(archives.iterdir())
    if len(found) != 1 or file_sha256(found[0]) != sha256:
        raise UserError(
            f"package {package} {version}: pip did not deliver one archive with checksum {sha256}; "
            "the study is stopped"
        )
    return found[0]


def _explain(package: str, version: str, sha256: str, binary: bool, output: str) -> str:
    """What pip's output means for the user, with the remedy."""
    what = f"package {package} {version}"
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    got = [line.split()[-1] for line in lines if re.match(r"Got\s+[0-9a-f]{64}$", line)]
    if got:
        return (
            f"{what}: the archive on the index has another checksum than the study expects.\n"
            f"  expected {sha256}\n  got      {got[0]}\n"
            "The study is stopped and nothing of the archive was used. Either the archive was "
            "changed or the study's `sha256` belongs to another file."
        )
    if any("No module named pip" in line for line in lines):
        return f"{what}: pip is missing here; run `{Path(sys.executable).name} -m ensurepip`"
    errors = [line for line in lines if line.startswith("ERROR:")]
    known = next((m[1] for e in errors if (m := re.search(r"from versions: (.*)\)", e))), None)
    kind = "wheel" if binary else "source distribution"
    if known not in (None, "none"):
        return (
            f"{what}: the index has no such {kind} of this version (it has {known}); correct "
            "`package`, `version` or `binary` in the study"
        )
    said = (errors or lines or ["pip said nothing"])[0].removeprefix("ERROR: ")
    if any("connection broken" in line.lower() or "Retry(" in line for line in lines):
        remedy = "the index could not be reached: check the network or pip's proxy and index"
    else:
        remedy = f"check that `package` names a {kind} on the index, and the network"
    return (
        f"{what}: the download failed: {said}\n{remedy}. Where this machine has no network, copy "
        f"the archive into <cache>/{sha256}/ by hand."
    )
