"""What protobuf descriptors say, as plain facts that can be compared: by full name, whatever file they come from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)

Facts = dict[str, tuple[Any, ...]]


def facts(files: Iterable[FileDescriptorProto]) -> Facts:
    """Everything that ``files`` define.

    Returns:
        Messages as ``()``; fields as (number, type, is repeated, oneof, packed where it is set); enums as
        ((name, number), ...); methods, under ``Service/Method``, as (request, response, takes stream, returns stream).
    """
    found: Facts = {}
    for file in files:
        for message in file.message_type:
            _add_message(found, file.package, message)
        for enum in file.enum_type:
            _add_enum(found, file.package, enum)
        for service in file.service:
            for method in service.method:
                found[f"{file.package}.{service.name}/{method.name}"] = (
                    method.input_type.lstrip("."),
                    method.output_type.lstrip("."),
                    method.client_streaming,
                    method.server_streaming,
                )
    return found


def _add_message(found: Facts, scope: str, message: DescriptorProto) -> None:
    name = f"{scope}.{message.name}"
    found[name] = ()
    for field in message.field:
        oneof = message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else ""
        repeated = field.label == FieldDescriptorProto.LABEL_REPEATED
        packed = field.options.packed if field.options.HasField("packed") else None
        found[f"{name}.{field.name}"] = (field.number, _type(field), repeated, oneof, packed)
    for enum in message.enum_type:
        _add_enum(found, name, enum)
    for nested in message.nested_type:
        _add_message(found, name, nested)


def _add_enum(found: Facts, scope: str, enum: EnumDescriptorProto) -> None:
    found[f"{scope}.{enum.name}"] = tuple((value.name, value.number) for value in enum.value)


def _type(field: FieldDescriptorProto) -> str:
    return field.type_name.lstrip(".") or FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
