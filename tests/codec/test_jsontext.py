"""Escapes as tlog writes them, and cutting escaped text."""

from __future__ import annotations

import json
from json.encoder import py_encode_basestring

from hypothesis import given
from hypothesis import strategies as st

from sessionwrap.codec.jsontext import Cut, escape, escapes_in, fit

TEXT = st.one_of(st.text(), st.text(alphabet='\\u"n0\x1b\n\x7f€😀'))


def test_control_characters_are_escaped_as_tlog_does() -> None:
    every = bytes(range(0x20)) + b'"\\/~\x7f'
    # What tlog-rec 12.1 wrote for these bytes.
    assert escape(every) == (
        rb"\u0000\u0001\u0002\u0003\u0004\u0005\u0006\u0007\b\t\n\u000b\f\r\u000e\u000f"
        rb"\u0010\u0011\u0012\u0013\u0014\u0015\u0016\u0017\u0018\u0019\u001a\u001b\u001c\u001d"
        rb"\u001e\u001f\"\\/~\u007f"
    )


def test_c1_controls_and_all_else_stay_raw() -> None:
    text = "\x80\x9f\xa0\u2028\ufeff\ufffd😀".encode()
    assert escape(text) == text


@given(TEXT)
def test_escaping_is_the_json_module_s_but_for_del(text: str) -> None:
    expected = py_encode_basestring(text)[1:-1].replace("\x7f", "\\u007f").encode()
    data = text.encode()
    assert escape(data) == expected
    assert escape(data, escapes_in(data + b"\n")) == expected


@given(TEXT, st.integers(-3, 60))
def test_the_longest_beginning_that_fits_is_found(text: str, room: int) -> None:
    data = text.encode()
    chars = 0
    while chars < len(text) and len(escape(text[: chars + 1].encode())) <= room:
        chars += 1
    head = text[:chars].encode()
    assert fit(data, escape(data), room) == Cut(chars, len(head), len(escape(head)))


@given(TEXT)
def test_what_is_escaped_reads_back(text: str) -> None:
    assert json.loads(b'"%b"' % escape(text.encode())) == text
