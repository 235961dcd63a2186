"""The SDK's failed-trace envelopes, sent as they are."""

from evalrunner.transfer.replay.sending import replay
from evalrunner.transfer.replay.summary import Replayed

__all__ = ["Replayed", "replay"]
