"""The SDK's failed-trace envelopes, sent as they are."""
