"""What brings bodies and takes answers: an HTTP request, or a WebSocket.

On a WebSocket, as with etcd, every text message is a JSON value of the body, and every line of the answer is a text
message; browsers cannot stream requests in any other way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Final

from aiohttp import WSMsgType, web
from aiohttp.http import HttpProcessingError

STALL_S: Final = 300.0
"""A client that takes nothing of what waits for it for so long is cut off."""
HEARTBEAT_S: Final = 30.0
"""Between pings on a WebSocket: a client that is gone without a word is noticed."""
MAX_WAITING: Final = 16
"""Messages of a WebSocket that nobody has looked at; more wait in the connection."""
MAX_LINE_BYTES: Final = 64 << 20
"""Of one message on a WebSocket, which has to be complete before it is sent."""

_JSON: Final = "application/json"


async def body_of(request: web.BaseRequest) -> AsyncIterator[bytes]:
    """The body as it arrives; tells the client to send it if it asks.

    Raises:
        ConnectionError: the client is gone, or sends what is not HTTP.
    """
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
    try:
        async for chunk in request.content.iter_any():
            yield chunk
    except (web.RequestPayloadError, HttpProcessingError) as error:
        raise ConnectionAbortedError(f"a malformed body: {error}") from error


class HttpSink:
    """Writes the answer to an HTTP request.

    Attributes:
        response: what was answered.

    Args:
        request: what is answered.
        headers: that every answer has.
    """

    def __init__(self, request: web.BaseRequest, headers: Mapping[str, str]) -> None:
        self._request = request
        self._headers = headers
        self.response = web.StreamResponse()

    async def whole(self, status: int, body: bytes) -> None:
        self.response = web.Response(status=status, body=body, headers=self._fields(is_ok=status == 200))
        async with asyncio.timeout(STALL_S):
            await self.response.prepare(self._request)
            await self.response.write_eof()

    async def begin(self) -> None:
        self.response = web.StreamResponse(headers=self._fields(is_ok=True))
        async with asyncio.timeout(STALL_S):
            await self.response.prepare(self._request)

    async def write(self, data: bytes) -> None:
        async with asyncio.timeout(STALL_S):
            await self.response.write(data)

    async def end(self) -> None:
        async with asyncio.timeout(STALL_S):
            await self.response.write_eof()

    def _fields(self, *, is_ok: bool) -> dict[str, str]:
        fields = {**self._headers, "Content-Type": _JSON}
        if is_ok:
            fields["Grpc-Metadata-Content-Type"] = "application/grpc"
        return fields


class WebSocketSink:
    """Sends the lines of an answer as messages.

    Attributes:
        socket: the WebSocket; its owner prepares it.

    Args:
        max_message_bytes: that the client may send.
    """

    def __init__(self, max_message_bytes: int) -> None:
        self.socket = web.WebSocketResponse(
            heartbeat=HEARTBEAT_S, protocols=("Bearer",), max_msg_size=max_message_bytes, compress=False
        )
        self._parts: list[bytes] = []
        self._length = 0

    async def whole(self, status: int, body: bytes) -> None:
        await self.write(body + b"\n")

    async def begin(self) -> None:
        pass

    async def write(self, data: bytes) -> None:
        first, *lines = data.split(b"\n")
        self._keep(first)
        for line in lines:
            text, self._parts, self._length = b"".join(self._parts), [], 0
            self._keep(line)
            if text:
                async with asyncio.timeout(STALL_S):
                    await self.socket.send_str(text.decode())

    async def end(self) -> None:
        await self.write(b"\n")

    def _keep(self, part: bytes) -> None:
        self._length += len(part)
        if self._length > MAX_LINE_BYTES:
            raise ConnectionAbortedError("an answer is too long for a message")
        self._parts.append(part)

    async def close(self) -> None:
        """Says goodbye; waits a little for the client's."""
        await self.socket.close()


class WebSocketSource:
    """The messages of a WebSocket's client, as a body.

    Args:
        socket: where they come from.
    """

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue(MAX_WAITING)

    async def pump(self) -> None:
        """Takes messages from the socket, and so answers its pings, until the client is gone."""
        async for message in self._socket:
            if message.type is WSMsgType.TEXT:
                await self._waiting.put(message.data.encode() + b"\n")
            elif message.type is WSMsgType.BINARY:
                await self._waiting.put(message.data + b"\n")

    async def body(self) -> AsyncIterator[bytes]:
        """The messages; has no end."""
        while True:
            yield await self._waiting.get()


def websocket_headers(request: web.BaseRequest) -> Mapping[str, str]:
    """The headers, names in lower case; a browser can send a token only as a subprotocol: ``Bearer, <token>``."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    scheme, _, token = headers.get("sec-websocket-protocol", "").partition(",")
    if scheme == "Bearer" and token:
        headers.setdefault("authorization", f"Bearer {token.strip()}")
    return headers
