"""Messages back to events: order of ids, timing, lax mode."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionwrap.codec.decoder import Decoder
from sessionwrap.errors import MessageError
from sessionwrap.model import INPUT, OUTPUT, WINDOW, Event, Message

BASE = Message(
    ver="2.3",
    host="web1",
    rec="b00t-1f-2a",
    user="alice",
    term="xterm",
    session=1,
    id=1,
    pos=0,
    time=1700000000123,
    timing=">1",
    in_txt="",
    in_bin=(),
    out_txt="a",
    out_bin=(),
)


def message(**values: Any) -> Message:
    return BASE._replace(**values)


def test_every_record_becomes_an_event() -> None:
    events = Decoder().decode(
        message(
            pos=50,
            timing="=80x24<2>1+10]2/5+0<1[1/1",
            in_txt="é😀c\ufffd",
            in_bin=(226,),
            out_txt="x\ufffd\ufffd",
            out_bin=(226, 130, 240, 159, 152),
        )
    )
    assert events == [
        Event(50, WINDOW, b"80x24"),
        Event(50, INPUT, "é😀".encode()),
        Event(50, OUTPUT, b"x"),
        Event(60, OUTPUT, b"\xe2\x82\xf0\x9f\x98"),
        Event(60, INPUT, b"c\xe2"),
    ]


def test_neighbours_of_one_kind_and_time_are_one_event() -> None:
    events = Decoder().decode(message(timing=">1]1/1>0>1+1>1", out_txt="a\ufffdbc", out_bin=(255,)))
    assert events == [Event(0, OUTPUT, b"a\xffb"), Event(1, OUTPUT, b"c")]


def test_a_size_already_known_is_no_event() -> None:
    decoder = Decoder()
    first = decoder.decode(message(timing="=80x24>1=80x24+5=100x30"))
    assert [event.data for event in first] == [b"80x24", b"a", b"100x30"]
    second = decoder.decode(message(id=2, pos=9, timing="=100x30>1"))
    assert second == [Event(9, OUTPUT, b"a")]


def test_times_never_go_back() -> None:
    decoder = Decoder()
    decoder.decode(message(timing="+100>1"))
    assert decoder.decode(message(id=2, pos=50, timing=">1+60>1", out_txt="ab")) == [
        Event(100, OUTPUT, b"a"),
        Event(110, OUTPUT, b"b"),
    ]


@pytest.mark.parametrize(("first", "then"), [(2, None), (0, None), (1, 3), (1, 0)])
def test_an_id_that_does_not_follow_is_out_of_order(first: int, then: int | None) -> None:
    decoder = Decoder()
    with pytest.raises(MessageError, match="ID is out of order"):
        for number in (first, then):
            if number is not None:
                decoder.decode(message(id=number))


def test_a_repeated_message_is_dropped() -> None:
    decoder = Decoder()
    assert decoder.decode(message()) != []
    assert decoder.decode(message()) == []
    assert decoder.decode(message(id=2)) != []
    assert decoder.warnings == []


def test_a_repeated_id_with_other_content_is_out_of_order() -> None:
    decoder = Decoder()
    decoder.decode(message())
    with pytest.raises(MessageError, match="ID is out of order"):
        decoder.decode(message(out_txt="b"))


@pytest.mark.parametrize(
    "values",
    [
        {"timing": ">2"},
        {"timing": "<1"},
        {"timing": "]1/1"},
        {"timing": "]2/0"},
        {"timing": ""},
        {"timing": ">1", "in_txt": "x"},
        {"timing": ">1", "out_bin": (1,)},
        {"timing": ">1?"},
        {"timing": ">999999999999999"},
    ],
)
def test_timing_that_does_not_fit_the_data_is_invalid(values: dict[str, Any]) -> None:
    with pytest.raises(MessageError, match='invalid "timing"') as raised:
        Decoder().decode(message(**values))
    assert "message 1" in str(raised.value)


def test_lax_names_a_gap_and_goes_on() -> None:
    decoder = Decoder(lax=True)
    assert decoder.decode(message(id=3)) == [Event(0, OUTPUT, b"a")]
    assert decoder.decode(message(id=4)) == [Event(0, OUTPUT, b"a")]
    assert decoder.warnings == ["Message ID is out of order: expected 1, got 3"]


def test_lax_names_and_skips_a_message_that_comes_too_late() -> None:
    decoder = Decoder(lax=True)
    decoder.decode(message(id=1))
    decoder.decode(message(id=2))
    assert decoder.decode(message(id=1)) == []
    assert decoder.decode(message(id=3)) != []
    assert decoder.warnings == ["Message ID is out of order: expected 3, got 1"]


def test_lax_gives_what_comes_before_a_fault_in_the_timing() -> None:
    decoder = Decoder(lax=True)
    assert decoder.decode(message(timing=">1+5>1")) == [Event(0, OUTPUT, b"a")]
    assert decoder.decode(message(id=2)) == [Event(5, OUTPUT, b"a")]
    assert len(decoder.warnings) == 1
    assert 'invalid "timing"' in decoder.warnings[0]


@given(
    st.text(alphabet="<>[]+=x/0123 ", max_size=20),
    st.text(max_size=5),
    st.lists(st.integers(0, 255), max_size=5).map(tuple),
)
def test_any_message_gives_events_or_the_error(
    timing: str, text: str, binary: tuple[int, ...]
) -> None:
    odd = message(timing=timing, in_txt=text, out_txt=text, in_bin=binary, out_bin=binary)
    lax = Decoder(lax=True)
    events = lax.decode(odd)
    if lax.warnings:
        with pytest.raises(MessageError):
            Decoder().decode(odd)
    else:
        assert Decoder().decode(odd) == events
