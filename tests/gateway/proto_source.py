"""A reader of `.proto` files, as far as ours go: it finds the facts that `descriptors.facts` finds in compiled ones."""

from __future__ import annotations

import re
from pathlib import Path

from tests.gateway.descriptors import Facts

SCALARS = frozenset({"bytes", "string", "bool", "int32", "int64", "uint32", "uint64"})

_COMMENT = re.compile(r"//[^\n]*")
_STATEMENT = re.compile(r"\s*([^;{}]*)([;{}])")
_FIELD = re.compile(r"(repeated )?([\w.]+) (\w+) = (\d+)")
_VALUE = re.compile(r"(\w+) = (\d+)")
_METHOD = re.compile(r"rpc (\w+) ?\((stream )?([\w.]+)\) returns \((stream )?([\w.]+)\)")


def source_facts(paths: list[Path]) -> Facts:
    """What the files at ``paths`` define.

    Raises:
        ValueError: a statement that this reader does not know.
    """
    found: Facts = {}
    for path in paths:
        _read(path.read_text(), found)
    return {name: _resolved(name, fact, found) for name, fact in found.items()}


def _read(text: str, found: Facts) -> None:
    scopes: list[tuple[str, str]] = []  # (kind, full name) of the blocks that are open
    package = ""
    for match in _STATEMENT.finditer(_COMMENT.sub("", text)):
        words, ending = " ".join(match[1].split()), match[2]
        kind, _, name = words.partition(" ")
        if ending == "}":
            scopes.pop()
        elif ending == "{":
            scopes.append(_opened(kind, name, scopes[-1] if scopes else ("", package), found))
        elif kind == "package":
            package = name
        elif kind not in ("syntax", "import"):
            _define(words, scopes, found)


def _opened(kind: str, name: str, scope: tuple[str, str], found: Facts) -> tuple[str, str]:
    full_name = f"{scope[1]}.{name}"
    if kind in ("message", "enum"):
        found[full_name] = ()
    elif kind not in ("service", "oneof"):
        raise ValueError(f"unknown block {kind} {name}")
    return kind, full_name


def _define(words: str, scopes: list[tuple[str, str]], found: Facts) -> None:
    kind, scope = scopes[-1]
    if kind == "service" and (method := _METHOD.fullmatch(words)):
        found[f"{scope}/{method[1]}"] = (method[3], method[5], bool(method[2]), bool(method[4]))
    elif kind == "enum" and (value := _VALUE.fullmatch(words)):
        found[scope] += ((value[1], int(value[2])),)
    elif kind in ("message", "oneof") and (field := _FIELD.fullmatch(words)):
        message, _, oneof = scope.rpartition(".") if kind == "oneof" else (scope, "", "")
        found[f"{message}.{field[3]}"] = (int(field[4]), field[2], bool(field[1]), oneof, None)
    else:
        raise ValueError(f"unknown statement {words!r} in {kind} {scope}")


def _resolved(name: str, fact: tuple[object, ...], found: Facts) -> tuple[object, ...]:
    """``fact`` with the full names of the types that it mentions."""
    if "/" in name:
        return (_full_name(str(fact[0]), name, found), _full_name(str(fact[1]), name, found), *fact[2:])
    if fact and isinstance(fact[0], int):
        return (fact[0], _full_name(str(fact[1]), name, found), *fact[2:])
    return fact


def _full_name(type_name: str, user: str, found: Facts) -> str:
    """The type that ``type_name`` means inside ``user``: the innermost one of that name."""
    if type_name in SCALARS:
        return type_name
    scope = user
    while scope:
        scope = scope.rpartition(".")[0]
        candidate = f"{scope}.{type_name}" if scope else type_name
        if candidate in found:
            return candidate
    raise ValueError(f"{user}: no type {type_name}")
