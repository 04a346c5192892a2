"""How deep JSON is nested, told without recursion."""

_BRACKETS = b'[]{}"'
_OTHERS = bytes(set(range(256)) - set(_BRACKETS))
_QUOTE = ord('"')


def deeper_than(text: bytes, limit: int) -> bool:
    """Whether arrays and objects are nested deeper than ``limit``.

    What follows the first mistake of malformed JSON is counted somehow; a parser stops there.
    """
    if text.count(b"[") + text.count(b"{") <= limit:
        return False
    import numpy as np  # noqa: PLC0415

    unescaped = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    found = np.frombuffer(unescaped.translate(None, _OTHERS), np.uint8)
    steps = np.zeros(256, np.int8)
    steps[[ord("["), ord("{")]] = 1
    steps[[ord("]"), ord("}")]] = -1
    inside_strings = np.logical_xor.accumulate(found == _QUOTE)
    depths = np.cumsum(steps[found] * ~inside_strings, dtype=np.int32)
    return bool(depths.max(initial=0) > limit)
