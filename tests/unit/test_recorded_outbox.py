"""What is put into an outbox is sent, whatever its size, and settled once; nothing waits for company for ever."""

from __future__ import annotations

from evalrunner.delivery.sending.transport import Answer
from evalrunner.transfer.upload.outbox import AHEAD_BYTES, HANDED_BYTES, Outbox


class Service:
    """A transport that takes everything."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def post_multipart(self, body: bytes, boundary: str, *, compress: bool, limit: float) -> Answer:
        """Take one."""
        self.bodies.append(body)
        return Answer(202, None, "")


def sent(sizes: list[int]) -> tuple[list[int], int]:
    """Put traces of one operation each; return those that were settled, and the operations that arrived."""
    service = Service()
    outbox = Outbox(lambda: service, compress=False, deadline=60.0, note=lambda text: None)
    try:
        for tree, size in enumerate(sizes):
            outbox.put(tree, iter([("post", str(tree), b"#" + bytes(size - 1))]))
        outbox.finish(lambda: None)
        settled = [one.tree for one in outbox.settled() if one.refused is None]
    finally:
        outbox.close()
    assert outbox.sent["runs"] == len(sizes)
    return sorted(settled), sum(body.count(b"#") for body in service.bodies)


def test_a_few_that_are_small() -> None:
    assert sent([10, 20, 30]) == ([0, 1, 2], 3)


def test_many() -> None:
    assert sent([HANDED_BYTES // 7] * 300) == (list(range(300)), 300)


def test_one_that_needs_all_the_room_behind_a_small_one() -> None:
    assert sent([10, AHEAD_BYTES + 1, 10, AHEAD_BYTES + 1]) == ([0, 1, 2, 3], 4)


def test_nothing() -> None:
    assert sent([]) == ([], 0)
