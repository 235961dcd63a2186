"""Moments in whatever form people have them; what was written is what is read, to the microsecond."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalrunner.transfer.files import read_moment
from evalrunner.transfer.files.times import written

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
#: 2024-04-29 00:49:12.090123 UTC
T = 1_714_351_752_090_123
MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)).map(
    lambda naive: (naive.replace(tzinfo=timezone.utc) - EPOCH) // timedelta(microseconds=1)
)
OFFSETS = st.integers(-23 * 60 - 59, 23 * 60 + 59)


@pytest.mark.parametrize(
    "text",
    [
        "2024-04-29T00:49:12.090123",
        "2024-04-29T00:49:12.090123Z",
        "2024-04-29t00:49:12,090123z",
        "2024-04-29 00:49:12.090123",
        " 2024-04-29 00:49:12.090123 UTC ",
        "2024-04-29 00:49:12.090123+00",
        "2024-04-29T06:19:12.090123+05:30",
        "2024-04-29T06:19:12.090123+0530",
        "2024-04-28T16:49:12.090123-08:00",
        "2024-04-28T16:49:12.090123\u221208:00",
        "2024-04-29T00:49:12.0901239999999999999999999999Z",
        "20240429T004912.090123Z",
        "20240429T004912090123Z",
        "1714351752.090123",
        "1714351752090.123",
        "1714351752090123",
        "1714351752090123999",
        "1.714351752090123e9",
        1714351752.090123,
        1714351752090.123,
        T,
        T * 1000 + 999,
        Decimal("1714351752.09012399999999999999999999999999999"),
    ],
)
def test_a_moment_in_every_form(text: object) -> None:
    assert read_moment(text) == T


@pytest.mark.parametrize(
    ("text", "second"),
    [
        ("2024-04-29", 1714348800),
        ("20240429", 1714348800),
        ("20240429004912", 1714351752),
        ("2024-04-29T00:49Z", 1714351740),
        ("2024-04-29T00", 1714348800),
        ("0", 0),
        (0, 0),
        (-1.5, -1.5),
        ("1969-12-31T23:59:58.5", -1.5),
        ("99999999", 99999999),  # no such month
    ],
)
def test_less_than_all_of_it(text: object, second: float) -> None:
    assert read_moment(text) == second * 1_000_000


@pytest.mark.parametrize(
    "value",
    [
        "", "yesterday", "2024-13-01", "2024-02-30T00:00:00Z", "2024-04-29T25:00:00", "2024-04-29T00:49:61",
        "2024-04-29T00:49:12+24:00", "2024-W18-1", "12:30", "Mon, 29 Apr 2024 00:49:12 GMT", "1e400", "-1e30", 10**20,
        float("nan"), float("inf"), Decimal("NaN"), True, None, [], {}, b"2024-04-29", "9999-12-31T23:59:59-01:00",
        "2024-04-29T00:49:12Zoo", "1714351752 s",
    ],
)  # fmt: skip
def test_what_is_no_moment(value: object) -> None:
    with pytest.raises(ValueError):
        read_moment(value)


@given(MOMENTS)
def test_what_we_write_is_what_we_read(moment: int) -> None:
    assert read_moment(written(moment)) == moment


@given(
    MOMENTS, OFFSETS, st.integers(0, 12), st.sampled_from("T t"), st.sampled_from(["+%02d:%02d", "+%02d%02d"])
)
def test_any_offset_and_any_number_of_digits(
    moment: int, offset: int, digits: int, between: str, form: str
) -> None:
    there = EPOCH + timedelta(microseconds=moment)
    local = there.replace(tzinfo=None) + timedelta(minutes=offset)
    fraction = f"{there.microsecond:06d}987654"[:digits]
    zone = (form % divmod(abs(offset), 60)).replace("+", "-" if offset < 0 else "+")
    text = (
        f"{local.isoformat(timespec='seconds').replace('T', between)}{'.' if digits else ''}{fraction}{zone}"
    )
    cut = 10 ** max(0, 6 - digits)
    assert read_moment(text) == moment - there.microsecond % cut


@given(st.integers(10**11, 10**17 - 1), st.integers(0, 999))
def test_numbers_by_their_size(number: int, further: int) -> None:
    """Milliseconds from 10^11 on, microseconds from 10^14 on."""
    scale = 1000 if number < 10**14 else 1
    for value in (number, str(number), Decimal(number), f"{number}.000"):
        assert read_moment(value) == number * scale
    assert read_moment(f"{number}.{further:03d}") == number * scale + (further if scale > 1 else 0)


@given(st.integers(-62 * 10**9, 10**11 - 1), st.integers(0, 999_999))
def test_seconds_with_a_fraction_of_any_length(second: int, micros: int) -> None:
    value = Decimal(second) + Decimal(micros) / 1_000_000
    assert read_moment(value) == second * 1_000_000 + micros
    assert read_moment(value + Decimal("1e-20")) == second * 1_000_000 + micros


@given(st.integers(10**17, 62 * 10**18))
def test_nanoseconds_are_cut_downwards(number: int) -> None:
    assert read_moment(number) == number // 1000
    assert read_moment(-number) == -number // 1000
