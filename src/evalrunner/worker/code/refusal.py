"""Making the SDK's evaluations ask `importing.refuse` while the user's code is loaded.

User code binds these functions early and under any name (`from langsmith import evaluate`, `Client.evaluate`), so
what is exchanged for a while is their code, not their names: whatever refers to one of them is refused, before it
has asked the service anything.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from langsmith.evaluation import (
    aevaluate,
    aevaluate_existing,
    evaluate,
    evaluate_comparative,
    evaluate_existing,
)

from evalrunner.importing import nothing_evaluates

#: Every way into an evaluation; `Client.evaluate` and `Client.aevaluate` call them too (client.py:10463, 10721).
WAYS_IN: tuple[Any, ...] = (
    evaluate,
    evaluate_existing,
    evaluate_comparative,
    aevaluate,
    aevaluate_existing,
)


@contextlib.contextmanager
def no_evaluations() -> Iterator[None]:
    """Refuse every evaluation while the user's modules, target and evaluators are made.

    Raises:
        TargetError: something in there tried to evaluate.
    """
    kept = [(function, function.__code__) for function in WAYS_IN]
    with nothing_evaluates():
        try:
            for function, code in kept:
                function.__code__ = _refuse.__code__.replace(co_name=code.co_name)
            yield
        finally:
            for function, code in kept:
                function.__code__ = code


def _refuse(*_: Any, **__: Any) -> None:
    """Stand in for a function of the SDK: its globals are the SDK's, so it brings its own imports."""
    import sys  # noqa: PLC0415

    from evalrunner.importing import refuse  # noqa: PLC0415

    refuse(sys._getframe().f_code.co_name)
