"""The headers of a call, judged and taken apart. Texts and codes of refusals are those of grpc-go's server."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from oarlock.gateway.grpc.status import CONTENT_TYPE, Status, trailers
from oarlock.gateway.http2.headers import Field, Fields, Headers
from oarlock.wire.errors import Code

_CONTENT_TYPE: Final = re.compile(rb"application/grpc(?:[+;].*)?", re.IGNORECASE | re.DOTALL)
TIMEOUT: Final = b"grpc-timeout"
"""The field with what is left of the time that a client gives a call: hardly ever the same twice."""
MAX_TIMEOUT_DIGITS: Final = 8
_UNIT_S: Final[dict[bytes, float]] = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_OURS: Final = frozenset(
    {b"te", b"content-type", TIMEOUT, b"grpc-encoding", b"grpc-accept-encoding", b"content-length"}
)
"""Fields that are gRPC's own business, and no metadata."""
ACCEPTED_ENCODINGS: Final[Field] = (b"grpc-accept-encoding", b"identity,gzip")


@dataclass(frozen=True, slots=True)
class Method:
    """A method that is served.

    Attributes:
        path: ``/package.Service/Method``.
        takes_stream: whether the client sends any number of messages, and not exactly one.
        returns_stream: whether the server does.
        handler: whatever the owner wants to find here again.
    """

    path: str
    takes_stream: bool = False
    returns_stream: bool = False
    handler: Any = None


Methods = Mapping[bytes, Method]
"""What is served, by path."""


def methods_by_path(*methods: Method) -> Methods:
    """The table of ``methods``."""
    return {method.path.encode("ascii"): method for method in methods}


@dataclass(frozen=True, slots=True)
class Request:
    """The headers of a call that can be served. Calls with the same headers share one.

    Attributes:
        method: what is called.
        authority: the host that the client meant.
        is_gzipped: whether its compressed messages are gzip.
        metadata: in order, names in lower case; values of ``…-bin`` names are bytes, of others text, in which bytes
            that are not UTF-8 are lone surrogates.
    """

    method: Method
    authority: str
    is_gzipped: bool
    metadata: tuple[tuple[str, str | bytes], ...]

    def value(self, name: str) -> str | bytes | None:
        """The first metadata value under ``name``, None without one."""
        for key, value in self.metadata:
            if key == name:
                return value
        return None


@dataclass(frozen=True, slots=True)
class Refusal:
    """The answer to headers of which no call can come: trailers-only, with an HTTP status for those who speak only
    that."""

    fields: Fields


def judge(headers: Headers, methods: Methods) -> Request | Refusal:
    """What ``headers`` ask for; worked out once for all calls that share them, whatever their time-outs.

    Args:
        headers: valid as HTTP/2, or too large; their own field is `TIMEOUT`.
        methods: what is served; always the same for a connection.
    """
    common = headers.shared or headers
    known = common.derived
    if known is None:
        known = common.derived = _judge(common, methods)
    if headers.own is not None and not _is_timeout(headers.own):
        return _judge(headers, methods)  # as grpc-go does: something else may be refused before it
    if type(known) is Request:  # as nearly all; a union would be made anew for each call
        return known
    assert isinstance(known, Refusal)
    return known


def deadline_of(headers: Headers, now_s: float) -> float | None:
    """When the client of a call stops waiting; None never.

    Args:
        headers: of the call, of which `judge` made a Request: its time-out is none or well formed.
        now_s: when it came.
    """
    return None if headers.own is None else now_s + _seconds(headers.own)


def _judge(headers: Headers, methods: Methods) -> Request | Refusal:
    if headers.is_too_large:
        return _refusal(b"431", Code.RESOURCE_EXHAUSTED, "the header list is larger than SETTINGS_MAX_HEADER_LIST_SIZE")
    first: dict[bytes, bytes] = {}
    for name, value in headers.fields:
        first.setdefault(name, value)
    content_type = first.get(b"content-type", b"")
    if not _CONTENT_TYPE.fullmatch(content_type):
        text = _text(content_type)
        return _refusal(b"415", Code.INVALID_ARGUMENT, f'invalid gRPC request content-type "{text}"')
    if first[b":method"] != b"POST":
        text = _text(first[b":method"])
        return _refusal(b"405", Code.INTERNAL, f'Received a HEADERS frame with :method "{text}" which should be POST')
    try:
        if headers.own is not None:
            parse_timeout(headers.own)
        metadata = _metadata(headers.fields)
    except ValueError as error:
        return _refusal(b"400", Code.INTERNAL, str(error))
    method = methods.get(first[b":path"])
    if method is None:
        return _refusal(b"200", Code.UNIMPLEMENTED, _unknown(_text(first[b":path"]), methods))
    encoding = first.get(b"grpc-encoding", b"identity")
    if encoding not in (b"identity", b"gzip"):
        text = f'grpc: Decompressor is not installed for grpc-encoding "{_text(encoding)}"'
        return _refusal(b"200", Code.UNIMPLEMENTED, text, ACCEPTED_ENCODINGS)
    return Request(method, _text(first.get(b":authority", b"")), encoding == b"gzip", metadata)


def _refusal(http_status: bytes, code: Code, message: str, *more: Field) -> Refusal:
    return Refusal(((b":status", http_status), CONTENT_TYPE, *more, *trailers(Status(code, message))))


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _unknown(path: str, methods: Methods) -> str:
    service, slash, name = path[1:].rpartition("/")
    if not slash:
        return f'malformed method name: "{path}"'
    if any(key.startswith(f"/{service}/".encode("utf-8", "surrogateescape")) for key in methods):
        return f"unknown method {name} for service {service}"
    return f"unknown service {service}"


def parse_timeout(value: bytes) -> float:
    """``grpc-timeout`` in seconds: up to eight digits and a unit, ``250m`` for a quarter of a second.

    Raises:
        ValueError: it is something else.
    """
    if not _is_timeout(value):
        raise ValueError(f'malformed grpc-timeout: "{_text(value)}" is not up to 8 digits and one of H, M, S, m, u, n')
    return _seconds(value)


def _seconds(timeout: bytes) -> float:
    return int(timeout[:-1]) * _UNIT_S[timeout[-1:]]


def _is_timeout(value: bytes) -> bool:
    return 2 <= len(value) <= 1 + MAX_TIMEOUT_DIGITS and value[-1:] in _UNIT_S and value[:-1].isdigit()


def _metadata(fields: Fields) -> tuple[tuple[str, str | bytes], ...]:
    metadata: list[tuple[str, str | bytes]] = []
    for name, value in fields:
        if name[:1] == b":" or name in _OURS:
            continue
        key = name.decode("ascii")
        if key.endswith("-bin"):
            metadata.extend((key, decode_binary(key, part)) for part in value.split(b","))
        else:
            metadata.append((key, _text(value)))
    return tuple(metadata)


def decode_binary(name: str, value: bytes) -> bytes:
    """The bytes of a ``…-bin`` field: base64, with padding or without.

    Raises:
        ValueError: it is not base64.
    """
    unpadded = value.strip(b" \t").rstrip(b"=")
    try:
        return b64decode(unpadded + b"=" * (-len(unpadded) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(f'malformed binary metadata "{_text(value)}" in header "{name}": {error}') from None
