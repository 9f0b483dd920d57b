"""JSON to protobuf: proto3's JSON mapping of requests, as etcd's gateway takes it.

Unknown names are ignored, names may be those of the ``.proto`` file or their camel-case form, ``null`` is a field that
is not set. Fields are looked at in the order of the ``.proto`` file, as in etcd: of two members of a oneof the later
one counts, and of two mistakes the first is told.

Our own, since protobuf's converter ignores unknown names of enums too, takes ``3.0`` for an integer and ``"2"`` for an
enum, refuses with other words than etcd, and has no bound on work.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any, Final, NamedTuple, NoReturn

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from oarlock.gateway.json import scalars
from oarlock.gateway.json.faults import BodyError, bad_character, not_json, wrong_kind

MAX_VALUES: Final = 50_000
"""In one request, in the parts that mean something. A request has a few hundred (a transaction of 128 operations); this
many take a tenth of a second."""
MAX_DEPTH: Final = 100
"""Of messages in messages: protobuf's own bound. A transaction nested as deep as is allowed has 66."""

Convert = Callable[[Any], Any]


class _Field(NamedTuple):
    """How one field is filled."""

    name: str
    json_name: str
    convert: Convert | None
    """None for a message."""
    zero: Any
    """What ``null`` means in a list."""
    is_repeated: bool


def _refuse_constant(name: str) -> NoReturn:
    raise bad_character(name.lstrip("-")[0], "looking for beginning of value")


_decoder: Final = json.JSONDecoder(
    parse_int=scalars.integer_or_text, parse_float=scalars.NumberText, parse_constant=_refuse_constant
)


def decode(body: str, message: Message) -> None:
    """Fills ``message`` with the first JSON value of ``body``; what follows it is ignored, an empty body is ``{}``.

    Raises:
        BodyError: it is no JSON, or the JSON of something else.
    """
    stripped = body.lstrip(" \t\r\n")
    if not stripped:
        return
    try:
        value, _ = _decoder.raw_decode(stripped)
    except json.JSONDecodeError as error:
        raise not_json(error) from None
    except RecursionError:
        raise BodyError("exceeded max depth") from None
    _Filler().fill(message, value, 1)


class _Filler:
    """Fills one message and what is in it; counts the work."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = MAX_VALUES

    def fill(self, message: Message, value: Any, depth: int) -> None:
        if value is None:
            return
        if type(value) is not dict:
            raise wrong_kind(value, "map[string]json.RawMessage")
        if depth > MAX_DEPTH:
            raise BodyError("exceeded max depth")
        for field in fields_of(message.DESCRIPTOR) if value else ():
            item = value.get(field.json_name, value.get(field.name))
            if item is not None:
                self._set(message, field, item, depth)

    def _set(self, message: Message, field: _Field, value: Any, depth: int) -> None:
        if field.is_repeated:
            self._extend(message, field, value, depth)
            return
        self._count(1)
        if field.convert is not None:
            setattr(message, field.name, field.convert(value))
            return
        inner = getattr(message, field.name)
        inner.SetInParent()
        self.fill(inner, value, depth + 1)

    def _extend(self, message: Message, field: _Field, values: Any, depth: int) -> None:
        if type(values) is not list:
            raise wrong_kind(values, "[]json.RawMessage")
        self._count(len(values))
        items = getattr(message, field.name)
        if field.convert is not None:
            items.extend(field.zero if value is None else field.convert(value) for value in values)
            return
        for value in values:
            self.fill(items.add(), value, depth + 1)

    def _count(self, values: int) -> None:
        self._left -= values
        if self._left < 0:
            raise BodyError(f"oarlock: a request has more than {MAX_VALUES} values")


@cache  # as many entries as there are types of messages
def fields_of(message: Descriptor) -> tuple[_Field, ...]:
    """The fields of a type of messages, in the order of their declaration."""
    return tuple(_field(field) for field in message.fields)


def _field(field: FieldDescriptor) -> _Field:
    convert = None if field.message_type is not None else _converter(field)
    zero = {FieldDescriptor.TYPE_BYTES: b"", FieldDescriptor.TYPE_STRING: ""}.get(field.type, 0)
    return _Field(field.name, field.json_name, convert, zero, is_repeated(field))


def is_repeated(field: FieldDescriptor) -> bool:
    """Whether a field is a list, with any release of protobuf: 7 has no ``label`` any more, 4 only that."""
    known: bool | None = getattr(field, "is_repeated", None)
    return bool(getattr(field, "label", None) == FieldDescriptor.LABEL_REPEATED) if known is None else known


_INTEGERS: Final = {
    FieldDescriptor.CPPTYPE_INT32: (-(1 << 31), (1 << 31) - 1, "int32"),
    FieldDescriptor.CPPTYPE_INT64: (-(1 << 63), (1 << 63) - 1, "int64"),
    FieldDescriptor.CPPTYPE_UINT32: (0, (1 << 32) - 1, "uint32"),
    FieldDescriptor.CPPTYPE_UINT64: (0, (1 << 64) - 1, "uint64"),
}


def _converter(field: FieldDescriptor) -> Convert:
    if field.cpp_type in _INTEGERS:
        lowest, highest, go_type = _INTEGERS[field.cpp_type]
        return lambda value: scalars.integer(value, lowest, highest, go_type)
    enum = field.enum_type
    if enum is not None:
        return lambda value: scalars.enumerated(value, enum)
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return scalars.boolean
    return scalars.octets if field.type == FieldDescriptor.TYPE_BYTES else scalars.text
