"""How a call ended, and the fields that say so (gRPC over HTTP/2, section "Responses")."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass
from typing import Final

from oarlock.gateway.http2.headers import Field, Fields
from oarlock.wire.errors import Code, OarlockError

MAX_MESSAGE_CHARACTERS: Final = 4096
"""Of ``grpc-message``. Clients bound their header lists, gRPC's C core at 8 kB; a longer text would cost them the
status."""

CONTENT_TYPE: Final[Field] = (b"content-type", b"application/grpc")
OK_STATUS: Final[Field] = (b"grpc-status", b"0")
RESPONSE_HEADERS: Final[Fields] = ((b":status", b"200"), CONTENT_TYPE)
OK_TRAILERS: Final[Fields] = (OK_STATUS,)
REMEMBERED: Final[Fields] = (CONTENT_TYPE, OK_STATUS)
"""What goes into the client's header table, so that an ordinary answer has three bytes of headers."""

_ESCAPED: Final = re.compile(rb"[^ -$&-~]")


@dataclass(frozen=True, slots=True)
class Status:
    """A code, and a text for a person.

    Attributes:
        code: the gRPC status code.
        message: any text; the wire form is percent-encoded.
        metadata: further trailers, names in lower case; values of ``…-bin`` names are bytes, others ASCII text.
    """

    code: Code
    message: str = ""
    metadata: tuple[tuple[str, str | bytes], ...] = ()

    @classmethod
    def of(cls, error: OarlockError) -> Status:
        """The status that tells ``error``."""
        return cls(error.code, error.message)


OK: Final = Status(Code.OK)


class RejectionError(Exception):
    """A client broke a rule of gRPC; never leaves this package: the call ends with ``status``."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.status = Status(code, message)


def percent_encoded(text: str) -> bytes:
    """``text`` as ``grpc-message`` carries it: UTF-8, all but printable ASCII and the percent sign escaped."""
    raw = text[:MAX_MESSAGE_CHARACTERS].encode("utf-8", "replace")
    return _ESCAPED.sub(lambda match: b"%%%02X" % match[0][0], raw)


def metadata_fields(metadata: tuple[tuple[str, str | bytes], ...]) -> Fields:
    """Response metadata as header fields; values of ``…-bin`` names in base64 without padding.

    Raises:
        ValueError: a text is not printable ASCII, or a name is not ASCII.
    """
    return tuple((name.encode("ascii"), _value(name, value)) for name, value in metadata)


def _value(name: str, value: str | bytes) -> bytes:
    raw = value if isinstance(value, bytes) else value.encode("ascii")
    if name.endswith("-bin"):
        return b64encode(raw).rstrip(b"=")
    if _ESCAPED.search(raw.replace(b"%", b"")) or raw != raw.strip():
        raise ValueError(f"the value {value!r} of metadata {name!r} is not printable ASCII without spaces around it")
    return raw


def trailers(status: Status) -> Fields:
    """The fields that end a call with ``status``."""
    if status.code is Code.OK and not status.message and not status.metadata:
        return OK_TRAILERS
    fields = [(b"grpc-status", b"%d" % status.code)]
    if status.message:
        fields.append((b"grpc-message", percent_encoded(status.message)))
    return (*fields, *metadata_fields(status.metadata))
