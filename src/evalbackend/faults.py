"""A plan of faults: a server that misbehaves exactly as told, so that clients can be judged under it.

    seed = 7
    conflict_mode = "batch"          # any repeated run operation: 409, and nothing of the request is applied
    ingest_window_hours = 24         # a run that began longer ago, or begins later: 422, and nothing is applied

    [[fault]]
    match = "POST /runs/multipart"   # method and path, * matches anything; the path without /api/v1
    action = "status"                # status | forget | late | cut_before | cut_after | stall | delay
    status = 429
    retry_after = 1                  # seconds
    after_s = 2.0                    # the rule holds from 2 s after arming
    for_s = 5.0                      # and for 5 s
    first_n = 3                      # only the first 3 matching requests
    fraction = 0.5                   # only half of them, by lot
    carries = "018f..."              # only POST /runs/multipart with this text in its body: a run's id, say

The first rule that fires decides; one with `carries` has to read the request first, so that it comes after
those without, and can only answer a `status`. `stall` waits `seconds` and then goes on; `delay` goes on at
once and holds the answer back for `seconds`; `cut_before` and `cut_after` close the connection without an
answer, before or after the request was carried out. `forget` answers as if all were well and keeps nothing of
some traces: the lot is drawn once per root run, by seed and trace id, for its children and feedback too.
`late` keeps the runs of a request, answers, and shows them to readers only `seconds` later, or when the
server is started again; /_admin/truth knows them at once.

409 comes in four kinds. conflict_mode "partial" (unless told otherwise): what is new in a request is kept,
and the answer is 409 only if nothing was new. "batch": one repeated operation is enough, and nothing of
the request is kept, so that a client which takes 409 for success loses the rest. `status = 409` refuses
before anything is read: a client that takes it for success loses everything. `cut_after` keeps the request
and does not answer, so that the client's next attempt gets an honest 409.
"""

from __future__ import annotations

import hashlib
import random
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta, timezone
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from evalbackend.errors import ConfigError, HttpError
from evalbackend.wire.ingest import Batch

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ACTIONS = ("status", "forget", "cut_before", "cut_after", "stall", "delay", "late")
_OF_BATCHES = ("forget", "late")  # these need the request to be read first
_NUMBERS = {"status", "retry_after", "seconds", "after_s", "for_s", "first_n", "fraction"}


@dataclass(slots=True)
class Rule:
    """One `[[fault]]` of a plan; times in seconds, counted from arming."""

    match: str
    action: str
    status: int = 503
    retry_after: float | None = None
    seconds: float = 0.0
    after_s: float = 0.0
    for_s: float | None = None
    first_n: int | None = None
    fraction: float = 1.0
    carries: str | None = None
    matched: int = 0
    fired: int = 0

    def covers(self, method: str, path: str, age: float) -> bool:
        """Whether the rule is about this request, at this age of the plan."""
        late = self.for_s is not None and age >= self.after_s + self.for_s
        return age >= self.after_s and not late and fnmatchcase(f"{method} {path}", self.match)


@dataclass(slots=True)
class FaultPlan:
    """Rules in order, and what they have done so far."""

    rules: list[Rule] = field(default_factory=list)
    seed: int = 0
    conflict_mode: str = "partial"
    ingest_window_hours: float | None = None
    clock: Callable[[], float] = time.monotonic
    forgotten: set[str] = field(default_factory=set)
    _kept: set[str] = field(default_factory=set)
    _roots: dict[str, str] = field(default_factory=dict)
    _armed: float | None = None
    _lots: random.Random = field(default_factory=random.Random)

    @classmethod
    def from_document(cls, document: Mapping[str, Any], origin: str) -> FaultPlan:
        """Return the plan told by parsed TOML or JSON; ConfigError names what is wrong, and where."""
        unknown = document.keys() - {"fault", "seed", "conflict_mode", "ingest_window_hours"}
        if unknown:
            raise ConfigError(f"{origin}: unknown key {sorted(unknown)[0]!r} in the fault plan")
        mode = document.get("conflict_mode", "partial")
        if mode not in ("partial", "batch"):
            raise ConfigError(f"{origin}: conflict_mode must be partial or batch")
        seed, told = document.get("seed", 0), document.get("fault", [])
        if not isinstance(seed, int) or not isinstance(told, list):
            raise ConfigError(f"{origin}: seed must be an integer and fault a list of tables")
        rules = [_rule(one, f"{origin}: fault {number}") for number, one in enumerate(told, 1)]
        hours = document.get("ingest_window_hours")
        if hours is not None and not _is_amount(hours):
            raise ConfigError(f"{origin}: ingest_window_hours must be a number of at least 0")
        return cls(rules=rules, seed=seed, conflict_mode=mode, ingest_window_hours=hours)

    def arm(self) -> None:
        """Start the clock of the windows, and the lots."""
        self._armed = self.clock()
        self._lots = random.Random(self.seed)  # noqa: S311

    def strike(self, method: str, path: str) -> Rule | None:
        """Return the rule that this request runs into, counted as fired; None lets it pass."""
        for rule in self.rules:
            early = rule.action not in _OF_BATCHES and rule.carries is None
            if early and rule.covers(method, path, self._age()) and self._hit(rule):
                return rule
        return None

    def strike_body(self, method: str, path: str, body: bytes) -> Rule | None:
        """Return the rule about what a request carries that this one runs into, counted as fired."""
        for rule in self.rules:
            meant = rule.carries is not None and rule.carries.encode() in body
            if meant and rule.covers(method, path, self._age()) and self._hit(rule):
                return rule
        return None

    def lateness(self, method: str, path: str) -> float | None:
        """Return for how many seconds the runs of this request are to be held back from readers."""
        for rule in self.rules:
            if rule.action == "late" and rule.covers(method, path, self._age()) and self._hit(rule):
                return rule.seconds
        return None

    def refuse_outside_window(self, batch: Batch) -> None:
        """Raise 422 for a batch of which one run begins outside the window, as the hosted service does.

        The whole request fails (langsmith-data-migration-tool, pull request 152); a self-hosted one only warns.
        """
        if self.ingest_window_hours is None:
            return
        now, window = datetime.now(timezone.utc), timedelta(hours=self.ingest_window_hours)
        for op in batch.ops:
            start = op.values.get("start_time")
            if start is not None and abs(now - datetime.fromisoformat(start)) > window:
                raise HttpError(422, f"start_time of run {op.run_id} is outside of the window of {window}")

    def drop_forgotten(self, method: str, path: str, batch: Batch) -> None:
        """Take out of a batch whatever belongs to a trace that is to be forgotten."""
        rules = [
            rule for rule in self.rules if rule.action == "forget" and rule.covers(method, path, self._age())
        ]
        if not rules and not self.forgotten:
            return
        for op in batch.ops:
            if op.trace_id is not None:
                self._roots.setdefault(op.run_id, op.trace_id)
        batch.ops = [op for op in batch.ops if not self._forgets(op.trace_id or op.run_id, rules)]
        batch.feedback = [
            one for one in batch.feedback if not self._forgets(one.trace_id or one.run_id, rules)
        ]
        batch.attachments = [one for one in batch.attachments if not self._forgets(one.run_id, rules)]

    def report(self) -> dict[str, Any]:
        """Return what the plan has done: how often each rule matched and fired, and the forgotten traces."""
        told = ("match", "action", "matched", "fired")
        rules = [{name: getattr(rule, name) for name in told} for rule in self.rules]
        return {"rules": rules, "forgotten": sorted(self.forgotten), "conflict_mode": self.conflict_mode}

    def _age(self) -> float:
        return -1.0 if self._armed is None else self.clock() - self._armed

    def _hit(self, rule: Rule) -> bool:
        rule.matched += 1
        if rule.first_n is not None and rule.matched > rule.first_n:
            return False
        if rule.fraction < 1.0 and self._lots.random() >= rule.fraction:
            return False
        rule.fired += 1
        return True

    def _forgets(self, run_id: str | None, rules: list[Rule]) -> bool:
        if run_id is None:
            return False
        trace = self._roots.get(run_id, run_id)
        if trace in self.forgotten or trace in self._kept or not rules:
            return trace in self.forgotten
        rule = rules[0]
        rule.matched += 1
        chosen = self._lot(trace) < rule.fraction and (rule.first_n is None or rule.fired < rule.first_n)
        rule.fired += chosen
        (self.forgotten if chosen else self._kept).add(trace)
        return chosen

    def _lot(self, trace: str) -> float:
        digest = hashlib.sha256(f"{self.seed}:{trace}".encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2**64


def load(path: Path) -> FaultPlan:
    """Return the plan in a TOML file; ConfigError if it cannot be read."""
    try:
        return FaultPlan.from_document(tomllib.loads(path.read_text(encoding="utf-8")), str(path))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"the fault plan {path} cannot be read: {error}") from error


def _is_amount(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0


def _rule(told: Any, where: str) -> Rule:
    if not isinstance(told, dict) or not isinstance(told.get("match"), str):
        raise ConfigError(f'{where} must be a table with match = "METHOD /path"')
    known = {one.name for one in fields(Rule)} - {"matched", "fired"}
    if unknown := told.keys() - known:
        raise ConfigError(f"{where} has the unknown key {sorted(unknown)[0]!r}")
    if told.get("action") not in ACTIONS:
        raise ConfigError(f"{where}: action must be one of {', '.join(ACTIONS)}")
    for name in told.keys() & _NUMBERS:
        if not _is_amount(told[name]):
            raise ConfigError(f"{where}: {name} must be a number of at least 0")
    if told["action"] == "status" and not 200 <= told.get("status", 503) <= 599:
        raise ConfigError(f"{where}: status must be an HTTP status from 200 to 599")
    carries = told.get("carries")
    if carries is not None and not (isinstance(carries, str) and carries and told["action"] == "status"):
        raise ConfigError(f'{where}: carries must be a text, and goes with action = "status" alone')
    return Rule(**told)
