"""Frames: messages come out as they went in however they are cut, and no length is believed blindly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalrunner.engines.frames import Frames, framed


@given(st.lists(st.binary(max_size=50), max_size=6), st.integers(1, 20))
def test_messages_come_out_whole_however_they_are_cut(messages: list[bytes], step: int) -> None:
    stream = b"".join(map(framed, messages))
    frames = Frames()
    out = [one for at in range(0, len(stream), step) for one in frames.feed(stream[at : at + step])]
    assert out == messages
    assert not frames.unfinished


def test_it_is_known_that_a_message_has_begun() -> None:
    frames = Frames()
    assert frames.feed(framed(b"whole")[:-1]) == []
    assert frames.unfinished
    assert frames.feed(b"e") == [b"whole"]
    assert not frames.unfinished


@pytest.mark.parametrize("head", [b"\xff\xff\xff\xff", b"hell", b"\x00\x00\x00\x0b"])
def test_a_length_that_no_message_has_is_refused_before_it_is_read(head: bytes) -> None:
    with pytest.raises(ValueError, match="announces a message of"):
        Frames(longest=10).feed(head)
