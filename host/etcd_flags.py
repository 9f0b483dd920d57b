"""Flags as etcd has them: their kinds, how Go reads their values, and what becomes of them here."""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, NamedTuple

from oarlock.host import rules

_TRUE: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_WHOLE_NUMBER: Final = re.compile(r"[+-]?(0[xX][0-9a-fA-F]+|0[oO]?[0-7]+|0[bB][01]+|[1-9][0-9]*|0)")


class Kind(Enum):
    """How a value is written, and what a configuration file may hold for it."""

    TEXT = "text"
    TRUTH = "bool"
    NUMBER = "int"
    COUNT = "uint"
    REAL = "float64"
    DURATION = "duration"


class Flag(NamedTuple):
    """One flag of etcd.

    Attributes:
        name: without dashes.
        kind: of its values.
        default: etcd's, as `canonical` writes it.
        setting: flag of our setting that it stands for; empty for one without a meaning here.
        refusal: why values other than the default cannot be honoured; empty where they do no harm.
        harmless: further values that are not refused.
    """

    name: str
    kind: Kind
    default: str
    setting: str = ""
    refusal: str = ""
    harmless: tuple[str, ...] = ()

    @property
    def variable(self) -> str:
        """The environment variable: ``ETCD_DATA_DIR`` for ``data-dir``."""
        return "ETCD_" + self.name.upper().replace("-", "_")

    def is_refused(self, value: str) -> bool:
        """Whether a server that ignored this value would be another than was asked for."""
        return bool(self.refusal) and value not in (self.default, *self.harmless)


def canonical(flag: Flag, text: str) -> str:
    """The value as our settings are written: ``1`` for a truth becomes ``true``, ``0x10`` for a number ``16``.

    Raises:
        ValueError: it is none of the flag's kind.
    """
    if flag.kind is Kind.TRUTH:
        if text not in _TRUE and text not in _FALSE:
            raise ValueError("parse error")
        return "true" if text in _TRUE else "false"
    if flag.kind in (Kind.NUMBER, Kind.COUNT):
        return str(_whole(text, signed=flag.kind is Kind.NUMBER))
    if flag.kind is Kind.REAL:
        return f"{float(text):g}"
    if flag.kind is Kind.DURATION:
        try:
            rules.seconds(text.removeprefix("-"))
        except ValueError:
            raise ValueError("parse error") from None
    return text


def _whole(text: str, *, signed: bool) -> int:
    """A number as Go's flag package takes it: decimal, or with a prefix for another base."""
    match = _WHOLE_NUMBER.fullmatch(text.replace("_", ""))
    if match is None or len(text) > 80 or (text.startswith(("+", "-")) and not signed):
        raise ValueError("parse error")
    digits = match[1]
    is_old_octal = len(digits) > 1 and digits[0] == "0" and digits[1].isdigit()
    number = int(digits, 8) if is_old_octal else int(digits, 0)
    if number >= 1 << (63 if signed else 64):
        raise ValueError("value out of range")
    return -number if text.startswith("-") else number
