"""Messages of any type, made from its descriptor: numbers at their edges, keys that meet, enums that nobody knows."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

MAX_DEPTH = 3
"""Transactions hold transactions: deeper ones than this are left out."""

KEYS = st.sampled_from([b"", b"\0", b"a", b"a/1", b"b", b"fuzz/x", b"\xff", b"\xff\xff", b"k" * 600])
INT64 = st.sampled_from([0, 1, 2, 5, 100, -1, -(1 << 63), (1 << 63) - 1, 1 << 33])
UINT64 = st.sampled_from([0, 1, (1 << 64) - 1, 1 << 40])
TEXTS = st.sampled_from(["", "root", "3.4.0", "http://127.0.0.1:1", "é" * 40, "\0"])

_SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_INT64: INT64,
    FieldDescriptor.TYPE_UINT64: UINT64,
    FieldDescriptor.TYPE_UINT32: st.sampled_from([0, 1, (1 << 32) - 1]),
    FieldDescriptor.TYPE_INT32: st.sampled_from([0, 1, -1, (1 << 31) - 1]),
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_BYTES: KEYS,
    FieldDescriptor.TYPE_STRING: TEXTS,
    FieldDescriptor.TYPE_ENUM: st.sampled_from([0, 1, 2, 3, 7, -1]),
}


def messages(descriptor: Descriptor, depth: int = 0) -> st.SearchStrategy[Message]:
    """Messages of this type, with any of their fields set."""
    fields = {field: values for field in descriptor.fields if (values := _values(field, depth)) is not None}

    @st.composite
    def build(draw: st.DrawFn) -> Message:
        message = GetMessageClass(descriptor)()
        for field, values in fields.items():
            if draw(st.booleans()):
                _set(message, field, draw(values))
        return message

    return build()


def _values(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any] | None:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        if depth >= MAX_DEPTH:
            return None
        one: st.SearchStrategy[Any] = messages(field.message_type, depth + 1)
    else:
        one = _SCALARS[field.type]
    return st.lists(one, max_size=4) if field.is_repeated else one


def _set(message: Message, field: FieldDescriptor, value: Any) -> None:
    if field.is_repeated:
        getattr(message, field.name).extend(value)
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        getattr(message, field.name).CopyFrom(value)
    else:
        setattr(message, field.name, value)
