"""A header list, and the rules that HTTP/2 has for one (RFC 9113 sections 8.2 and 8.3)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

Field = tuple[bytes, bytes]
"""A field's name and value."""
Fields = tuple[Field, ...]

FIELD_OVERHEAD_BYTES: Final = 32
"""What a field counts for beside its name and value, in header lists and HPACK tables alike (RFC 7541 section 4.1)."""

_REQUEST_PSEUDO: Final = frozenset({b":method", b":scheme", b":path", b":authority"})
_CONNECTION_SPECIFIC: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)
_NAME_BYTES: Final = b"abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~"
_BAD_BYTES: Final = b"\0\r\n"
_BLANKS: Final = b" \t"
_DECIMAL: Final = re.compile(rb"[0-9]{1,18}")


def field_bytes(field: Field) -> int:
    """What ``field`` counts for, in a header list and in a table.

    >>> field_bytes((b"te", b"trailers"))
    42
    """
    return len(field[0]) + len(field[1]) + FIELD_OVERHEAD_BYTES


class Headers:
    """A decoded header list. Blocks that decode alike share one object, so nobody changes it once it is judged.

    Attributes:
        fields: in order; empty when ``is_too_large``.
        is_too_large: the list was longer than allowed; it was decoded for the sake of HPACK's state, and dropped.
        problem: why these can not be the headers of a request; empty if they can.
        content_length: the announced length of the body in bytes, None without one.
        derived: what the layer above has worked out of the fields, kept here so that it is done once.
        shared: of a list with a field whose value hardly comes twice, the list that has an empty one in its place, and
            is one object for all that differ in nothing else; else None.
        own: that value; the first, where there are several; else None.
    """

    __slots__ = ("content_length", "derived", "fields", "is_too_large", "own", "problem", "shared")

    def __init__(
        self, fields: Fields, *, is_too_large: bool = False, shared: Headers | None = None, own: Field | None = None
    ) -> None:
        self.fields = fields
        self.is_too_large = is_too_large
        self.derived: object | None = None
        self.shared = shared
        self.own = None if own is None else own[1]
        if shared is None or own is None:
            self.problem = "" if is_too_large else request_problem(fields)
            self.content_length = _content_length(fields)
        else:
            self.problem = shared.problem or _value_problem(own)
            self.content_length = shared.content_length


def request_problem(fields: Fields) -> str:
    """Why ``fields`` are not the headers of a request; empty if they are. Naming the field and the rule."""
    pseudo: dict[bytes, bytes] = {}
    position = 0
    for name, value in fields:
        if name[:1] != b":":
            break
        if name not in _REQUEST_PSEUDO:
            return f"unknown pseudo-header {name!r}"
        if name in pseudo:
            return f"{name!r} occurs twice"
        if problem := _value_problem((name, value)):
            return problem
        pseudo[name] = value
        position += 1
    return _pseudo_problem(pseudo) or regular_problem(fields[position:])


def _pseudo_problem(pseudo: dict[bytes, bytes]) -> str:
    if pseudo.get(b":method") == b"CONNECT":
        if pseudo.keys() != {b":method", b":authority"}:
            return "CONNECT takes :authority, and neither :scheme nor :path"
        return ""
    for name in (b":method", b":scheme", b":path"):
        if not pseudo.get(name):
            return f"{name!r} is missing or empty"
    return ""


def regular_problem(fields: Iterable[Field]) -> str:
    """Why ``fields`` are not fields after the pseudo-headers, or trailers; empty if they are."""
    lengths = set()
    for name, value in fields:
        if not name or name.translate(None, _NAME_BYTES):
            if name[:1] == b":":
                return f"pseudo-header {name!r} after a regular field or in trailers"
            return f"field name {name!r} is not lower-case letters, digits and token characters"
        if problem := _value_problem((name, value)):
            return problem
        if name in _CONNECTION_SPECIFIC:
            return f"{name!r} belongs to a connection of HTTP/1.1"
        if name == b"te" and value.lower() != b"trailers":
            return f"te must be 'trailers', not {value!r}"
        if name == b"content-length":
            lengths.add(value)
            if len(lengths) > 1 or not _DECIMAL.fullmatch(value):
                return f"content-length {value!r} is not one number"
    return ""


def _value_problem(field: Field) -> str:
    name, value = field
    if len(value.translate(None, _BAD_BYTES)) == len(value.strip(_BLANKS)) == len(value):
        return ""
    return f"the value of {name!r} has a character that is not allowed there"


def _content_length(fields: Fields) -> int | None:
    for name, value in fields:
        if name == b"content-length" and _DECIMAL.fullmatch(value):
            return int(value)
    return None
