"""Plots as inline SVG. Colours come from the style sheet: the policy of the pages allows no styles here."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from markupsafe import Markup, escape

BINS = 20
_WIDTH, _LEFT, _RIGHT, _TOP, _FLOOR, _HEIGHT = 320, 38, 10, 18, 96, 116
_ROOM = _WIDTH - _LEFT - _RIGHT
_ROW, _NAME, _FIGURE = 22, 96, 84  # of a plot of categories: a row's height, the widths of name and figures
_EMPTY = Markup('<p class="none">Nothing to plot yet.</p>')

Counted = Iterable[tuple[float, int]]


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts in bins of equal width between two values; `over`: what is larger is in the last bin."""

    low: float
    high: float
    counts: list[int]
    over: bool = False

    @property
    def total(self) -> int:
        """How many values there are."""
        return sum(self.counts)

    @property
    def step(self) -> float:
        """The width of a bin."""
        return (self.high - self.low) / len(self.counts)


def histogram(values: Counted, bins: int = BINS) -> Histogram | None:
    """Count values into bins; None without values. Scores between 0 and 1 are shown on the whole of 0..1."""
    finite = [(value, count) for value, count in values if math.isfinite(value)]
    if not finite:
        return None
    low, high = min(finite)[0], max(finite)[0]
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    return _counted(finite, low, high if high > low else low + 1, bins)


def binned(found: Counted, high: float, bins: int, over: bool) -> Histogram:
    """Return counts that are known per bin, of values from 0 to `high`."""
    by_bin = dict(found)
    return Histogram(0.0, high, [by_bin.get(index, 0) for index in range(bins)], over)


def _counted(values: Counted, low: float, high: float, bins: int) -> Histogram:
    counts = [0] * bins
    for value, count in values:
        counts[max(0, min(bins - 1, int((value - low) / (high - low) * bins)))] += count
    return Histogram(low, high, counts)


def draw(
    data: Histogram | None,
    label: str,
    unit: Callable[[float], str],
    mark: tuple[str, float] | None = None,
    per: str = "runs",
) -> Markup:
    """Return a histogram: bars with their counts as titles, both axes with their units, a named line at `mark`."""
    if data is None:
        return _EMPTY
    most = _above(max(data.counts))
    parts = [*_grid(most, per), *(_bar(data, index, most, unit) for index in range(len(data.counts)))]
    parts += [_tick(data, at, unit) for at in ticks(data.low, data.high)]
    if mark is not None:
        parts += _marked(data, *mark, unit)
    about = f"{label}: {data.total:,} values from {unit(data.low)} to {unit(data.high)}"
    if mark is not None:
        about += f", {mark[0]} {unit(mark[1])}"
    return _svg(parts, about, _HEIGHT)


def categories(rows: list[tuple[str, int]], label: str) -> Markup:
    """Return a bar for every name, with its count and its share."""
    total, most = sum(count for _, count in rows), max((count for _, count in rows), default=0)
    if not most:
        return _EMPTY
    parts, room = [], _WIDTH - _NAME - _FIGURE
    for index, (name, count) in enumerate(rows):
        y, width = index * _ROW, max(1.5, count / most * room)
        short = name if len(name) <= 14 else f"{name[:13]}…"
        parts += [
            f'<text class="name" x="{_NAME - 8}" y="{y + 15}" text-anchor="end">{escape(short)}'
            f"<title>{escape(name)}</title></text>",
            f'<rect class="bar" x="{_NAME}" y="{y + 4}" width="{width:.1f}" height="{_ROW - 8}"/>',
            f'<text class="count" x="{_NAME + width + 6:.1f}" y="{y + 15}">{count:,} ({_share(count, total)})</text>',
        ]
    told = ", ".join(f"{name} {count:,}" for name, count in rows)
    return _svg(parts, f"{label}: {told}", len(rows) * _ROW + 4)


def _svg(parts: list[str], about: str, height: int) -> Markup:
    inside = Markup("").join(Markup(part) for part in parts)  # noqa: S704 - numbers, and text escaped above
    return Markup('<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        _WIDTH, height, about, inside
    )


def _share(count: int, total: int) -> str:
    share = 100 * count / total
    return f"{share:.0f} %" if count == total or 1 <= share <= 99 else f"{share:.1f} %"


def _above(most: int) -> int:
    """Return the next number that is 1, 2, 4 or 6 times a power of ten: it has a whole half."""
    power: int = 10 ** (len(str(most)) - 1)
    return next(
        (step * power for step in (1, 2, 4, 6) if step * power >= most and step * power > 1), 10 * power
    )


def ticks(low: float, high: float) -> list[float]:
    """Return three to six round values between two."""
    rough = (high - low) / 4
    power = 10 ** math.floor(math.log10(rough))
    step = next(n * power for n in (1, 2, 2.5, 5, 10) if n * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, int(high / step + 1e-9) + 1)]


def _x(data: Histogram, value: float) -> float:
    return _LEFT + min(max((value - data.low) / (data.high - data.low), 0), 1) * _ROOM


def _grid(most: int, per: str) -> list[str]:
    parts = []
    for count in (0, most // 2, most):
        y = _FLOOR - count / most * (_FLOOR - _TOP)
        parts.append(f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_short(count)}</text>')
    parts.append(f'<text x="{_LEFT - 6}" y="9" text-anchor="end">{per}</text>')
    return parts


def _short(count: int) -> str:
    return f"{count:,}" if count < 10_000 else f"{count / 1000:g}k"


def _tick(data: Histogram, at: float, unit: Callable[[float], str]) -> str:
    x = _x(data, at)
    return (
        f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{_FLOOR}" y2="{_FLOOR + 4}"/>'
        f'<text x="{x:.1f}" y="{_HEIGHT - 4}" text-anchor="middle">{escape(unit(at))}</text>'
    )


def _marked(data: Histogram, name: str, value: float, unit: Callable[[float], str]) -> list[str]:
    x = _x(data, value)
    anchor, shift = ("end", 3) if x > _WIDTH / 2 else ("start", -3)
    told = escape(f"{name} {unit(value)}")
    return [
        f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="12" y2="{_FLOOR}"/>',
        f'<text class="mark" x="{x + shift:.1f}" y="9" text-anchor="{anchor}">{told}</text>',
    ]


def _bar(data: Histogram, index: int, most: int, unit: Callable[[float], str]) -> str:
    count, width = data.counts[index], _ROOM / len(data.counts)
    height = 0.0 if not count else max(1.5, count / most * (_FLOOR - _TOP))
    low = data.low + index * data.step
    last = data.over and index == len(data.counts) - 1
    span = f"{unit(low)} or more" if last else f"{unit(low)} to {unit(low + data.step)}"
    return (
        f'<rect class="bar{" over" if last else ""}" x="{_LEFT + index * width + 0.5:.1f}" width="{width - 1:.1f}" '
        f'y="{_FLOOR - height:.1f}" height="{height:.1f}"><title>{escape(f"{span}: {count:,}")}</title></rect>'
    )
