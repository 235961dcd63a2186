"""What usually ends in time may be begun."""

from __future__ import annotations

import math

import pytest

from evalrunner.supervisor.core.durations import REMEMBERED, Durations


def of(*seconds: float) -> Durations:
    durations = Durations(assumed=3.0)
    for one in seconds:
        durations.add(one)
    return durations


@pytest.mark.parametrize(
    ("ended", "left", "fits"),
    [
        ([], 3.1, True),
        ([], 2.9, False),
        ([], -1.0, False),
        ([], math.inf, True),
        ([1e9], math.inf, True),
        ([2.0], 2.1, True),
        ([2.0], 1.9, False),
        # One in ten may be slow.
        ([1.0] * 9 + [60.0], 1.5, True),
        ([1.0] * 8 + [60.0] * 2, 1.5, False),
        # What was slow long ago is forgotten.
        ([60.0] * 50 + [1.0] * REMEMBERED, 1.5, True),
        ([1.0] * 500, 0.0, False),
    ],
)
def test_what_fits(ended: list[float], left: float, fits: bool) -> None:
    assert of(*ended).fit(left) is fits
