"""The differences from plain `evaluate` and `aevaluate` that are meant, each with its reason; there are no others.

A test fails when one that is not listed shows up, and when one that is listed does not.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Difference:
    """One kind of difference.

    Attributes:
        path: of the field, from the example on, as a regular expression for all of it.
        reason: why it is right.
        where: further condition on (case id, plain value, our value).
    """

    path: str
    reason: str
    where: Callable[[str, Any, Any], bool] = lambda case, plain, ours: True

    def covers(self, case: str, path: str, plain: Any, ours: Any) -> bool:
        """Tell whether it is a difference of this kind."""
        return bool(re.fullmatch(self.path, path)) and self.where(case, plain, ours)


def _new(case: str, plain: Any, ours: Any) -> bool:
    return bool(plain == "<nothing>")


DIFFERENCES = (
    Difference(
        r"/[^/]+(/scores/\d+/(comment|judge/outputs/comment|judge/inputs/(run|prediction)))?/name",
        "The SDK calls every root run Target or AsyncTarget; ours has the function's own name.",
        lambda case, plain, ours: plain in ("Target", "AsyncTarget"),
    ),
    Difference(
        r".*/metadata/evalrunner_(attempt|repetition|worker|evaluators)",
        "Who executed the item, which attempt it was, and which evaluators have seen it.",
        _new,
    ),
    Difference(
        r"/[^/]+/scores/\d+/judge/inputs/run",
        "As above, in the text of a run.",
        lambda case, plain, ours: str(plain).startswith("RunTree(") and "Target'" in plain,
    ),
    Difference(
        r".*/metadata/LANG(SMITH|CHAIN)_\w+",
        "The environment's variables may hold secrets: only harmless ones are let into runs.",
        lambda case, plain, ours: ours == "<nothing>",
    ),
    Difference(
        r".*/metadata/__ls_runner",
        "The SDK puts its runner's name into runs where it makes the experiment itself, not into those of one "
        "that it is given (_runner.py:1260).",
        lambda case, plain, ours: ours == "<nothing>",
    ),
    Difference(
        r"/[^/]+/scores/\d+/judge/metadata/(reference_example_id|reference_run_id)",
        "`evaluate` says these of an evaluator's run; `aevaluate`, which a worker uses, does not.",
        lambda case, plain, ours: ours == "<nothing>",
    ),
    Difference(
        r".*error/trace",
        "The SDK ends an async function's run in another thread, where there is no traceback (run_helpers.py:757).",
        lambda case, plain, ours: plain is None,
    ),
    Difference(
        r"/[^/]+/scores/\d+/judge",
        "`aevaluate` gives a sync evaluator's run another id than the one that its score points to "
        "(evaluator.py:449).",
        lambda case, plain, ours: plain == "is not there" and isinstance(ours, dict),
    ),
    Difference(
        r"/attaches/attachments",
        "The reference's client does not batch, and then the SDK leaves attachments out (client.py:3820).",
        lambda case, plain, ours: plain == [] and ours == ["plot"],
    ),
)
