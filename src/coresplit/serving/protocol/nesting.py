"""Checks of JSON without recursion and in little memory: nesting, objects, UTF-8."""

from collections.abc import Iterator

_BRACKETS = b'[]{}"'
_OTHERS = bytes(set(range(256)) - set(_BRACKETS))
_QUOTE, _OBJECT = ord('"'), ord("{")
_PIECE = 1 << 20


def excess(text: bytes, deepest: int, most_objects: int) -> str:
    """Return what exceeds the limits, nesting or number of objects, as a phrase; empty if neither.

    Counts after the first mistake of malformed JSON are arbitrary; a parser stops there.
    """
    if text.count(b"[") + text.count(b"{") <= min(deepest, most_objects):
        return ""
    import numpy as np  # noqa: PLC0415

    steps = np.zeros(256, np.int8)
    steps[[ord("["), ord("{")]] = 1
    steps[[ord("]"), ord("}")]] = -1
    depth, objects, is_inside = 0, 0, False
    for piece in _pieces(text):
        unescaped = piece.replace(b"\\\\", b"").replace(b'\\"', b"")
        found = np.frombuffer(unescaped.translate(None, _OTHERS), np.uint8)
        outside = np.logical_xor.accumulate(found == _QUOTE) == is_inside
        depths = depth + np.cumsum(steps[found] * outside, dtype=np.int32)
        if depths.max(initial=0) > deepest:
            return f"is nested deeper than {deepest}"
        objects += int(np.count_nonzero(outside & (found == _OBJECT)))
        if objects > most_objects:
            return f"has more than {most_objects} objects"
        if len(found):
            depth, is_inside = int(depths[-1]), not outside[-1]
    return ""


def not_utf8(text: bytes) -> int | None:
    """Return the offset of the first byte that is not UTF-8; None if all are."""
    if text.isascii():
        return None
    at = 0
    while at < len(text):
        end = at + _PIECE
        # never cut within a character
        while end < len(text) and at + _PIECE - end < 3 and text[end] & 0xC0 == 0x80:
            end -= 1
        try:
            text[at:end].decode()
        except UnicodeDecodeError as error:
            return at + error.start
        at = end
    return None


def _pieces(text: bytes) -> Iterator[bytes]:
    """Yield the text in pieces that never end within an escape."""
    at = 0
    while at < len(text):
        piece = text[at : at + _PIECE]
        if (len(piece) - len(piece.rstrip(b"\\"))) % 2:
            piece = text[at : at + _PIECE + 1]
        yield piece
        at += len(piece)
