"""The life of one item, that is one (example, repetition) of the plan.

    AVAILABLE -lease-> LEASED -produce-> PRODUCED -accept-> ACCEPTED -see-> VISIBLE
                       LEASED -lose-> RETRYABLE -release-> AVAILABLE
                                      RETRYABLE -give_up-> FAILED
    PRODUCED -refuse-> NOT_DELIVERED -accept-> ACCEPTED          (sent again by a later run)
    ACCEPTED -miss-> NOT_VISIBLE -see-> VISIBLE
    AVAILABLE | LEASED | RETRYABLE -cancel-> CANCELLED -release-> AVAILABLE   (a later run takes it up)

A worker's report about a lease carries the lease's fencing token. A late report with an old token is
recorded in the item's story and otherwise ignored.
"""

from __future__ import annotations

from enum import IntEnum

from evalrunner.errors import IllegalTransition


class ItemState(IntEnum):
    """Where an item is. What is said of a death is said of the process that holds the item.

    The numbers stand in ledgers on disk; 2 was a state that nothing ever wrote.
    """

    AVAILABLE = 0
    """Nobody has it. A death costs nothing."""
    LEASED = 1
    """A worker has it, and may be executing it. Its worker's death costs one execution."""
    PRODUCED = 3
    """The whole trace lies in a spool and fdatasync has returned. No death costs anything from here on."""
    ACCEPTED = 4
    """The server answered 2xx for all of it."""
    VISIBLE = 5
    """Every id of it came back from a query of the experiment."""
    RETRYABLE = 6
    """Its worker is known dead and its spool holds no finished trace."""
    FAILED = 7
    """`max_attempts` workers died with it; an error run was written in its place."""
    NOT_DELIVERED = 8
    """Refused for good, or the delivery deadline passed; it stays in the spool."""
    NOT_VISIBLE = 9
    """Accepted, and not read back by the deadline."""
    CANCELLED = 10
    """The run was stopped before it was executed."""


class ItemMove(IntEnum):
    """What can happen to an item."""

    LEASE = 0
    PRODUCE = 1
    ACCEPT = 2
    SEE = 3
    LOSE = 4
    RELEASE = 5
    GIVE_UP = 6
    REFUSE = 7
    MISS = 8
    CANCEL = 9


_S, _M = ItemState, ItemMove

#: The machine, whole. A pair that is not here is illegal.
TABLE: dict[tuple[ItemState, ItemMove], ItemState] = {
    (_S.AVAILABLE, _M.LEASE): _S.LEASED,
    (_S.AVAILABLE, _M.CANCEL): _S.CANCELLED,
    (_S.LEASED, _M.PRODUCE): _S.PRODUCED,
    (_S.LEASED, _M.LOSE): _S.RETRYABLE,
    (_S.LEASED, _M.CANCEL): _S.CANCELLED,
    (_S.PRODUCED, _M.ACCEPT): _S.ACCEPTED,
    (_S.PRODUCED, _M.REFUSE): _S.NOT_DELIVERED,
    (_S.ACCEPTED, _M.SEE): _S.VISIBLE,
    (_S.ACCEPTED, _M.MISS): _S.NOT_VISIBLE,
    (_S.RETRYABLE, _M.RELEASE): _S.AVAILABLE,
    (_S.RETRYABLE, _M.GIVE_UP): _S.FAILED,
    (_S.RETRYABLE, _M.CANCEL): _S.CANCELLED,
    (_S.FAILED, _M.PRODUCE): _S.PRODUCED,
    (_S.NOT_DELIVERED, _M.ACCEPT): _S.ACCEPTED,
    (_S.NOT_VISIBLE, _M.SEE): _S.VISIBLE,
    (_S.NOT_VISIBLE, _M.RELEASE): _S.AVAILABLE,
    (_S.NOT_DELIVERED, _M.RELEASE): _S.AVAILABLE,
    (_S.VISIBLE, _M.RELEASE): _S.AVAILABLE,
    (_S.CANCELLED, _M.RELEASE): _S.AVAILABLE,
}

#: States in which a complete trace lies in some spool.
IN_SPOOL = frozenset({_S.PRODUCED, _S.ACCEPTED, _S.NOT_DELIVERED, _S.NOT_VISIBLE})
#: States in which a worker holds the item.
HELD = frozenset({_S.LEASED})


def move(state: ItemState, what: ItemMove) -> ItemState:
    """Return the state after `what`.

    Raises:
        IllegalTransition: the table has no such pair; nothing has changed.
    """
    try:
        return TABLE[(state, what)]
    except KeyError:
        raise IllegalTransition(f"an item in state {state.name} cannot {what.name.lower()}") from None
