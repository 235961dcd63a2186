"""The SDK's failed-trace envelopes, sent as they are."""

from evalrunner.upload.replay.sending import replay
from evalrunner.upload.replay.summary import Replayed

__all__ = ["Replayed", "replay"]
