"""Scores and latencies of a whole experiment, as figures and as distributions."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from markupsafe import Markup

from evalrunner.backend.web import text
from evalrunner.backend.web.digest import Digests
from evalrunner.backend.web.plots import draw, histogram, latencies
from evalrunner.backend.web.scope import Scope
from evalrunner.backend.web.table import score_keys

_ROWS = (
    "SELECT s.score, s.value FROM roots r CROSS JOIN scores s ON s.session = r.session AND s.run_id = r.id "
    "WHERE r.session = ? AND r.kind = 'counted' AND s.key = ?"
)


@dataclass(frozen=True, slots=True)
class ScoreLine:
    """One evaluator's key over the experiment."""

    key: str
    n: int
    of: int
    mean: float | None
    plot: Markup
    values: list[tuple[str, int]]


def score_lines(digests: Digests, scope: Scope, of: int) -> list[ScoreLine]:
    """Return a line for every key."""
    return digests.once(
        ("scores", scope.id), lambda: [_line(digests, scope, key, of) for key in score_keys(digests, scope)]
    )


def _line(digests: Digests, scope: Scope, key: str, of: int) -> ScoreLine:
    rows = digests.rows(_ROWS, scope.id, key)
    numbers = [row[0] for row in rows if row[0] is not None]
    mean = sum(numbers) / len(numbers) if numbers else None
    values = Counter(text.one_line(row[1], 40) for row in rows if row[0] is None and row[1] is not None)
    plot = draw(histogram(numbers), f"scores of {text.one_line(key, 60)}", text.score, mean)
    return ScoreLine(key, len(numbers) + values.total(), of, mean, plot, values.most_common(6))


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
    plot = draw(latencies(values), "latencies", text.seconds, p50, over=True)
    return Latency(len(values), p50, p95, values[-1], plot)


def summaries(digests: Digests, scope: Scope) -> list[tuple[str, str]]:
    """Return what summary evaluators said about the experiment as a whole."""
    rows = digests.rows("SELECT key, score, value FROM summaries WHERE session = ?", scope.id)
    return [
        (key, text.score(mark) if mark is not None else text.one_line(value or "–"))
        for key, mark, value in rows
    ]
