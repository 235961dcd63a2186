"""Sending envelopes again, as they are: the same bytes, ids and times, under our own key.

    envelope ─> POST ─┬─ 2xx ───────────────────> done/
                      ├─ 409, 413, 400 and the like ──> operation by operation
                      │        └─ 2xx, 409: done; else refused, with the service's words, and the envelope stays
                      └─ 429, 5xx, 401, no answer ──> the same again, until `deadline` seconds without any success

A 409 to one operation alone says that it was taken before; to several, that one of them was. An envelope moves to
`done/` when the service has all of it: killed before that, the next replay sends it again, and is answered 409.
"""

from __future__ import annotations

import contextlib
import random
import threading
from collections import Counter, deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalrunner.clock import SYSTEM
from evalrunner.config import DELIVERY_DEADLINE, Endpoint
from evalrunner.delivery.sending.exchange import reply_to
from evalrunner.delivery.sending.reply import Reply
from evalrunner.delivery.sending.retry import Verdict, next_delay
from evalrunner.delivery.sending.transport import HttpTransport
from evalrunner.delivery.spool.record import Op
from evalrunner.errors import RunBroken, ServiceError, TransportError
from evalrunner.service.capabilities import takes_multipart, takes_zstd
from evalrunner.service.client import make_client
from evalrunner.service.errors import host
from evalrunner.service.preflight import check
from evalrunner.shortage import shortage
from evalrunner.transfer.replay.envelopes import DONE, Envelope, UnreadError, listed, read
from evalrunner.transfer.replay.summary import Replayed

#: Failures after which a request lets the others pass it, and is divided; without any answer, which is mostly an
#: outage, it is divided later.
_IN_PLACE, _UNANSWERED = 3, 9
#: Seconds between two tries while the key is refused; between two words about how far it is.
_PROBE, _TELL_EVERY = 30.0, 5.0
_NO_ANSWER = "no answer"


def replay(
    endpoint: Endpoint,
    folder: Path,
    *,
    only: Collection[str] | None = None,
    delivery_deadline: float = DELIVERY_DEADLINE,
    note: Callable[[str], None] = lambda text: None,
) -> Replayed:
    """Send what the SDK left in `LANGSMITH_FAILED_TRACES_DIR`, verbatim.

    Args:
        folder: that folder; what is done is moved to `done` in it.
        only: names of the files that are meant; None for all.
        delivery_deadline: seconds without any success after which the rest stays where it is.
        note: takes how far it is and what holds it up, for people.

    Raises:
        UsageError: the folder or the service cannot be used; nothing was sent.
        RunBroken: the folder cannot be read or written any more; the same call goes on.
    """
    paths = [path for path in listed(folder) if only is None or path.name in only]
    client = make_client(endpoint)
    info: dict[str, Any] = check(client).model_dump(mode="json")
    where = host(endpoint.url)
    if not takes_multipart(info):
        raise ServiceError(f"LangSmith at {where} does not take POST /runs/multipart; update it")
    transport = HttpTransport(endpoint.url, endpoint.key, workspace=endpoint.workspace)
    work = _Replay(transport, Replayed(str(folder), where), takes_zstd(info), delivery_deadline, note)
    try:
        return work.carry_out(paths)
    except OSError as error:
        found = shortage(error, folder)
        raise RunBroken(f"the replay cannot go on: {found.cause}; {found.remedy}") from error


@dataclass
class _Piece:
    """What one request carries: an envelope as it is, or one operation of it."""

    path: Path
    op: Op | None = None
    failures: int = 0


class _Replay:
    """One replay: a queue of requests, one after the other."""

    def __init__(
        self,
        transport: HttpTransport,
        result: Replayed,
        zstd: bool,
        deadline: float,
        note: Callable[[str], None],
    ) -> None:
        self._transport, self._result, self._zstd = transport, result, zstd
        self._deadline, self._note = deadline, note
        self._rng = random.Random()  # noqa: S311  (scatters delays, guards nothing)
        self._queue: deque[_Piece] = deque()
        self._left: dict[Path, int] = {}
        self._refusals: dict[Path, list[str]] = {}
        self._last: Envelope | None = None
        self._failures = 0
        self._told = SYSTEM.monotonic()
        self._until = self._told + deadline

    def carry_out(self, paths: list[Path]) -> Replayed:
        """Send them all."""
        self._queue.extend(_Piece(path) for path in paths)
        while self._queue:
            piece = self._queue.popleft()
            envelope = self._envelope(piece.path)
            if envelope is None:
                continue
            self._left.setdefault(piece.path, 1)
            reply = self._sent(envelope, piece.op)
            if reply.final:
                self._succeeded()
                self._judge(envelope, piece, reply)
            elif not self._wait(envelope, piece, reply):
                self._give_up(reply)
        self._result.envelopes = len(self._left)
        return self._result

    def _envelope(self, path: Path) -> Envelope | None:
        if self._last is None or self._last.path != path:
            self._last = None  # two of them need not be in memory
            try:
                self._last = read(path)
            except FileNotFoundError:  # another replay of the folder was faster
                return None
            except UnreadError as error:
                self._result.unread.append({"file": path.name, "reason": str(error)})
                return None
        return self._last

    def _sent(self, envelope: Envelope, op: Op | None) -> Reply:
        limit = max(1.0, self._until - SYSTEM.monotonic())
        packed = envelope.encoding is not None and self._zstd
        try:
            if op is None and (packed or envelope.encoding is None):
                answer = self._transport.post_stored(
                    envelope.stored, envelope.content_type, envelope.encoding, limit=limit
                )
            else:
                body = envelope.body if op is None else envelope.piece(op)
                answer = self._transport.post_multipart(body, envelope.boundary, compress=packed, limit=limit)
        except TransportError as error:
            return Reply(Verdict.TRANSIENT, f"{_NO_ANSWER} ({error})")
        return reply_to(answer)

    def _judge(self, envelope: Envelope, piece: _Piece, reply: Reply) -> None:
        alone = piece.op or (envelope.ops[0] if len(envelope.ops) == 1 else None)
        if reply.verdict is Verdict.ACCEPTED or (alone is not None and reply.verdict is Verdict.CONFLICT):
            self._settle(envelope)
        elif alone is None:
            self._divide(envelope)
        else:
            self._refusals.setdefault(piece.path, []).append(reply.refusal(alone))
            self._settle(envelope)

    def _divide(self, envelope: Envelope) -> None:
        self._left[envelope.path] = len(envelope.ops)
        self._queue.extendleft(_Piece(envelope.path, op) for op in reversed(envelope.ops))

    def _settle(self, envelope: Envelope) -> None:
        """Take a request off what an envelope still needs, and the envelope away when that was the last."""
        path = envelope.path
        self._left[path] -= 1
        if self._left[path]:
            return
        if refusals := self._refusals.get(path):
            self._result.kept.append({"file": path.name, "reason": "; ".join(refusals)})
            return
        # Dying here costs nothing: the next replay hears 409 for each of its operations.
        (path.parent / DONE).mkdir(mode=0o700, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # another replay of the folder was faster
            path.replace(path.parent / DONE / path.name)
        self._result.done += 1
        kinds = Counter(self._result.operations) + Counter(op.kind or "unknown" for op in envelope.ops)
        self._result.operations = dict(kinds)

    def _wait(self, envelope: Envelope, piece: _Piece, reply: Reply) -> bool:
        """Put a request back, and wait; False if there has been no success for too long."""
        self._failures += 1
        piece.failures += reply.blames_the_load
        left = self._until - SYSTEM.monotonic()
        if left <= 0:
            self._queue.appendleft(piece)
            return False
        if piece.failures < _IN_PLACE:
            self._queue.appendleft(piece)
        elif piece.op is None and len(envelope.ops) > 1 and self._is_guilty(piece, reply):
            self._divide(envelope)
        else:
            self._queue.append(piece)
        delay = _PROBE if reply.verdict is Verdict.UNAUTHORIZED else 0.0
        delay = max(delay, next_delay(self._failures, reply.retry_after, self._rng))
        if reply.retry_after is not None:
            self._until += delay  # what the service asks for does not count
        else:
            delay = min(delay, left)
        self._note(f"{reply.text}; sending again in {max(1, round(delay))} s")
        threading.Event().wait(delay)
        return True

    @staticmethod
    def _is_guilty(piece: _Piece, reply: Reply) -> bool:
        most = _UNANSWERED if reply.text.startswith(_NO_ANSWER) else _IN_PLACE
        return reply.verdict is Verdict.TRANSIENT and piece.failures >= most

    def _succeeded(self) -> None:
        now = SYSTEM.monotonic()
        self._failures, self._until = 0, now + self._deadline
        if now - self._told >= _TELL_EVERY:
            self._told = now
            self._note(f"{self._result.done:,} envelopes done, {len(self._queue):,} requests to go")

    def _give_up(self, reply: Reply) -> None:
        """Leave what is queued where it is, with the reason."""
        reason = f"nothing was taken for {self._deadline:g} s; the last time: {reply.text}"
        for path in dict.fromkeys(piece.path for piece in self._queue):
            refusals = [*self._refusals.get(path, ()), reason]
            if self._envelope(path) is not None:
                self._left.setdefault(path, 1)
                self._result.kept.append({"file": path.name, "reason": "; ".join(refusals)})
        self._queue.clear()
