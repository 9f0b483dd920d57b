"""Errors as etcd 3.5's gateway tells them: an HTTP status, and a JSON body in one of two forms.

etcd 3.6 has ``{"code", "message", "details"}`` for both; the names that both forms of 3.5 share with it, ``code`` and
``message``, are what clients look at.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from oarlock.gateway.grpc.status import Status
from oarlock.gateway.json.encoding import quoted
from oarlock.wire.errors import Code

_HTTP_STATUS: Final = {
    Code.OK: 200,
    Code.CANCELED: 408,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DATA_LOSS: 500,
    Code.UNAUTHENTICATED: 401,
}


def http_status(code: Code) -> int:
    """The HTTP status of a gRPC code, grpc-gateway's choice."""
    return _HTTP_STATUS[code]


def error_body(status: Status) -> bytes:
    """The body of a call that failed before it had an answer."""
    message = quoted(status.message)
    return f'{{"error":{message},"code":{int(status.code)},"message":{message}}}'.encode("utf-8", "replace")


def error_line(status: Status) -> bytes:
    """The last line of a stream that failed."""
    code = http_status(status.code)
    fields = f'"grpc_code":{int(status.code)},"http_code":{code},"message":{quoted(status.message)}'
    line = f'{{"error":{{{fields},"http_status":{quoted(HTTPStatus(code).phrase)}}}}}\n'
    return line.encode("utf-8", "replace")
