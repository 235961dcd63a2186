"""Scores and latencies of a whole experiment, as figures and as distributions."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from markupsafe import Markup

from evalrunner.backend.web import text
from evalrunner.backend.web.digest import Digests
from evalrunner.backend.web.plots import categories, draw, histogram, latencies
from evalrunner.backend.web.scope import Scope
from evalrunner.backend.web.table import score_keys

_FEW = 6  # different values: each has a bar of its own
_ROWS = (
    "SELECT score, value, COUNT(*) FROM scores INDEXED BY scores_by_key "
    "WHERE session = ? AND key = ? AND pos IS NOT NULL GROUP BY score, value"
)


@dataclass(frozen=True, slots=True)
class ScoreLine:
    """One evaluator's key over the runs that count; `whole`: its scores have no fractions."""

    key: str
    n: int
    of: int
    mean: float | None
    whole: bool
    plot: Markup


def score_lines(digests: Digests, scope: Scope, of: int) -> list[ScoreLine]:
    """Return a line for every key."""
    return digests.once(
        ("scores", scope.id), lambda: [_line(digests, scope, key, of) for key in score_keys(digests, scope)]
    )


def _line(digests: Digests, scope: Scope, key: str, of: int) -> ScoreLine:
    rows = digests.rows(_ROWS, scope.id, key)
    numbers: Counter[float] = Counter()
    values: Counter[str] = Counter()
    for number, value, count in rows:
        if number is not None:
            numbers[number] += count
        elif value is not None:
            values[text.one_line(value, 40)] += count
    total, name = numbers.total(), f"scores of {text.one_line(key, 60)}"
    mean = sum(number * count for number, count in numbers.items()) / total if total else None
    whole = all(math.isfinite(number) and number == int(number) for number in numbers)
    return ScoreLine(key, total + values.total(), of, mean, whole, _plot(numbers, values, mean, name))


def _plot(numbers: Counter[float], values: Counter[str], mean: float | None, name: str) -> Markup:
    if len(numbers) + len(values) <= _FEW or mean is None:
        named = [(text.score(number), count) for number, count in sorted(numbers.items(), reverse=True)]
        rest = values.total() - sum(count for _, count in values.most_common(_FEW))
        return categories([*named, *values.most_common(_FEW), *([("others", rest)] if rest else [])], name)
    return draw(histogram(numbers.items()), name, text.tick, ("mean", round(mean, 3)))


@dataclass(frozen=True, slots=True)
class Latency:
    """How long the counted runs took."""

    n: int
    p50: float | None
    p95: float | None
    high: float | None
    plot: Markup


def latency(digests: Digests, scope: Scope) -> Latency:
    """Return the distribution of latencies."""
    return digests.once(("latency", scope.id), lambda: _latency(digests, scope))


def _latency(digests: Digests, scope: Scope) -> Latency:
    rows = digests.rows(
        "SELECT latency FROM roots INDEXED BY roots_by_kind WHERE session = ? AND kind = 'counted' "
        "AND latency IS NOT NULL",
        scope.id,
    )
    values = sorted(row[0] for row in rows)
    if not values:
        return Latency(0, None, None, None, draw(None, "", text.seconds))
    p50, p95 = (values[min(int(share * len(values)), len(values) - 1)] for share in (0.5, 0.95))
    plot = draw(latencies(values), "latencies", text.tick_seconds, ("median", float(f"{p50:.3g}")))
    return Latency(len(values), p50, p95, values[-1], plot)


def summaries(digests: Digests, scope: Scope) -> list[tuple[str, str]]:
    """Return what summary evaluators said about the experiment as a whole."""
    rows = digests.rows("SELECT key, score, value FROM summaries WHERE session = ?", scope.id)
    return [
        (key, text.score(mark) if mark is not None else text.one_line(value or "–"))
        for key, mark, value in rows
    ]
