"""The report in a real browser: it loads whole, asks for nothing, runs nothing, fits a phone."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from figure_inputs import make_checks, make_study, make_study_tables
from matplotlib.image import imread

from weightwise.figures import build_figures
from weightwise.report import build_report

BINARIES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, BINARIES)), "")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM, reason=f"none of {', '.join(BINARIES)} is here"),
]
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--enable-logging=stderr", "--v=0", "--hide-scrollbars"),
    # Whatever the page would ask of the network fails, and is logged.
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
# The probe frames the page, so the page itself stays as it is; its policy forbids scripts, and the
# file flags let the frame be measured. An alert inside would stop the frame's load for good.
PROBE = """<!DOCTYPE html><body style="margin:0"><script>
window.fired = 0;
const frame = document.createElement("iframe");
frame.style.cssText = "border:0;width:WIDTHpx;height:900px";
frame.onload = async () => {
  const page = frame.contentDocument;
  frame.contentWindow.alert = () => { window.fired += 1; };
  const images = [...page.images];
  await Promise.all(images.map((image) => image.decode().catch(() => 0)));
  const root = page.documentElement;
  document.body.dataset.result = JSON.stringify({
    images: images.length,
    broken: images.filter((image) => !image.naturalWidth).length,
    overflow: root.scrollWidth - root.clientWidth,
    width: root.clientWidth,
    scripts: page.scripts.length,
    fired: window.fired,
    loaded: frame.contentWindow.performance.getEntriesByType("resource")
      .filter((entry) => !entry.name.startsWith("data:")).map((entry) => entry.name),
    styled: getComputedStyle(page.querySelector("h1")).marginTop,
  });
};
frame.src = "PAGE";
document.body.append(frame);
</script></body>
"""


def chromium(folder: Path, page: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """Run the browser on a page."""
    profile = folder / "profile"
    return subprocess.run(
        [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", *flags, page.as_uri()],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )


def complaints(log: str) -> list[str]:
    """What the page itself wrote to the console, and what its policy refused."""
    return [line for line in log.splitlines() if "CONSOLE" in line or "net::ERR" in line]


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    """A hostile study with everything in it."""
    folder = tmp_path_factory.mktemp("page")
    study = make_study(hostile=True, published="pairing", title='"><script>alert(9)</script>')
    tables = make_study_tables(folder / "tables", runs=True, gradients=True, splits=("dev",))
    build_figures(tables, folder / "figures", study)
    (folder / "checks.json").write_text(json.dumps(make_checks()))
    return build_report(
        tables, folder / "figures", folder / "report.html", study, folder / "checks.json", True
    )


def measure(folder: Path, page: Path, width: int) -> tuple[dict, list[str]]:
    """Numbers that the probe reads off the page at that width, and the console's lines."""
    probe = folder / f"probe-{width}.html"
    probe.write_text(PROBE.replace("WIDTH", str(width)).replace("PAGE", page.as_uri()))
    flags = ("--allow-file-access-from-files", "--virtual-time-budget=20000", "--dump-dom")
    done = chromium(folder, probe, *flags)
    found = re.search(r'data-result="([^"]*)"', done.stdout)
    assert found, f"the page did not finish loading: {done.stderr[-2000:]}"
    return json.loads(html.unescape(found.group(1))), complaints(done.stderr)


@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_loads_whole_and_fits(page, tmp_path, width):
    seen, console = measure(tmp_path, page, width)
    assert seen["width"] == width
    assert seen["images"] > 5
    assert seen["broken"] == 0
    assert seen["overflow"] <= 0
    assert seen["scripts"] == 0
    assert seen["fired"] == 0
    assert seen["loaded"] == []
    assert seen["styled"] == "0px"
    assert console == []


def test_the_page_alone_writes_no_error(page, tmp_path):
    done = chromium(tmp_path, page, "--dump-dom")
    assert complaints(done.stderr) == []
    assert "</footer>" in done.stdout


@pytest.mark.parametrize("scheme", [0, 1])
def test_the_page_is_painted_in_both_schemes(page, tmp_path, scheme):
    picture = tmp_path / "page.png"
    chromium(
        tmp_path,
        page,
        f"--blink-settings=preferredColorScheme={scheme}",
        "--window-size=800,600",
        f"--screenshot={picture}",
    )
    background = imread(picture)[300, 2, :3].mean()
    assert background < 0.2 if scheme == 0 else background > 0.8
