"""A plain HTTP/2 server around `Connection`, for peers that are programs: ``python -m tests.gateway.plain_server
PORT``."""

from __future__ import annotations

import asyncio
import sys
import time

from oarlock.gateway.http2.connection import Connection
from oarlock.gateway.http2.events import DataReceived, Event, HeadersReceived, TrailersReceived, WholeRequest

HEADERS = ((b":status", b"200"), (b"content-type", b"text/plain"))
BODY = b"hello"
LINGER_S = 5.0
"""How long a client may go on sending when the connection is over."""


def answer(connection: Connection, event: Event) -> None:
    """Answers every request with the same page once it is complete."""
    ended = isinstance(event, TrailersReceived | WholeRequest) or (
        isinstance(event, HeadersReceived | DataReceived) and event.ended
    )
    if ended:
        connection.send_headers(event.stream, HEADERS)  # type: ignore[union-attr]
        connection.send_data(event.stream, BODY)  # type: ignore[union-attr]
        connection.finish(event.stream)  # type: ignore[union-attr]


class PlainProtocol(asyncio.Protocol):
    """Ends a connection with what it has written, and reads on until the client ends it too: to close a socket on which
    something more arrives would reset it, and the client might not see how it was ended."""

    is_ending = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.connection = Connection(time.monotonic(), remembered=HEADERS[1:])
        self.flush()

    def data_received(self, data: bytes) -> None:
        if self.is_ending:
            return
        now_s = time.monotonic()
        for event in self.connection.receive(data, now_s):
            answer(self.connection, event)
        self.flush()

    def flush(self) -> None:
        while output := self.connection.take_output():
            self.transport.write(output)
        if self.connection.is_over and not self.is_ending:
            self.is_ending = True
            self.transport.write_eof()
            asyncio.get_running_loop().call_later(LINGER_S, self.transport.close)

    def connection_lost(self, error: Exception | None) -> None:
        self.connection.lost()


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(PlainProtocol, "127.0.0.1", port)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
