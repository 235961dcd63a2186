"""What happens to an item, in the words of its story: the supervisor's core writes them, the ledger counts them."""

from __future__ import annotations

from enum import Enum


class Happened(Enum):
    """What became of a lease; the value is what the ledger's events say, on disk too."""

    LEASED = "leased"
    PRODUCED = "produced"
    SCORED = "scored"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    VISIBLE = "visible"
    NOT_VISIBLE = "not visible"
    GIVEN_BACK = "given back"
    LOST = "lost, to be executed again"
    SCORING_LOST = "lost, to be scored again"
    SET_ASIDE = "failed, to be tried in a fresh worker"
    GIVEN_UP = "given up"
    SCORING_GIVEN_UP = "scoring given up"
    ERROR_RUN_WRITTEN = "error run written"
    CUT_OFF = "cut off"
    CANCELLED = "cancelled"


#: The ends of an execution of the target, as far as anything is known of it: productions, and deaths with it in hand.
EXECUTED = (Happened.PRODUCED, Happened.LOST, Happened.GIVEN_UP, Happened.CUT_OFF)
