"""A worker process: load the target, evaluate what is leased, drain, acknowledge.

    inbox thread  <── pipe ── supervisor          orders: Begin, Lease, Drain, Stop
    main thread   home of a sync target: its import, set-up, calls, tear-down
    loop thread   event loop: lanes, each an aevaluate over leased examples; async targets
    spool thread, sender thread, reporter thread ── pipe ──> supervisor

The end of the pipe means that the supervisor is gone: the worker kills itself and its group at once. What is
in its spool is durable; what is not will be executed again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from evalrunner.delivery.capture.discretion import be_discreet
from evalrunner.delivery.capture.foreign import drain_foreign_clients
from evalrunner.errors import EvalrunnerError, text_of
from evalrunner.protocol.reports import Ack, Ready, SettingUp, StartFailed
from evalrunner.protocol.worker import COULD_NOT_START, WorkerOrder
from evalrunner.worker import summary
from evalrunner.worker.code.check import checked, why_not
from evalrunner.worker.code.containing import after_each_call
from evalrunner.worker.code.evaluators import TrackedEvaluator, names_of
from evalrunner.worker.code.home import Home
from evalrunner.worker.code.loading import Objects, load
from evalrunner.worker.code.refusal import no_evaluations
from evalrunner.worker.code.setting_up import has_tear_down, set_up
from evalrunner.worker.code.target import ASYNC_CONCURRENCY, SYNC_CONCURRENCY, Target
from evalrunner.worker.context import WorkerContext
from evalrunner.worker.early import Early
from evalrunner.worker.inbox import Inbox, sender_of
from evalrunner.worker.lane import Lane
from evalrunner.worker.leaving import Send, leave
from evalrunner.worker.lifeline import Lifeline, waking
from evalrunner.worker.opening import open_context
from evalrunner.worker.prelude import become_worker
from evalrunner.worker.reporter import Reporter

logger = logging.getLogger(__name__)


def main(connection: Any, order: WorkerOrder) -> None:
    """Live a worker's life; never returns to the caller's interpreter shutdown (`os._exit`)."""
    become_worker(order.log, order.env)
    send = sender_of(connection)
    try:
        if order.role == "summarise":
            summary.serve(connection, order.spec, order.endpoint, _shims(order))
        else:
            early = Early(order.endpoint) if order.role != "check" else None
            named, home = _load(order, send), Home()
            if early is None:
                with _told_why(order, send), no_evaluations():
                    send(checked(order, named, home))
                os._exit(0)
            home.live(_live(connection, order, send, named, home, early))
    except _CouldNotStart:
        os._exit(COULD_NOT_START)
    except BaseException as error:  # the target has stopped the event loop, say
        _break_off(send, order, error)
    # Not sys.exit: the SDK's and the user's atexit hooks and non-daemon threads could hold the process
    # for minutes, and everything that is ours is durable by now.
    os._exit(0)


class _CouldNotStart(Exception):
    """The supervisor has been told why."""


def _break_off(send: Send, order: WorkerOrder, error: BaseException) -> None:
    traceback.print_exc()
    leave(send, f"{type(error).__name__}: {error} (the traceback is in {order.log})")


async def _live(
    connection: Any, order: WorkerOrder, send: Send, named: Objects, home: Home, early: Early
) -> None:
    # No way out goes through asyncio's own end: it waits without limit for threads that the target has left.
    try:
        await _work(connection, order, send, named, home, early)
    except _CouldNotStart:
        os._exit(COULD_NOT_START)
    except BaseException as error:
        _break_off(send, order, error)
    os._exit(0)


async def _work(
    connection: Any, order: WorkerOrder, send: Send, named: Objects, home: Home, early: Early
) -> None:
    if has_tear_down(named.target, factory=order.spec.factory):
        send(SettingUp())
        # In this order: whoever sent an order that is not seen here will have heard that a set-up begins. Before
        # it is ready, a worker is told nothing but that it may go.
        if connection.poll():
            os._exit(0)
    inbox = Inbox(connection, send)
    after_each_call(Lifeline(connection.fileno(), *waking(asyncio.get_running_loop())).look)
    stack = AsyncExitStack()
    with _told_why(order, send):
        target, evaluators = await _start(order, named, stack, home)
    concurrency = order.config.max_concurrency or (ASYNC_CONCURRENCY if target.is_async else SYNC_CONCURRENCY)
    target.open_pool(concurrency)
    send(Ready(os.getpid(), concurrency, {one.name: one.known_keys for one in evaluators}))
    begin = await inbox.begin()
    if begin is None:
        trouble = await _tear_down(stack)
        send(Ack(await asyncio.to_thread(drain_foreign_clients, order.config.grace), 0, trouble))
        return
    reporter = Reporter(send, inbox.starving)
    context = open_context(order, inbox, begin, reporter, target, evaluators, concurrency, send)
    early.open(context.pipeline.publish_loose)
    await asyncio.gather(*(Lane(number, context).run() for number in range(concurrency)))
    trouble = await _tear_down(stack)
    await asyncio.to_thread(_drain, order, context, reporter, early, trouble)


async def _tear_down(stack: AsyncExitStack) -> str:
    # Before the drain: a tear-down may still trace. Whatever it raises costs no result.
    try:
        await stack.aclose()
    except BaseException as error:
        logger.exception("tear-down")
        return f"the target's tear-down raised {_said(error)}"[:500]
    return ""


def _load(order: WorkerOrder, send: Send) -> Objects:
    """Import what the user named: in the main thread and without a running loop, as a script would be.

    A supervisor that dies meanwhile takes this process with it (`prelude`), though nobody reads the pipe yet.
    """
    with _told_why(order, send), no_evaluations():
        named = load(order.spec, _shims(order))
    # Now that the user's code has set what it wants to set.
    be_discreet(order.endpoint.key)
    return named


async def _start(
    order: WorkerOrder, named: Objects, stack: AsyncExitStack, home: Home
) -> tuple[Target, list[TrackedEvaluator]]:
    with no_evaluations():
        target = await set_up(named.target, factory=order.spec.factory, stack=stack, home=home)
        pool = ThreadPoolExecutor(
            max(4, order.config.max_concurrency or ASYNC_CONCURRENCY), thread_name_prefix="evaluator"
        )
        names = names_of(order.spec.evaluator_names, named.evaluators)
        judges = zip(names, named.evaluators, strict=True)
        return target, [TrackedEvaluator(evaluator, pool, name) for name, evaluator in judges]


@contextlib.contextmanager
def _told_why(order: WorkerOrder, send: Send) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        logger.exception("could not start")
        why = why_not(error, order.spec.folder) if order.role == "check" else _why_not(error, order.log)
        sure = isinstance(error, EvalrunnerError)
        send(StartFailed(why, traceback.format_exc(), sure))
        raise _CouldNotStart from error


def _shims(order: WorkerOrder) -> Path:
    return order.log.absolute().parent.parent / "modules"


def _why_not(error: BaseException, log: Path) -> str:
    if isinstance(error, EvalrunnerError):
        return str(error)
    return f"target or evaluators cannot be loaded: {_said(error)} (the traceback is in {log})"


def _said(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    except BaseException:
        return text_of(error)


def _drain(
    order: WorkerOrder, context: WorkerContext, reporter: Reporter, early: Early, trouble: str
) -> None:
    """Bring everything out of this process, for at most the grace period, and acknowledge."""
    outside = drain_foreign_clients(order.config.grace)
    endless = _endless(early.flush() + context.book.flush_loose())
    undelivered = context.pipeline.drain(order.config.grace)
    context.pipeline.close()
    context.pipeline.sender.stop()
    reporter.close(outside, undelivered, "; ".join(filter(None, [trouble, endless])))


def _endless(names: list[str]) -> str:
    """Say which traces outside the items will never have an end: the process in which they go on ends here."""
    if not names:
        return ""
    return (
        f"{len(names)} run(s) outside the items had not ended when their worker did: {', '.join(names[:5])}"
    )
