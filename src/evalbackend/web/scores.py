"""Scores and latencies of a whole experiment, as figures and as distributions."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from markupsafe import Markup

from evalbackend.store.scope import Scope
from evalbackend.web import text
from evalbackend.web.digest import Digests
from evalbackend.web.plots import binned, categories, draw, histogram
from evalbackend.web.table import score_keys

_BINS = 32  # of latencies, from 0 to a little above the 99th percentile; what is slower is in the last one
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


_COUNTED = "FROM roots INDEXED BY roots_by_kind WHERE session = :id AND kind = 'counted' AND latency NOT NULL"


def _latency(digests: Digests, scope: Scope) -> Latency:
    n = digests.rows(f"SELECT COUNT(*) {_COUNTED}", id=scope.id)[0][0]
    if not n:
        return Latency(0, None, None, None, draw(None, "", text.seconds))
    at = f"SELECT latency {_COUNTED} ORDER BY latency LIMIT 1 OFFSET :skip"
    skips = [min(int(share * n), n - 1) for share in (0.5, 0.95, 0.99, 1)]
    p50, p95, p99, high = (max(digests.rows(at, id=scope.id, skip=skip)[0][0], 0.0) for skip in skips)
    end = p99 * 1.05 or 0.001
    bins = digests.rows(
        f"SELECT MIN(MAX(CAST(latency / :end * :bins AS INTEGER), 0), :bins - 1), COUNT(*) {_COUNTED} GROUP BY 1",
        id=scope.id,
        end=end,
        bins=_BINS,
    )
    plot = draw(
        binned(bins, end, _BINS, high > end), "latencies", text.tick_seconds, ("median", float(f"{p50:.3g}"))
    )
    return Latency(n, p50, p95, high, plot)


def summaries(digests: Digests, scope: Scope) -> list[tuple[str, str]]:
    """Return what summary evaluators said about the experiment as a whole."""
    rows = digests.rows("SELECT key, score, value FROM summaries WHERE session = ?", scope.id)
    return [
        (key, text.score(mark) if mark is not None else text.one_line(value or "–"))
        for key, mark, value in rows
    ]
