"""The colours of the pages, in the light and in the dark: what is read has the contrast that WCAG 2.2 AA asks."""

from __future__ import annotations

import re
from importlib import resources

import pytest

SHEET = (
    resources.files("evalbackend.web").joinpath("static").joinpath("style.css").read_text(encoding="utf-8")
)
GROUNDS = ("bg", "panel", "hover")
TEXTS = [
    *[(ink, ground) for ink in ("ink", "soft", "link", "good", "warn", "bad", "live") for ground in GROUNDS],
    *[
        (ink, f"{tone}-bg")
        for tone in ("good", "warn", "bad", "live")
        for ink in ("ink", "soft", tone, "bad")
    ],
    ("bg", "ink"),
]
SHAPES = [("bar", "panel"), ("edge", "panel"), ("edge", "bg"), ("link", "bg"), ("bad", "panel")]


def palette(name: str) -> dict[str, str]:
    light, dark = re.findall(r":root \{(.*?)\n\s*\}", SHEET, re.DOTALL)
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6})", light if name == "light" else dark))


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("name", ["light", "dark"])
def test_text_has_a_contrast_of_4_5_and_shapes_of_3(name: str) -> None:
    colours = palette(name)
    wanted = [(pair, 4.5) for pair in TEXTS] + [(pair, 3.0) for pair in SHAPES]
    found = {pair: round(contrast(*(colours[one] for one in pair)), 2) for pair, _ in wanted}
    assert {pair: found[pair] for pair, least in wanted if found[pair] < least} == {}
