"""Cannot be imported."""

target = 1 / 0
