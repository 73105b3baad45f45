"""What may reach an auditor's terminal of what was recorded.

A list of what is allowed, not of what is bad: text, the controls that move the cursor, and the
escape sequences that only draw or set how to draw. Everything else is left out, as it may make
a terminal answer (the answer is typed into the auditor's shell), do something, or encode keys
so that the player's own no longer work: all strings (DCS, OSC, APC, PM, SOS, titles, clipboard,
colours, hyperlinks, whose target hides behind other text, images), reports and queries, window
operations, printing, key and mouse reprogramming, changes of the character encoding.

Sources: ECMA-48, XTerm Control Sequences (invisible-island.net/xterm/ctlseqs), console_codes(4),
the kitty keyboard protocol.
"""

from __future__ import annotations

import re

MAX_STRING = 1 << 16
"""Bytes after which an unterminated string is taken as text: it must not hide the rest."""
MAX_SEQUENCE = 256
"""Bytes of an escape sequence. A longer one is left out."""

_UTF8 = (
    rb"\xc2[\xa0-\xbf]|[\xc3-\xdf][\x80-\xbf]"
    rb"|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]"
    rb"|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}"
)
_ASCII = rb"[\x00-\x04\x06-\x1a\x1c-\x7f]+"
# The sequences that programs print most. Each is one that _allowed_csi allows as well.
_COMMON_CSI = rb"\x1b\[[0-9]{0,4}(?:;[0-9]{0,4}){0,9}[A-HJKLMPXdm]"
# Nothing follows the group that could make it try again, so it needs no possessive quantifier
# (which Python 3.11.2 gets wrong: cpython gh-106052); the limit bounds what it remembers.
_PASSES = re.compile(rb"(?:%b|%b|%b){1,4096}" % (_ASCII, _UTF8, _COMMON_CSI))
_PASSES_8BIT = re.compile(rb"[\x00-\x04\x06-\x1a\x1c-\x7f\xa0-\xff]+")
_TRUNCATED_UTF8 = re.compile(
    rb"(?:[\xc2-\xdf]|\xe0[\xa0-\xbf]?|[\xe1-\xec\xee\xef][\x80-\xbf]?|\xed[\x80-\x9f]?"
    rb"|\xf0(?:[\x90-\xbf][\x80-\xbf]?)?|[\xf1-\xf3][\x80-\xbf]{0,2}"
    rb"|\xf4(?:[\x80-\x8f][\x80-\xbf]?)?)\Z"
)
_CSI = re.compile(rb"([<-?]*)([0-9:;]*)([ -/]*)([@-~])\Z")

_CSI_FINALS = {
    b"": frozenset(b"@ABCDEFGHIJKLMPSTXZ`abdefghlmrsu"),
    b" ": frozenset(b"@Aq"),  # scroll sideways, cursor style
    b"!": frozenset(b"p"),  # soft reset
    b'"': frozenset(b"q"),  # protected characters
    b"$": frozenset(b"rtvxz{"),  # rectangles: change, reverse, copy, fill, erase
    b"'": frozenset(b"}~"),  # columns
}
_PRIVATE_FINALS = frozenset(b"JKhlrs")
_MODES = frozenset({4, 20})
"""Set by CSI h and l: insert, line feed. Not 2, which locks the keyboard."""
_PRIVATE_MODES = frozenset(
    {1, 5, 6, 7, 8, 9, 12, 25, 45, 47, 66, 69, 1000, 1002, 1003, 1004, 1005, 1006, 1007}
    | {1015, 1016, 1034, 1047, 1048, 1049, 2004, 2026}
)
"""Set by CSI ? h and l. Not 1001, in which xterm waits for the program, not 2031 and 2048, which
report at once, nor 3, which resizes."""
_ESC_FINALS = frozenset(b"6789=>DEHMNOcno|}~")
_CHARSET = re.compile(rb"[()*+\-./][ -/]{0,2}[0-~]\Z")
_SCREEN = re.compile(rb"#[3-8]\Z")
_STRINGS = frozenset(b"PX]^_k")
"""After ESC these begin DCS, SOS, OSC, PM, APC and the title of screen(1)."""
_MAX_NUMBER_DIGITS = 5
_LINUX_PALETTE = re.compile(rb"P[0-9A-Fa-f]{7}")
_LINUX_PALETTE_LENGTH = 8
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}".encode()

_BEL, _CAN, _SUB, _ESC, _DEL, _ENQ = 0x07, 0x18, 0x1A, 0x1B, 0x7F, 0x05


class Filter:
    """Lets through what only draws. What comes out does not depend on how it was cut.

    ``utf8`` says whether the terminal reads UTF-8. One that does not takes the bytes 0x80 to
    0x9f for control characters wherever they stand, so none of them passes then.
    """

    def __init__(self, *, utf8: bool = True) -> None:
        self._utf8 = utf8
        self._passes = _PASSES if utf8 else _PASSES_8BIT
        self._held = b""  # a cut UTF-8 character, only at the end of the input
        self._sequence: bytearray | None = None  # what follows ESC
        self._string_left = 0  # bytes until an unterminated string is given up
        self._in_osc = False
        self._osc = bytearray()  # its first bytes, to know the Linux console's own form
        self._last = 0  # the byte before, within a string

    def feed(self, data: bytes) -> bytes:
        """Give what of the next bytes may be written to a terminal."""
        data = self._held + data
        self._held = b""
        out: list[bytes] = []
        at = 0
        size = len(data)
        while at < size:
            if self._string_left:
                at = self._skip_string(data, at)
            elif self._sequence is not None:
                at = self._continue_sequence(data, at, out)
            else:
                at = self._pass_text(data, at, out)
        return b"".join(out)

    def flush(self) -> bytes:
        """Give what was held back for more; an unfinished sequence is left out."""
        held, self._held = self._held, b""
        self._sequence = None
        self._string_left = 0
        return self._without_c1(held)

    def _pass_text(self, data: bytes, at: int, out: list[bytes]) -> int:
        found = self._passes.match(data, at)
        if found:
            out.append(found[0])
            return found.end()
        byte = data[at]
        if byte == _ESC:
            self._sequence = bytearray()
            return at + 1
        if byte == _ENQ:
            return at + 1
        if self._utf8:
            if byte == 0xC2 and data[at + 1 : at + 2] and 0x80 <= data[at + 1] <= 0x9F:
                self._sequence = bytearray()
                self._add_to_sequence(data[at + 1] - 0x40, out)
                return at + 2
            if len(data) - at < 4 and _TRUNCATED_UTF8.match(data, at):
                self._held = data[at:]
                return len(data)
        out.append(self._without_c1(data[at : at + 1]))
        return at + 1

    def _continue_sequence(self, data: bytes, at: int, out: list[bytes]) -> int:
        byte = data[at]
        if byte in (_CAN, _SUB):
            self._sequence = None
        elif byte == _ESC:
            self._sequence = bytearray()
        elif byte < 0x20:
            # Terminals obey a control character in a sequence and go on with the sequence.
            if byte != _ENQ:
                out.append(data[at : at + 1])
        elif byte > _DEL:
            self._sequence = None
            return at
        elif byte != _DEL:
            self._add_to_sequence(byte, out)
        return at + 1

    def _add_to_sequence(self, byte: int, out: list[bytes]) -> None:
        sequence = self._sequence
        if sequence is None:
            return
        if not sequence and byte in _STRINGS:
            self._sequence = None
            self._string_left = MAX_STRING
            self._in_osc = byte == ord("]")
            self._osc.clear()
            self._last = 0
            return
        if len(sequence) < MAX_SEQUENCE:
            sequence.append(byte)
        is_csi = sequence[0] == ord("[")
        if (byte >= 0x40 and len(sequence) > 1) if is_csi else byte >= 0x30:
            self._sequence = None
            if byte == sequence[-1] and _allowed(bytes(sequence)):
                out.append(b"\x1b" + sequence)

    def _skip_string(self, data: bytes, at: int) -> int:
        """Pass over one byte of a string that is left out."""
        byte = data[at]
        self._string_left -= 1
        if byte in (_CAN, _SUB) or (byte == _BEL and self._in_osc):
            self._string_left = 0
        elif byte == _ESC:
            # ESC \ ends the string; ESC and anything else does too, and begins a sequence.
            self._string_left = 0
            self._sequence = bytearray()
        elif byte == 0x9C and (not self._utf8 or self._last == 0xC2):
            self._string_left = 0
        elif self._in_osc and len(self._osc) < _LINUX_PALETTE_LENGTH:
            self._osc.append(byte)
            if self._osc == b"R" or _is_linux_palette(self._osc):
                self._string_left = 0
        self._last = byte
        return at + 1

    def _without_c1(self, data: bytes) -> bytes:
        shown = _REPLACEMENT if self._utf8 else b"?"
        return b"".join(shown if 0x80 <= byte <= 0x9F else bytes((byte,)) for byte in data)


def _allowed(sequence: bytes) -> bool:
    """Whether a sequence (without its ESC) only draws or sets how to draw."""
    if sequence[0] == ord("["):
        return _allowed_csi(sequence[1:])
    if len(sequence) == 1:
        return sequence[0] in _ESC_FINALS
    return bool(_CHARSET.match(sequence) or _SCREEN.match(sequence))


def _allowed_csi(sequence: bytes) -> bool:
    found = _CSI.match(sequence)
    if found is None:
        return False
    private, parameters, intermediate, final = found.groups()
    numbers = re.split(rb"[:;]", parameters)
    # Some terminals repeat a character as often as they are told, however long that takes.
    if any(len(number) > _MAX_NUMBER_DIGITS for number in numbers):
        return False
    if private:
        return private == b"?" and not intermediate and _allowed_private(final, numbers)
    if final[0] not in _CSI_FINALS.get(intermediate, ()):
        return False
    if final in b"hl":
        return all(_number(number) in _MODES for number in numbers)
    # T with five numbers tracks the mouse, and waits for a reply.
    return final != b"T" or len(numbers) == 1


def _allowed_private(final: bytes, numbers: list[bytes]) -> bool:
    if final[0] not in _PRIVATE_FINALS:
        return False
    return final in b"JK" or all(_number(number) in _PRIVATE_MODES for number in numbers)


def _number(digits: bytes) -> int:
    return int(digits or b"0")


def _is_linux_palette(osc: bytearray) -> bool:
    """Whether this is OSC P and seven hexadecimal digits: no terminator follows those."""
    return bool(_LINUX_PALETTE.fullmatch(osc))


def visible(text: str) -> str:
    """Give text for one line of a terminal: what is not printable is shown as an escape."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
