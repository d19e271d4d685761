"""The page in a real browser: light and dark, on a wide window and on a phone."""

from __future__ import annotations

import functools
import html
import json
import re
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

from report import model, page
from tests.report.changes import read, step
from tests.report.recordings import recorded

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = pytest.mark.skipif(
    not BROWSER,
    reason="needs Chromium, which no Python package brings: install it (on Debian: apt-get install chromium)",
)

SCHEMES = {"light": 1, "dark": 0}
"""Color scheme → Chromium's number for it (`blink::mojom::PreferredColorScheme`)."""

MEASURE = """<script>
const boxes = [...document.querySelectorAll("svg text")].filter(text => text.getClientRects().length);
const outside = boxes.filter(text => {
  const inner = text.getBoundingClientRect();
  const outer = text.closest("g").querySelector("rect").getBoundingClientRect();
  return inner.left < outer.left || inner.right > outer.right || inner.bottom > outer.bottom;
});
parent.document.documentElement.dataset.measured = JSON.stringify({
  scroll: document.documentElement.scrollWidth, window: innerWidth, texts: boxes.length,
  outside: outside.map(text => text.textContent),
  text: getComputedStyle(document.body).color, page: getComputedStyle(document.body).backgroundColor,
});
</script></body>"""
"""Measures the page. The report's own policy forbids scripts, so it is removed for that."""


@functools.cache
def pages() -> dict[str, str]:
    """The page of a recorded preview, and one with long words that can't be broken at spaces."""
    word = "x" * 400
    wide = step("aws:iam/role:Role", {word: word, "a": f"{word}\n"}, {word: word[1:], "a": "b\n"}, name=word)
    return {
        "recorded": page.render(model.build(recorded("small-values"))),
        "long words": page.render(model.build(read(wide))),
    }


def run(text: str, folder: Path, width: int, scheme: str, *options: str) -> str:
    (folder / "page.html").write_text(text)
    quiet = ["no-first-run", "disable-sync", "disable-background-networking", "disable-component-update"]
    look = [
        "hide-scrollbars",
        f"window-size={width},600",
        f"blink-settings=preferredColorScheme={SCHEMES[scheme]}",
    ]
    flags = ["headless", "no-sandbox", "disable-gpu", *quiet, *look, f"user-data-dir={folder / 'profile'}"]
    target = (folder / "page.html").as_uri()
    done = subprocess.run(
        [str(BROWSER), *(f"--{flag}" for flag in flags), *options, target],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("name", ["recorded", "long words"])
def test_nothing_scrolls_sideways_or_leaves_its_box(
    tmp_path: Path, name: str, width: int, scheme: str
) -> None:
    measured = re.sub(r"<meta http-equiv.*?>\n", "", pages()[name]).replace("</body>", MEASURE)
    # Chromium has no windows that are as narrow as a phone's, but frames.
    frame = (
        f'<iframe style="border: 0" width="{width}" height="600" srcdoc="{html.escape(measured)}"></iframe>'
    )
    dom = run(f"<!doctype html>{frame}", tmp_path, 1400, scheme, "--dump-dom")
    found = json.loads(html.unescape(re.findall(r'data-measured="([^"]*)"', dom)[0]))
    assert found["scroll"] <= found["window"] == width
    assert found["texts"] >= 9
    assert found["outside"] == []
    brightness = {key: sum(map(int, re.findall(r"\d+", found[key])[:3])) for key in ("text", "page")}
    assert (brightness["page"] > brightness["text"]) == (scheme == "light")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", [400, 1280])
def test_page_is_drawn_with_its_own_policy(tmp_path: Path, width: int, scheme: str) -> None:
    """With the policy in its head, the style still applies, and both schemes have red for what is blocked."""
    image = tmp_path / "page.png"
    run(pages()["recorded"], tmp_path, width, scheme, f"--screenshot={image}")
    colors = pixels(image)
    background = (255, 255, 255) if scheme == "light" else (13, 17, 23)
    verdict = (179, 38, 30) if scheme == "light" else (255, 123, 114)
    assert colors.get(background, 0) > sum(colors.values()) / 3
    assert colors.get(verdict, 0) > 500


ROWS = 100
"""Rows of an image that are read: those with the verdict."""


def pixels(image: Path) -> dict[tuple[int, ...], int]:
    """The colors at the top of a PNG file with 8 bits per channel, and how often each occurs."""
    data, place, packed, header = image.read_bytes(), 8, b"", b""
    while place < len(data):
        (size,) = struct.unpack(">I", data[place : place + 4])
        kind, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + size]
        header = body if kind == b"IHDR" else header
        packed += body if kind == b"IDAT" else b""
        place += size + 12
    width, height, _, color = struct.unpack(">IIBB", header[:10])
    channels = {2: 3, 6: 4}[color]
    raw, previous, counts = zlib.decompress(packed), bytearray(width * channels), dict[tuple[int, ...], int]()
    for row in range(min(height, ROWS)):
        start = row * (width * channels + 1)
        line = unfiltered(
            raw[start], bytearray(raw[start + 1 : start + 1 + width * channels]), previous, channels
        )
        for column in range(0, width * channels, channels):
            point = tuple(line[column : column + 3])
            counts[point] = counts.get(point, 0) + 1
        previous = line
    return counts


def unfiltered(kind: int, line: bytearray, above: bytearray, channels: int) -> bytearray:
    """A row of an image without its filter (W3C, "Portable Network Graphics", section 9)."""
    for index in range(len(line)):
        left = line[index - channels] if index >= channels else 0
        up, corner = above[index], above[index - channels] if index >= channels else 0
        near = min((left, up, corner), key=lambda item: abs(left + up - corner - item))
        line[index] = (line[index] + (0, left, up, (left + up) // 2, near)[kind]) & 255
    return line
