"""Round trips and the packing rules of the encoder."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionwrap.codec.decoder import Decoder
from sessionwrap.codec.encoder import MIN_PAYLOAD, Encoded, encode
from sessionwrap.codec.message import parse
from sessionwrap.model import INPUT, OUTPUT, WINDOW, Event, Head, Winsize, pack_winsize

HEAD = Head("web1", "b00t-1f-2a", "alice", "xterm", 4294967295, 1700000000123)

# Bytes where sequences begin, go on, break and end, beside ordinary and escaped characters.
_TRICKY = bytes.fromhex("00 0a 1b 22 5c 5c 61 75 7f 80 90 9f a0 bf c1 c3 e0 e2 82 ed f0 f4 98 ff")
_STREAM_BYTES = st.one_of(
    st.binary(max_size=40),
    st.lists(st.sampled_from(_TRICKY), max_size=40).map(bytes),
    st.text(max_size=20).map(str.encode),
)
_DELAY = st.one_of(st.just(0), st.just(0), st.integers(0, 3), st.integers(0, 10**7))


@st.composite
def event_lists(draw: st.DrawFn) -> list[Event]:
    time = 0
    events = []
    for delay in draw(st.lists(_DELAY, max_size=12)):
        time += delay
        kind = draw(st.sampled_from([INPUT, OUTPUT, OUTPUT, WINDOW]))
        if kind == WINDOW:
            size = Winsize(
                draw(st.sampled_from([0, 80, 65535])), draw(st.sampled_from([24, 65535]))
            )
            events.append(Event(time, kind, pack_winsize(size)))
        else:
            events.append(Event(time, kind, draw(_STREAM_BYTES)))
    return events


PAYLOADS = st.one_of(st.integers(MIN_PAYLOAD, 60), st.integers(MIN_PAYLOAD, 300), st.just(16384))
WINSIZES = st.one_of(st.none(), st.just(Winsize(80, 24)), st.just(Winsize(65535, 65535)))


def run(
    events: Sequence[Event],
    *,
    payload: int = 16384,
    winsize: Winsize | None = None,
    next_id: int = 1,
    flush: bool = False,
    final: bool = False,
) -> Encoded:
    return encode(
        HEAD,
        events,
        next_id=next_id,
        winsize=winsize,
        payload=payload,
        flush=flush,
        final=final,
    )


def decode(messages: Sequence[bytes]) -> list[Event]:
    decoder = Decoder()
    return [event for message in messages for event in decoder.decode(parse(message))]


def stream(events: Sequence[Event], kind: int) -> bytes:
    return b"".join(event.data for event in events if event.kind == kind)


def sizes(events: Sequence[Event], winsize: Winsize | None) -> list[tuple[int, bytes]]:
    """Give time and size of each change of the size."""
    changes = []
    known = pack_winsize(winsize) if winsize else None
    for event in events:
        if event.kind == WINDOW and event.data != known:
            known = event.data
            changes.append((event.time, event.data))
    return changes


def byte_times(events: Sequence[Event], kind: int) -> list[int]:
    return [event.time for event in events if event.kind == kind for _ in event.data]


def char_ends(data: bytes) -> list[int]:
    """Give the index of the last byte of each character that is complete and valid."""
    ends = []
    text = data.decode("utf-8", "surrogateescape")
    position = 0
    for char in text:
        position += len(char.encode("utf-8", "surrogateescape"))
        if not "\udc80" <= char <= "\udcff":
            ends.append(position - 1)
    return ends


def measure(message: bytes) -> int:
    """Count the bytes of timing, text and binary as they stand in the JSON."""
    _, rest = message.split(b'"timing":"', 1)
    contents = rest
    for key in (b'","in_txt":"', b'","in_bin":[', b'],"out_txt":"', b'","out_bin":['):
        assert contents.count(key) == 1
        contents = contents.replace(key, b"")
    return len(contents.removesuffix(b"]}"))


def timings(messages: Sequence[bytes]) -> list[str]:
    return [parse(message).timing for message in messages]


def batches(data: st.DataObject, events: Sequence[Event]) -> list[Sequence[Event]]:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(events)), max_size=5)))
    return [events[a:b] for a, b in zip([0, *cuts], [*cuts, len(events)], strict=True)]


@given(st.data(), event_lists(), PAYLOADS, WINSIZES)
def test_events_survive_encoding_in_any_batches(
    data: st.DataObject, events: list[Event], payload: int, winsize: Winsize | None
) -> None:
    messages: list[bytes] = []
    rest: list[Event] = []
    known = winsize
    for batch in batches(data, events):
        done = run(
            [*rest, *batch],
            payload=payload,
            winsize=known,
            next_id=len(messages) + 1,
            flush=data.draw(st.booleans()),
        )
        messages += done.messages
        rest, known = done.rest, done.winsize
    last = run(
        rest, payload=payload, winsize=known, next_id=len(messages) + 1, flush=True, final=True
    )
    assert last.rest == []
    messages += last.messages
    decoded = decode(messages)
    for kind in (INPUT, OUTPUT):
        written = stream(events, kind)
        assert stream(decoded, kind) == written
        times, expected = byte_times(decoded, kind), byte_times(events, kind)
        ends = char_ends(written)
        assert [times[end] for end in ends] == [expected[end] for end in ends]
    assert all(a.time <= b.time for a, b in itertools.pairwise(decoded))
    # The first message says the size known before; what is equal to it is no event.
    changes = sizes(decoded, winsize)
    assert changes == sizes(events, winsize)
    assert all(measure(message) <= payload for message in messages)


@given(event_lists(), event_lists(), PAYLOADS, WINSIZES)
def test_full_messages_depend_only_on_the_events_before_them(
    first: list[Event], second: list[Event], payload: int, winsize: Winsize | None
) -> None:
    end = first[-1].time if first else 0
    later = [event._replace(time=event.time + end) for event in second]
    full = run(first, payload=payload, winsize=winsize)
    together = run([*first, *later], payload=payload, winsize=winsize, flush=True)
    assert together.messages[: len(full.messages)] == full.messages


@given(st.data(), event_lists(), PAYLOADS, WINSIZES, st.booleans())
def test_encoding_goes_on_from_rest_as_one_call_would_have(
    data: st.DataObject,
    events: list[Event],
    payload: int,
    winsize: Winsize | None,
    final: bool,
) -> None:
    messages: list[bytes] = []
    rest: list[Event] = []
    known = winsize
    for batch in batches(data, events):
        done = run([*rest, *batch], payload=payload, winsize=known, next_id=len(messages) + 1)
        messages += done.messages
        rest, known = done.rest, done.winsize
    last = run(
        rest, payload=payload, winsize=known, next_id=len(messages) + 1, flush=True, final=final
    )
    whole = run(events, payload=payload, winsize=winsize, flush=True, final=final)
    assert [*messages, *last.messages] == whole.messages
    assert last.rest == whole.rest
    assert last.winsize == whole.winsize


@given(event_lists(), PAYLOADS)
def test_a_message_is_full_only_when_the_next_unit_does_not_fit(
    events: list[Event], payload: int
) -> None:
    messages = run(events, payload=payload).messages
    # The longest unit: +10000000, =65535x65535 or an invalid sequence of three bytes.
    assert all(measure(message) > payload - 32 for message in messages)


def test_what_is_written_is_what_tlog_writes() -> None:
    """tlog-rec 12.1 wrote this of the same bytes at the same times."""
    done = run(
        [
            Event(0, OUTPUT, b"\xff\xfe\xe2(\xed\xa0\x80x\xe2\x82\xf0\x9f\x98y\xef\xbf\xbd\xff"),
            Event(0, OUTPUT, b"\xef\xbf\xbdz\xe2\x82"),
            Event(100, OUTPUT, b"abc\xf0\x9f"),
            Event(200, OUTPUT, b"\x98\x80zz"),
            Event(300, OUTPUT, b"\xff"),
            Event(400, OUTPUT, b"\xff"),
            Event(400, OUTPUT, b"\xff\xe2\x82"),
        ],
        winsize=Winsize(0, 0),
        final=True,
    )
    prefix = b'{"ver":"2.3","host":"web1","rec":"b00t-1f-2a","user":"alice","term":"xterm",'
    expected = (
        '"session":4294967295,"id":1,"pos":0,"time":1700000000.123,'
        '"timing":"=0x0]3/3>1]3/3>1]2/5>2]1/1>2]1/2+100>3+100>3+100]1/1+100]3/4",'
        '"in_txt":"","in_bin":[],'
        '"out_txt":"\ufffd\ufffd\ufffd(\ufffd\ufffd\ufffdx\ufffd\ufffdy\ufffd\ufffd\ufffdz\ufffd'
        'abc\U0001f600zz\ufffd\ufffd\ufffd\ufffd",'
        '"out_bin":[255,254,226,237,160,128,226,130,240,159,152,255,226,130,255,255,255,226,130]}'
    )
    assert done.messages == [prefix + expected.encode()]


def test_neighbouring_invalid_sequences_are_one_record() -> None:
    messages = run([Event(0, OUTPUT, b"\xff\xfe\xe2"), Event(0, OUTPUT, b"(")], flush=True).messages
    assert timings(messages) == ["]3/3>1"]
    assert timings(run([Event(0, OUTPUT, b"\xed\xa0\x80")], flush=True).messages) == ["]3/3"]


def test_chunks_of_one_millisecond_are_one_record_and_delays_end_it() -> None:
    events = [Event(5, OUTPUT, b"ab"), Event(5, OUTPUT, b"c"), Event(7, OUTPUT, b"d")]
    events += [Event(7, INPUT, b"e"), Event(7, OUTPUT, b"f")]
    assert timings(run(events, flush=True).messages) == [">3+2>1<1>1"]


def test_pos_and_time_are_those_of_the_first_event_of_the_message() -> None:
    messages = run([Event(61_001, OUTPUT, b"a"), Event(61_002, OUTPUT, b"b")], flush=True).messages
    assert b'"pos":61001,"time":1700000061.124,"timing":">1+1>1"' in messages[0]


def test_every_message_begins_with_the_size_where_it_is_known() -> None:
    events = [Event(0, OUTPUT, b"a" * 20)]
    assert timings(run(events, payload=32, winsize=Winsize(80, 24), flush=True).messages) == [
        "=80x24>20"
    ]
    assert timings(run(events * 2, payload=32, winsize=Winsize(80, 24), flush=True).messages) == [
        "=80x24>23",
        "=80x24>17",
    ]
    assert timings(run(events * 2, payload=32, flush=True).messages) == [">29", ">11"]


def test_equal_sizes_in_a_row_are_one() -> None:
    small, large = (pack_winsize(Winsize(width, 24)) for width in (80, 100))
    events = [Event(1, WINDOW, small), Event(2, OUTPUT, b"a"), Event(3, WINDOW, small)]
    events += [Event(4, WINDOW, large), Event(5, WINDOW, large), Event(6, OUTPUT, b"b")]
    done = run(events, winsize=Winsize(80, 24), flush=True)
    assert timings(done.messages) == ["=80x24>1+2=100x24+2>1"]
    assert done.winsize == Winsize(100, 24)


def test_a_message_that_begins_with_a_new_size_has_only_that() -> None:
    event = Event(1, WINDOW, pack_winsize(Winsize(100, 30)))
    done = run([event], winsize=Winsize(80, 24), flush=True)
    assert timings(done.messages) == ["=100x30"]


def test_a_size_that_does_not_fit_begins_a_message() -> None:
    events = [Event(0, OUTPUT, b"a" * 28), Event(0, WINDOW, pack_winsize(Winsize(100, 30)))]
    done = run(events, payload=32, winsize=None)
    assert timings(done.messages) == [">28"]
    assert done.rest == events[1:]
    assert done.winsize is None


def test_without_flush_an_unfinished_message_is_given_back() -> None:
    events = [Event(1, WINDOW, b"80x24"), Event(2, OUTPUT, b"abc"), Event(3, INPUT, b"\xe2")]
    assert run(events, winsize=Winsize(1, 2)) == Encoded([], events, Winsize(1, 2))


def test_an_incomplete_character_waits_and_is_stamped_when_it_is_whole() -> None:
    first = run([Event(1, OUTPUT, b"a\xe2\x82"), Event(2, INPUT, b"x")], flush=True)
    assert timings(first.messages) == [">1+1<1"]
    assert first.rest == [Event(2, OUTPUT, b"\xe2\x82")]
    second = run([*first.rest, Event(9, OUTPUT, b"\xac")], next_id=2, flush=True)
    assert decode([*first.messages, *second.messages])[-1] == Event(9, OUTPUT, "€".encode())
    assert second.rest == []


def test_input_and_output_wait_on_their_own() -> None:
    events = [Event(1, OUTPUT, b"\xe2"), Event(2, INPUT, b"\xc3"), Event(3, OUTPUT, b"\x82\xac")]
    done = run([*events, Event(4, INPUT, b"\xa9")], flush=True)
    assert decode(done.messages) == [Event(3, OUTPUT, "€".encode()), Event(4, INPUT, "é".encode())]


def test_at_the_end_of_a_recording_incomplete_characters_are_binary() -> None:
    events = [Event(1, OUTPUT, b"\xe2"), Event(2, INPUT, b"\xc3"), Event(3, INPUT, b"")]
    done = run(events, final=True)
    assert timings(done.messages) == ["]1/1+1[1/1"]
    assert done.rest == []


def test_nothing_gives_no_message() -> None:
    for events in ([], [Event(0, OUTPUT, b"")]):
        assert run(events, winsize=Winsize(80, 24), final=True).messages == []


def test_a_payload_below_the_least_is_refused() -> None:
    with pytest.raises(ValueError, match="payload"):
        run([], payload=31)


def test_a_window_that_no_terminal_has_is_refused() -> None:
    with pytest.raises(ValueError, match="window"):
        run([Event(0, WINDOW, b"65536x1")])


def test_a_count_that_grows_a_digit_still_fits_exactly() -> None:
    for length in range(1, 130):
        for payload in (32, 101, 102, 103, 104):
            messages = run([Event(0, OUTPUT, b"a" * length)], payload=payload, flush=True).messages
            full = messages[:-1]
            # One more character would not fit: its byte, and a digit where the count grows one.
            for message in full:
                count = len(parse(message).out_txt)
                grown = len(str(count + 1)) - len(str(count))
                assert measure(message) <= payload < measure(message) + 1 + grown


def test_a_hundred_thousand_random_strings_survive() -> None:
    """Long ones beside short ones, so that blocks of runs and full messages are among them."""
    source = random.Random(2023)  # noqa: S311 - the same strings in every run
    pieces: list[bytes] = []
    for number in range(100_000):
        long = number % 5000 == 0
        length = source.randrange(3000) if long else source.randrange(1, 7)
        alphabet = source.choice((_TRICKY, bytes(range(256)), b"text\r\n"))
        pieces.append(bytes(source.choices(alphabet, k=length)))
    events = [
        Event(number // 7, source.choice((INPUT, OUTPUT, OUTPUT)), piece)
        for number, piece in enumerate(pieces)
    ]
    messages: list[bytes] = []
    rest: list[Event] = []
    for start in range(0, len(events), 500):
        batch = [*rest, *events[start : start + 500]]
        done = run(batch, payload=2048, next_id=len(messages) + 1, flush=start % 3 == 0)
        messages += done.messages
        rest = done.rest
    messages += run(rest, payload=2048, next_id=len(messages) + 1, final=True).messages
    decoded = decode(messages)
    for kind in (INPUT, OUTPUT):
        assert stream(decoded, kind) == stream(events, kind)
    assert max(map(measure, messages)) <= 2048
