"""Two experiments side by side: what became better and what worse, example by example, in SQL."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from evalbackend.store.scope import Scope
from evalbackend.web.digest import Digests
from evalbackend.web.text import Field

PAGE = 50
SHOWS = {
    "changed": "changed",
    "worse": "worse",
    "better": "better",
    "same": "same",
    "one": "in one only",
    "all": "all",
}
_EPSILON = "1e-9"
_PAIR = f"""
INSERT INTO pairs
WITH both AS (SELECT example_id FROM plan WHERE session = :a UNION SELECT example_id FROM plan WHERE session = :b),
rows AS (SELECT COALESCE(pb.pos, pa.pos) AS pos, both.example_id, COALESCE(pb.version, pa.version) AS version,
    sa.mean AS a, sb.mean AS b, sb.mean - sa.mean AS d, ia.latency AS la, ib.latency AS lb,
    COALESCE(ia.failed, 0) AS fa, COALESCE(ib.failed, 0) AS fb, COALESCE(ia.counted, 0) AS na,
    COALESCE(ib.counted, 0) AS nb
FROM both
LEFT JOIN plan pa ON pa.session = :a AND pa.example_id = both.example_id
LEFT JOIN plan pb ON pb.session = :b AND pb.example_id = both.example_id
LEFT JOIN items ia ON ia.session = :a AND ia.pos = pa.pos
LEFT JOIN items ib ON ib.session = :b AND ib.pos = pb.pos
LEFT JOIN item_scores sa ON sa.session = :a AND sa.key = :key AND sa.pos = pa.pos
LEFT JOIN item_scores sb ON sb.session = :b AND sb.key = :key AND sb.pos = pb.pos)
SELECT :of, pos, example_id, version, a, b, d, CASE WHEN a IS NULL AND b IS NULL THEN 'none'
    WHEN a IS NULL OR b IS NULL THEN 'one' WHEN d < -{_EPSILON} THEN 'worse' WHEN d > {_EPSILON} THEN 'better'
    ELSE 'same' END, la, lb, fa, fb, na, nb FROM rows
"""  # noqa: S608
_SHARED = """
SELECT AVG(sa.mean), AVG(sb.mean), COUNT(*) FROM plan pa
JOIN plan pb ON pb.session = :b AND pb.example_id = pa.example_id
JOIN item_scores sa ON sa.session = :a AND sa.key = :key AND sa.pos = pa.pos AND sa.mean IS NOT NULL
JOIN item_scores sb ON sb.session = :b AND sb.key = :key AND sb.pos = pb.pos AND sb.mean IS NOT NULL
WHERE pa.session = :a"""
_OWN = "SELECT AVG(mean), COUNT(mean) FROM item_scores WHERE session = ? AND key = ?"
_WHERE = {"all": "1", "changed": "way IN ('worse', 'better')"}


@dataclass(slots=True)
class Pair:
    """One example in both experiments."""

    example_id: str
    version: int
    a: float | None
    b: float | None
    delta: float | None
    way: str
    latency_a: float | None
    latency_b: float | None
    failed_a: int
    failed_b: int
    counted_a: int
    counted_b: int
    run_a: str | None = None
    run_b: str | None = None
    inputs: list[Field] = field(default_factory=list)
    reference: list[Field] = field(default_factory=list)
    outputs_a: list[Field] = field(default_factory=list)
    outputs_b: list[Field] = field(default_factory=list)
    error_a: str | None = None
    error_b: str | None = None


def counts(digests: Digests, a: Scope, b: Scope, key: str) -> dict[str, int]:
    """Pair the examples, and count how many became better, worse, stayed, or have a score in one only."""
    named = {"of": f"{a.id} {b.id} {key}", "a": a.id, "b": b.id, "key": key}
    if not digests.rows("SELECT 1 FROM pairs WHERE of = :of LIMIT 1", **named):
        digests.rows("DELETE FROM pairs")
        digests.rows(_PAIR, **named)
    found = dict(digests.rows("SELECT way, COUNT(*) FROM pairs GROUP BY way"))
    told = {way: found.get(way, 0) for way in ("worse", "better", "same", "one", "none")}
    return {**told, "changed": told["worse"] + told["better"], "all": sum(told.values())}


def pairs(digests: Digests, a: Scope, b: Scope, show: str, page: int) -> list[Pair]:
    """Return a page of the examples that `counts` paired, the largest loss first, then the largest gain."""
    where = _WHERE.get(show, "way = :show")
    rows = digests.rows(
        "SELECT example_id, version, a, b, delta, way, latency_a, latency_b, failed_a, failed_b, counted_a, "  # noqa: S608
        f"counted_b FROM pairs WHERE {where} ORDER BY delta IS NULL, delta >= 0, ABS(delta) DESC, pos "
        f"LIMIT {PAGE} OFFSET :offset",
        show=show,
        offset=(page - 1) * PAGE,
    )
    found = [Pair(*row) for row in rows]
    for pair in found:
        pair.run_a, pair.run_b = (_run(digests, side.id, pair.example_id) for side in (a, b))
    return found


def _run(digests: Digests, session: str, example_id: str) -> str | None:
    rows = digests.rows(
        "SELECT r.id FROM plan p JOIN roots r INDEXED BY roots_by_pos ON r.session = p.session AND r.pos = p.pos "
        "WHERE p.session = ? AND p.example_id = ? AND r.kind = 'counted' "
        "ORDER BY r.failed DESC, r.start_time LIMIT 1",
        session,
        example_id,
    )
    return rows[0][0] if rows else None


def means(digests: Digests, a: Scope, b: Scope, keys: list[str]) -> list[dict[str, Any]]:
    """Return, for every key, each experiment's mean over the examples that both have scored.

    Means over different examples would differ although no example does. A key that only one of them has is
    shown with that one's mean, and without a difference.
    """
    return digests.once(("means", a.id, b.id), lambda: [_means(digests, a, b, key) for key in keys])


def first_key(means: list[dict[str, Any]]) -> str:
    """Return the key to compare by if none is asked for: that with the most examples scored in both."""
    return max(means, key=lambda told: told["n"], default={"key": ""})["key"]


def _means(digests: Digests, a: Scope, b: Scope, key: str) -> dict[str, Any]:
    named = {"a": a.id, "b": b.id, "key": key}
    mean_a, mean_b, shared = digests.rows(_SHARED, **named)[0]
    (own_a, n_a), (own_b, n_b) = (digests.rows(_OWN, side.id, key)[0] for side in (a, b))
    told = {"key": key, "n": shared, "n_a": n_a, "n_b": n_b}
    if not shared:
        return {**told, "a": own_a, "b": own_b, "delta": None}
    return {**told, "a": mean_a, "b": mean_b, "delta": mean_b - mean_a}
