"""Uploading recorded traces: index, forest, ids and times, sending, reading back."""
