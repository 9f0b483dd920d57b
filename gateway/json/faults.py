"""What is wrong with a body, in the words of Go's JSON decoder, which etcd's users know."""

from __future__ import annotations

from json import JSONDecodeError
from typing import Any

from oarlock.wire.errors import RequestError

_EXPECTED = (
    ("Expecting property name", "looking for beginning of object key string"),
    ("Illegal trailing comma", "looking for beginning of object key string"),
    ("Expecting ':'", "after object key"),
    ("Expecting ','", "after a value in an object or array"),
    ("Invalid control character", "in string literal"),
    ("Invalid \\", "in string escape code"),
)
"""How Python's decoder begins its message, and how Go's goes on after naming the character."""


class BodyError(RequestError):
    """A body that is no JSON, or no JSON of the message that is wanted."""


def not_json(error: JSONDecodeError) -> BodyError:
    """The text is not JSON."""
    if error.pos >= len(error.doc) or error.msg.startswith("Unterminated string"):
        return BodyError("unexpected EOF")
    for beginning, expected in _EXPECTED:
        if error.msg.startswith(beginning):
            return bad_character(error.doc[error.pos], expected)
    return bad_character(error.doc[error.pos], "looking for beginning of value")


def bad_character(character: str, expected: str) -> BodyError:
    """The text is not JSON, because of one character."""
    return BodyError(f"invalid character {character!r} {expected}")


def wrong_kind(value: Any, wanted: str) -> BodyError:
    """The value is JSON of another kind than ``wanted``, a type of Go's."""
    return BodyError(f"json: cannot unmarshal {_kind(value)} into Go value of type {wanted}")


def wrong_number(number: object, wanted: str) -> BodyError:
    """The number does not fit in ``wanted``, a type of Go's."""
    return BodyError(f"json: cannot unmarshal number {number} into Go value of type {wanted}")


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, dict):
        return "object"
    if isinstance(value, list):
        return "array"
    return "string" if type(value) is str else "number"
