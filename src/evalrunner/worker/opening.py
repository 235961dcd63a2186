"""Putting a worker together, once the experiment is known: spool, sender, client, and what its lanes share."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import langsmith
from langsmith.schemas import TracerSession

from evalrunner import __version__
from evalrunner.delivery.capture.sdk import RecordingClient
from evalrunner.delivery.capture.traces import TraceBook
from evalrunner.delivery.inflight import InFlight
from evalrunner.delivery.pipeline import DeliveryPipeline
from evalrunner.delivery.sending.spools import SpoolSender
from evalrunner.delivery.sending.transport import HttpTransport
from evalrunner.protocol.orders import Begin
from evalrunner.protocol.worker import WorkerOrder
from evalrunner.service.capabilities import takes_zstd
from evalrunner.worker.code.evaluators import TrackedEvaluator
from evalrunner.worker.code.target import Target
from evalrunner.worker.context import WorkerContext
from evalrunner.worker.inbox import Inbox
from evalrunner.worker.leaving import Send, leave
from evalrunner.worker.reporter import Reporter


def open_context(
    order: WorkerOrder,
    inbox: Inbox,
    begin: Begin,
    reporter: Reporter,
    target: Target,
    evaluators: list[TrackedEvaluator],
    concurrency: int,
    send: Send,
) -> WorkerContext:
    """Open spool, sender and client of a worker that has been told of its experiment; from now on it is traced."""
    experiment = TracerSession(**begin.experiment)
    pipeline = _open_pipeline(order, begin, reporter)
    book = TraceBook(
        pipeline.publish_loose,
        open_live=(lambda trace, posts: pipeline.publish_opening(trace.item, trace.token, posts))
        if order.config.live
        else None,
        unsent=reporter.unspooled,
    )
    client = RecordingClient(
        book,
        experiment,
        api_url=order.endpoint.url,
        api_key=order.endpoint.key,
        workspace_id=order.endpoint.workspace,
        # Asked once, by the supervisor: in an outage every client would otherwise wait for it for seconds.
        info=begin.info,
        # Not OpenTelemetry, whatever the environment says: its spans would go past the books.
        tracing_mode="langsmith",
        # An evaluation of which a part is sampled away would look like loss.
        tracing_sampling_rate=1.0,
    )
    langsmith.configure(client=client)
    return WorkerContext(
        client=client,
        experiment=experiment,
        target=target,
        evaluators=evaluators,
        book=book,
        pipeline=pipeline,
        reporter=reporter,
        in_flight=InFlight(Path(begin.board), concurrency),
        next_item=inbox.next_item,
        repetitions=begin.repetitions,
        metadata=begin.metadata,
        segment=max(10, order.config.segment // concurrency),
        grace=order.config.grace,
        patience=order.config.delivery_deadline,
        trace_evaluators=order.config.trace_evaluators,
        worker_id=str(order.worker_id),
        leave=functools.partial(leave, send),
        ward=inbox.ward,
    )


def _open_pipeline(order: WorkerOrder, begin: Begin, reporter: Reporter) -> DeliveryPipeline:
    def new_sender(boundary: str) -> SpoolSender:
        url, key, workspace = order.endpoint.url, order.endpoint.key, order.endpoint.workspace
        return SpoolSender(
            lambda: HttpTransport(url, key, workspace=workspace),
            compress=takes_zstd(begin.info),
            deadline=order.config.delivery_deadline,
            note=reporter.note,
            # A request costs the worker and the server about a millisecond each: slow items share one.
            linger=0.25,
            boundary=boundary,
        )

    info = {"worker": order.worker_id, "pid": os.getpid(), "evalrunner": __version__}
    return DeliveryPipeline(Path(begin.spool), info=info, listener=reporter, new_sender=new_sender)
