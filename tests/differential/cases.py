"""What is compared: each case is one run of plain `evaluate` or `aevaluate`, and one command of ours.

Kinds that differ in nothing but what the target does in its body share a run: a dispatching target calls the one
that its example names. What differs in how it is called has a run of its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import diff_judges  # type: ignore[import-not-found]
import diff_raising  # type: ignore[import-not-found]
import diff_returns  # type: ignore[import-not-found]
import diff_returns_more  # type: ignore[import-not-found]  # in corpus/, on the path by conftest.py
import diff_tracing  # type: ignore[import-not-found]
import plain  # type: ignore[import-not-found]


def functions_of(module: ModuleType) -> tuple[str, ...]:
    """Return the names of what a module of the corpus defines to be called: its public functions and objects."""
    return tuple(
        name
        for name, value in vars(module).items()
        if callable(value)
        and not inspect.isclass(value)
        and not name.startswith("_")
        and getattr(value, "__module__", None) == module.__name__
    )


SEES = ("saw", "by_name")


@dataclass(frozen=True)
class Case:
    """One comparison.

    Attributes:
        target: `module:name` in the corpus; what ours is given.
        meant: the name of what the SDK is given in its place, where it does not understand the target.
        shim: what stands between the SDK and that.
        examples: values of `case` in the examples' inputs; none, and there are two examples.
        evaluators: names in diff_judges.
        attached: the examples have attachments.
    """

    target: str
    meant: str | None = None
    shim: Callable[[Any], Any] | None = None
    examples: tuple[str, ...] = ()
    evaluators: tuple[str, ...] = SEES
    attached: bool = False

    @property
    def id(self) -> str:
        """Return what the case is called in pytest."""
        return self.target.replace("diff_", "").replace(":", "-")


def _names(module: Any, *, coroutines: bool, but: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the targets of a module that take `inputs` and are called alike."""
    return tuple(
        name
        for name, value in vars(module).items()
        if inspect.isfunction(value)
        and value.__module__ == module.__name__
        and list(inspect.signature(value).parameters) == ["inputs"]
        and inspect.iscoroutinefunction(value) is coroutines
        and not inspect.isgeneratorfunction(value)
        and not inspect.isasyncgenfunction(value)
        and not name.startswith("every")
        and not hasattr(value, "__langsmith_traceable__")
        and name not in but
    )


_AWAITED = [
    "async_called",
    "partial_of_async_called",
    "wrapped_async",
    "later",
    "later_called",
    "lambda_of_async",
]
_AWAITED += ["lambda_of_promise", "lambda_of_twice", "gives_a_coroutine"]
_AWAITED += ["wrapped_async_traced", "generator_based"]
_GENERATORS = [
    "generator",
    "generator_with_a_return",
    "empty_generator",
    "generator_of_messages",
    "partial_of_generator",
]
_GENERATORS += ["traced_generator", "reduced_generator", "reduced_badly", "reduced_stream"]
_ASYNC_GENERATORS = ["async_generator", "empty_async_generator", "traced_async_generator"]
_ASYNC_GENERATORS += ["reduced_async_generator", "reduced_async_stream"]
_SIMPLE = """
    plain agent partial async_partial partial_of_partial wrapped bound async_bound of_class static called named_invoke
    a_lambda traced_method async_traced_method runnable async_runnable chain configured from_traceable traced
    async_traced wrapped_traced processed processed_badly partial_of_traced handled other_name with_metadata
    metadata_first with_defaults metadata_by_default positional with_more with_run_tree
    async_with_run_tree with_config
""".split()  # noqa: SIM905 - read as words
_MEANT = {
    "runs_a_loop": ("meant_by_runs_a_loop", None),
    "traced_later": ("meant_by_traced_later", None),
    "traced_later_processed": ("meant_by_traced_later_processed", None),
    "traced_gives_a_coroutine": ("meant_by_traced_gives_a_coroutine", None),
    "traced_gives_a_generator": ("meant_by_traced_gives_a_generator", plain.consumed),
    "streams": ("meant_by_streams", plain.consumed),
    "async_streams": ("meant_by_async_streams", plain.async_consumed),
    "lambda_of_generator": ("generator", plain.consumed),
    "lambda_of_async_generator": ("async_generator", plain.async_consumed),
    "gives_an_async_generator": ("async_generator", plain.async_consumed),
}

CALLABLES = [
    *(Case(f"diff_callables:{name}") for name in _SIMPLE),
    *(Case(f"diff_callables:{name}", shim=plain.awaited) for name in _AWAITED),
    *(Case(f"diff_callables:{name}", shim=plain.consumed) for name in _GENERATORS),
    *(Case(f"diff_callables:{name}", shim=plain.async_consumed) for name in _ASYNC_GENERATORS),
    *(Case(f"diff_callables:{name}", meant, shim) for name, (meant, shim) in _MEANT.items()),
    Case("diff_callables:attachments", evaluators=(*SEES, "reads_attachments"), attached=True),
    Case("diff_callables:async_attachments", evaluators=("reads_attachments", *SEES), attached=True),
    Case("diff_callables:plain", evaluators=("reads_attachments", "everything", *SEES), attached=True),
]


def _more(*, coroutines: bool) -> tuple[str, ...]:
    return tuple(name for part in diff_returns_more.PARTS for name in _names(part, coroutines=coroutines))


RETURNS = [
    Case("diff_returns:every", examples=_names(diff_returns, coroutines=False)),
    Case("diff_returns:every_async", examples=_names(diff_returns, coroutines=True)),
    Case("diff_returns_more:every", examples=_more(coroutines=False)),
    Case("diff_returns_more:every_async", examples=_more(coroutines=True)),
    Case(
        "diff_returns:traced_every", examples=("model", "message", "usage", "empty", "none", "text", "items")
    ),
]

TRACING = [
    Case("diff_tracing:every", examples=_names(diff_tracing, coroutines=False)),
    Case("diff_tracing:every_async", examples=_names(diff_tracing, coroutines=True)),
]

#: What plain `evaluate` survives: it stands in the corpus before what it does not.
_LAST = list(vars(diff_raising)).index("panics")
_SURVIVED = set(list(vars(diff_raising))[:_LAST])
RAISING = [
    Case(
        "diff_raising:every",
        examples=tuple(
            name
            for name in _names(diff_raising, coroutines=False, but=("lambda_of_async",))
            if name in _SURVIVED
        ),
    ),
    Case(
        "diff_raising:every_async",
        examples=tuple(name for name in _names(diff_raising, coroutines=True) if name in _SURVIVED),
    ),
    Case("diff_raising:traced"),
    Case("diff_raising:async_traced"),
    Case("diff_raising:runnable"),
    Case("diff_raising:lambda_of_async", shim=plain.awaited),
    Case("diff_raising:generator", shim=plain.consumed),
    Case("diff_raising:async_generator", shim=plain.async_consumed),
    Case("diff_raising:traced_generator", shim=plain.consumed),
    Case("diff_raising:traced_async_generator", shim=plain.async_consumed),
    Case("diff_raising:reduced_stream", shim=plain.consumed),
]

_JUDGES = tuple(name for name in functions_of(diff_judges) if name not in ("shape", "shape_text"))
JUDGES = [
    Case("diff_callables:plain", evaluators=_JUDGES),
    Case("diff_callables:agent", evaluators=_JUDGES),
    Case("diff_raising:at_once", evaluators=_JUDGES),
]
