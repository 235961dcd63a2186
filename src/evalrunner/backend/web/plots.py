"""Histograms as inline SVG. Colours come from the style sheet: the policy of the pages allows no styles here."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from markupsafe import Markup, escape

BINS = 20
_WIDTH, _HEIGHT, _FOOT = 320, 84, 16


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts in bins of equal width between two values."""

    low: float
    high: float
    counts: list[int]

    @property
    def total(self) -> int:
        """How many values there are."""
        return sum(self.counts)


def histogram(values: list[float], bins: int = BINS) -> Histogram | None:
    """Count values into bins; None without values. Scores between 0 and 1 are shown on the whole of 0..1."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return None
    low, high = min(finite), max(finite)
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    return _counted(finite, low, high if high > low else low + 1, bins)


def latencies(values: list[float], bins: int = 32) -> Histogram | None:
    """Count latencies from 0 to a little above the 99th percentile; what is slower is in the last bin."""
    finite = sorted(max(value, 0.0) for value in values)
    if not finite:
        return None
    high = finite[min(len(finite) - 1, int(0.99 * len(finite)))] * 1.05 or 0.001
    return _counted(finite, 0.0, high, bins)


def _counted(values: list[float], low: float, high: float, bins: int) -> Histogram:
    counts = [0] * bins
    for value in values:
        counts[max(0, min(bins - 1, int((value - low) / (high - low) * bins)))] += 1
    return Histogram(low, high, counts)


def draw(
    data: Histogram | None,
    label: str,
    unit: Callable[[float], str],
    mark: float | None = None,
    over: bool = False,
) -> Markup:
    """Return the plot: bars with their counts as titles, an axis with both ends, a line at `mark`."""
    if data is None:
        return Markup('<p class="none">nothing to plot yet</p>')
    parts = [_bar(data, index, unit) for index in range(len(data.counts))]
    floor = _HEIGHT - _FOOT
    parts.append(f'<line class="axis" x1="0" x2="{_WIDTH}" y1="{floor}.5" y2="{floor}.5"/>')
    if mark is not None:
        x = min(max((mark - data.low) / (data.high - data.low), 0), 1) * _WIDTH
        parts.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="4" y2="{floor}"/>')
    ends = (("start", 0, unit(data.low)), ("end", _WIDTH, f"{'≥ ' if over else ''}{unit(data.high)}"))
    parts += [
        f'<text x="{x}" y="{_HEIGHT - 3}" text-anchor="{anchor}">{escape(text)}</text>'
        for anchor, x, text in ends
    ]
    parts.append(f'<text class="peak" x="{_WIDTH}" y="9" text-anchor="end">{max(data.counts):,}</text>')
    inside = Markup("").join(Markup(part) for part in parts)  # noqa: S704 - numbers, and text escaped above
    name = escape(f"{label}: {data.total:,} values from {unit(data.low)} to {unit(data.high)}")
    return Markup('<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        _WIDTH, _HEIGHT, name, inside
    )


def _bar(data: Histogram, index: int, unit: Callable[[float], str]) -> str:
    count, step = data.counts[index], (data.high - data.low) / len(data.counts)
    room = _HEIGHT - _FOOT - 12
    height = 0.0 if not count else max(1.5, count / max(data.counts) * room)
    width = _WIDTH / len(data.counts)
    low = data.low + index * step
    title = escape(f"{unit(low)} – {unit(low + step)}: {count:,}")
    return (
        f'<rect class="bar" x="{index * width + 0.5:.1f}" width="{width - 1:.1f}" '
        f'y="{_HEIGHT - _FOOT - height:.1f}" height="{height:.1f}"><title>{title}</title></rect>'
    )
