"""Single values of JSON as protobuf's: what each type accepts, which is proto3's JSON mapping."""

from __future__ import annotations

import re
from base64 import b64decode
from typing import Any, Final

from google.protobuf.descriptor import EnumDescriptor

from oarlock.gateway.json.faults import BodyError, bad_character, wrong_kind, wrong_number

MAX_DIGITS: Final = 20
"""Of an integer: a longer one fits in no type, and is not worth converting."""

_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]*")
_URL_SAFE: Final = str.maketrans("-_", "+/")
_LINE_ENDS: Final = str.maketrans("", "", "\r\n")


class NumberText(str):
    """A number of a body that is no integer, or a very long one, as it was written."""

    __slots__ = ()


def integer_or_text(text: str) -> int | NumberText:
    """How integers of a body are read."""
    return int(text) if len(text) <= MAX_DIGITS else NumberText(text)


def integer(value: Any, lowest: int, highest: int, go_type: str) -> int:
    """An integer, or one in a string, as 64-bit integers are written.

    Raises:
        BodyError: it is something else, or outside of the bounds.
    """
    number = _quoted_number(value) if type(value) is str else value
    return _plain_integer(number, lowest, highest, go_type)


def _plain_integer(value: Any, lowest: int, highest: int, go_type: str) -> int:
    if type(value) is not int:
        raise wrong_number(value, go_type) if type(value) is NumberText else wrong_kind(value, go_type)
    if not lowest <= value <= highest:
        raise wrong_number(value, go_type)
    return value


def _quoted_number(text: str) -> int | NumberText:
    stripped = text.strip(" \t\r\n")
    if not stripped:
        raise BodyError("unexpected end of JSON input")
    match = _NUMBER.match(stripped)
    if match is None:
        raise bad_character(stripped[0], "looking for beginning of value")
    if match.end() < len(stripped):
        raise bad_character(stripped[match.end()], "after top-level value")
    return NumberText(stripped) if match[1] or match[2] else integer_or_text(stripped)


def boolean(value: Any) -> bool:
    """``true`` or ``false``, and nothing that looks like them.

    Raises:
        BodyError: it is something else.
    """
    if type(value) is not bool:
        raise wrong_kind(value, "bool")
    return value


def text(value: Any) -> str:
    """A string; halves of surrogate pairs become replacement characters, as in Go.

    Raises:
        BodyError: it is something else.
    """
    if type(value) is not str:
        raise wrong_kind(value, "string")
    if value.isascii():
        return value
    return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def octets(value: Any) -> bytes:
    """Bytes in base64: standard or URL-safe, padded or not. etcd takes the latter forms since 3.6; and up to 3.5, since
    Go does, a list of numbers.

    Raises:
        BodyError: it is something else.
    """
    if type(value) is list:
        return bytes(0 if number is None else _plain_integer(number, 0, 255, "uint8") for number in value)
    if type(value) is not str:
        raise wrong_kind(value, "[]uint8")
    bare = value.translate(_LINE_ENDS).translate(_URL_SAFE)
    unpadded = bare.rstrip("=")
    good = _BASE64.match(unpadded)
    assert good is not None  # it matches nothing, too
    if good.end() < len(unpadded):
        raise _bad_base64(good.end())
    missing = -len(unpadded) % 4
    if missing == 3 or (len(bare) > len(unpadded) and len(bare) - len(unpadded) != missing):
        raise _bad_base64(len(unpadded) - len(unpadded) % 4)
    return b64decode(unpadded + "=" * missing)


def _bad_base64(position: int) -> BodyError:
    return BodyError(f"illegal base64 data at input byte {position}")


def enumerated(value: Any, enum: EnumDescriptor) -> int:
    """A name of ``enum``, or a number, known or not.

    Raises:
        BodyError: it is something else.
    """
    if type(value) is str:
        known = enum.values_by_name.get(value)
        if known is None:
            quoted = '\\"' + value + '\\"'
            raise BodyError(f'unknown value "{quoted}" for enum {enum.full_name}')
        return known.number
    return integer(value, -(1 << 31), (1 << 31) - 1, "protoreflect.EnumNumber")
