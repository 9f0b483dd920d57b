"""HTTP headers as the metadata of a call: grpc-gateway's rules, as far as a service can see them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from oarlock.gateway.grpc.requests import decode_binary

_STANDARD: Final = "grpcgateway-"
"""Before the name of a standard header."""
_CUSTOM: Final = "grpc-metadata-"
"""Before a name of the client's choice, in HTTP; metadata is then without."""
_PASSED_ON: Final = frozenset(
    {
        "accept",
        "accept-charset",
        "accept-language",
        "accept-ranges",
        "authorization",
        "cache-control",
        "content-type",
        "cookie",
        "date",
        "expect",
        "from",
        "host",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-schedule-tag-match",
        "if-unmodified-since",
        "max-forwards",
        "origin",
        "pragma",
        "referer",
        "user-agent",
        "via",
        "warning",
    }
)
"""The standard headers that a service may see."""


class HeaderMetadata:
    """Gives metadata by its name.

    ``grpcgateway-accept`` is always there: with it, a service knows that the call came by HTTP, where a certificate
    names no user.

    Args:
        headers: of the request, asked by names in lower case.
    """

    __slots__ = ("_headers",)

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    def __call__(self, name: str) -> str | bytes | None:
        if name.startswith(_STANDARD):
            standard = name[len(_STANDARD) :]
            default = "*/*" if standard == "accept" else None
            return self._headers.get(standard, default) if standard in _PASSED_ON else None
        if name == "authorization":
            return self._headers.get(name)
        value = self._headers.get(_CUSTOM + name)
        if value is None or not name.endswith("-bin"):
            return value
        try:
            return decode_binary(name, value.encode("utf-8", "surrogateescape"))
        except ValueError:
            return None
