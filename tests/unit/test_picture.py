"""The picture in README.md is what scripts/picture writes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "release.svg"
SVG = "{http://www.w3.org/2000/svg}"


def test_the_committed_picture_is_what_the_script_writes() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "picture", "--check"], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "](docs/release.svg)" in (ROOT / "README.md").read_text()


def test_everything_is_inside_the_picture_and_has_a_description() -> None:
    picture = ElementTree.parse(PICTURE).getroot()
    _, _, width, height = map(int, picture.attrib["viewBox"].split())
    assert picture.findtext(f"{SVG}title") and picture.findtext(f"{SVG}desc")
    for box in picture.iter(f"{SVG}rect"):
        x, y = int(box.get("x", 0)), int(box.get("y", 0))
        assert x + int(box.attrib["width"]) <= width and y + int(box.attrib["height"]) <= height
    points = [tuple(map(int, point)) for point in re.findall(r"(\d+),(\d+)", PICTURE.read_text())]
    assert all(x <= width and y <= height for x, y in points)


def test_no_text_is_wider_than_its_box() -> None:
    picture = ElementTree.parse(PICTURE).getroot()
    boxes = [{key: int(box.get(key, 0)) for key in ("x", "y", "width", "height")} for box in picture.iter(f"{SVG}rect")]
    for line in picture.iter(f"{SVG}text"):
        x, y, size = (int(line.attrib[key]) for key in ("x", "y", "font-size"))
        # Sans-serif letters are about 0.55 of the font size wide on average.
        long = len(line.text or "") * size * 0.55
        left = x if line.get("text-anchor") == "start" else x - long / 2
        around = [
            box for box in boxes if box["x"] < x < box["x"] + box["width"] and box["y"] < y < box["y"] + box["height"]
        ]
        inner = min(around, key=lambda box: box["width"])
        assert inner["x"] <= left and left + long <= inner["x"] + inner["width"], line.text
