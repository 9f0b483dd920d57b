"""Go's text forms, which etcdctl prints and reads: quoted strings, integers, booleans, durations, sizes.

Scripts written for etcdctl depend on these to the byte, so each function names the Go function that it equals.
"""

from __future__ import annotations

import re
from typing import Final

INT64_MIN: Final = -(1 << 63)
INT64_MAX: Final = (1 << 63) - 1

_SHORT_ESCAPES: Final = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"',
}  # fmt: skip
_ESCAPED: Final = {character: f"\\{letter}" for letter, character in _SHORT_ESCAPES.items()}
_ESCAPE: Final = re.compile(
    rb"\\(?:(?P<short>[abfnrtv\\\"])|(?P<octal>[0-7]{3})|x(?P<hex>[0-9a-fA-F]{2})"
    rb"|u(?P<u4>[0-9a-fA-F]{4})|U(?P<u8>[0-9a-fA-F]{8}))"
)
_UNITS_NS: Final = {
    "ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
}  # fmt: skip
_TRUE: Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "false", "FALSE", "False"})
_SIZE_UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


def quote(data: bytes | str) -> str:
    """``data`` as a Go string literal (strconv.Quote): bytes that are not UTF-8 as ``\\xNN``.

    >>> print(quote(b'a"b\\xff\\n'))
    "a\\"b\\xff\\n"
    """
    text = data.decode("utf-8", "surrogateescape") if isinstance(data, bytes) else data
    return f'"{"".join(map(_quoted_character, text))}"'


def _quoted_character(character: str) -> str:
    code = ord(character)
    if character in _ESCAPED:
        return _ESCAPED[character]
    if character.isprintable():
        return character
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, as surrogateescape shows it
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def unquote(inner: bytes) -> bytes:
    """What a double-quoted Go literal means (strconv.Unquote), given what stands between the quotes.

    Raises:
        ValueError: an escape that Go does not know, or a code point that is none.

    >>> unquote(rb"a\\x62\\n")
    b'ab\\n'
    """
    parts: list[bytes] = []
    position = 0
    while (start := inner.find(b"\\", position)) >= 0:
        match = _ESCAPE.match(inner, start)
        if match is None:
            raise ValueError(f"invalid escape {quote(inner[start : start + 2])}")
        parts += (inner[position:start], _meaning(match))
        position = match.end()
    return b"".join((*parts, inner[position:]))


def _meaning(escape: re.Match[bytes]) -> bytes:
    kind, digits = str(escape.lastgroup), escape[str(escape.lastgroup)].decode("ascii")
    if kind == "short":
        return _SHORT_ESCAPES[digits].encode()
    code = int(digits, 8 if kind == "octal" else 16)
    if kind in ("octal", "hex"):
        if code > 0xFF:
            raise ValueError(f"invalid escape \\{digits}: more than a byte")
        return bytes((code,))
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise ValueError(f"invalid escape: U+{code:X} is no character")
    return chr(code).encode()


def hex_bytes(data: bytes) -> bytes:
    """``data`` as ``\\xNN`` for every byte (etcdctl's --hex)."""
    return "".join(f"\\x{byte:02x}" for byte in data).encode()


def parse_int(text: str, base: int = 10) -> int:
    """A signed 64-bit integer (strconv.ParseInt; base 0 reads the prefixes 0x, 0o, 0b and 0).

    Raises:
        ValueError: with Go's text.
    """
    problem = f"strconv.ParseInt: parsing {quote(text)}: "
    digits = text.removeprefix("-").removeprefix("+")
    if base == 0 and re.fullmatch(r"0[0-7]+", digits):
        base = 8
    if not re.fullmatch(r"[-+]?[0-9a-zA-Z]+" if base else r"[-+]?[0-9a-zA-Z_]+", text):
        raise ValueError(problem + "invalid syntax")
    if base == 16 and digits[:2].lower() == "0x":
        raise ValueError(problem + "invalid syntax")
    try:
        number = int(text, base)
    except ValueError:
        raise ValueError(problem + "invalid syntax") from None
    if not INT64_MIN <= number <= INT64_MAX:
        raise ValueError(problem + "value out of range")
    return number


def parse_bool(text: str) -> bool:
    """A truth value (strconv.ParseBool).

    Raises:
        ValueError: with Go's text.
    """
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(f"strconv.ParseBool: parsing {quote(text)}: invalid syntax")


def parse_duration_s(text: str) -> float:
    """Seconds of a duration such as ``5s``, ``1m30s``, ``1.5h`` (time.ParseDuration).

    Raises:
        ValueError: with Go's text.
    """
    rest = text.removeprefix("-").removeprefix("+")
    if rest == "0":
        return 0.0
    total_ns = 0.0
    if not rest:
        raise ValueError(f"time: invalid duration {quote(text)}")
    while rest:
        match = re.match(r"(\d+\.?\d*|\.\d+)([^\d.]*)", rest, re.ASCII)
        if match is None:
            raise ValueError(f"time: invalid duration {quote(text)}")
        number, unit = match.groups()
        if not unit:
            raise ValueError(f"time: missing unit in duration {quote(text)}")
        if unit not in _UNITS_NS:
            raise ValueError(f"time: unknown unit {quote(unit)} in duration {quote(text)}")
        total_ns += float(number) * _UNITS_NS[unit]
        rest = rest[match.end() :]
    if total_ns > INT64_MAX:
        raise ValueError(f"time: invalid duration {quote(text)}")
    return (-total_ns if text.startswith("-") else total_ns) / 1e9


def format_duration(nanoseconds: int) -> str:
    """A duration as Go prints it (time.Duration.String): ``2.095242ms``, ``1m0.5s``.

    >>> [format_duration(n) for n in (0, 999, 1500, 2095242, 10**9, 90 * 10**9)]
    ['0s', '999ns', '1.5µs', '2.095242ms', '1s', '1m30s']
    """
    sign, rest = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    if rest == 0:
        return "0s"
    for unit, size, limit in (("ns", 1, 10**3), ("µs", 10**3, 10**6), ("ms", 10**6, 10**9)):
        if rest < limit:
            return f"{sign}{_decimal(rest, size)}{unit}"
    minutes, rest = divmod(rest, _UNITS_NS["m"])
    hours, minutes = divmod(minutes, 60)
    return (
        sign
        + (f"{hours}h" if hours else "")
        + (f"{minutes}m" if hours or minutes else "")
        + f"{_decimal(rest, 10**9)}s"
    )


def _decimal(number: int, unit: int) -> str:
    whole, fraction = divmod(number, unit)
    digits = f"{fraction:0{len(str(unit)) - 1}d}".rstrip("0") if fraction else ""
    return f"{whole}.{digits}" if digits else str(whole)


def format_size(size_bytes: int) -> str:
    """A size in SI units as etcdctl prints it (go-humanize, Bytes): ``25 kB``, ``2.1 GB``.

    >>> [format_size(n) for n in (0, 9, 999, 2100, 20480, 2_147_483_648)]
    ['0 B', '9 B', '999 B', '2.1 kB', '20 kB', '2.1 GB']
    """
    if size_bytes < 10:
        return f"{size_bytes} B"
    exponent = min((len(str(size_bytes)) - 1) // 3, len(_SIZE_UNITS) - 1)
    tenths = (size_bytes * 20 + 1000**exponent) // (2 * 1000**exponent)
    return f"{tenths / 10:.{0 if tenths >= 100 else 1}f} {_SIZE_UNITS[exponent]}"
