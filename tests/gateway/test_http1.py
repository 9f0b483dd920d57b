"""HTTP/1.1 on real connections under uvloop, handed over as the client port does it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from oarlock.gateway import http1
from oarlock.gateway.health_pages import Health
from oarlock.gateway.http1 import Http1, Http1Settings
from oarlock.gateway.json import carriers
from oarlock.gateway.json.routes import routes
from oarlock.wire.errors import Code
from tests.etcd_door.certificates import make_certificates
from tests.gateway.json_calls import FakeBackend, FakePages, FakeServices

TIMEOUT_S = 60.0


class Port:
    """A listening port that hands its connections to HTTP/1.1 after their first bytes.

    Attributes:
        failures: what reached the loop's exception handler, which would end a worker.
    """

    def __init__(self, settings: Http1Settings) -> None:
        self.services = FakeServices()
        self.backend = FakeBackend()
        self.pages = FakePages()
        self.http1 = Http1(self.services.table(), self.backend, self.pages, settings)  # type: ignore[arg-type]
        self.failures: list[dict[str, Any]] = []
        self.url = ""
        self.number = 0

    async def talk(self, data: bytes) -> bytes:
        """Sends bytes, and reads to the end."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.number)
        writer.write(data)
        answer = await reader.read()
        writer.close()
        return answer


class HandOver(asyncio.Protocol):
    """The first bytes of a connection."""

    def __init__(self, port: Port) -> None:
        self._port = port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        handler = self._port.http1.protocol()
        self._transport.set_protocol(handler)
        handler.connection_made(self._transport)
        handler.data_received(data)


@contextlib.asynccontextmanager
async def serving(
    settings: Http1Settings | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[Port, aiohttp.ClientSession]]:
    """A port, and a client of it."""
    port = Port(settings or Http1Settings())
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: port.failures.append(context))
    await port.http1.start()
    server = await loop.create_server(lambda: HandOver(port), "127.0.0.1", 0, ssl=tls)
    port.number = server.sockets[0].getsockname()[1]
    port.url = f"http{'s' if tls else ''}://127.0.0.1:{port.number}"
    try:
        async with aiohttp.ClientSession(port.url, timeout=aiohttp.ClientTimeout(TIMEOUT_S)) as client:
            yield port, client
    finally:
        server.close()
        await port.http1.stop(TIMEOUT_S)
    assert port.failures == []


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(TIMEOUT_S):
            await test()

    uvloop.run(bounded())


async def until(condition: Callable[[], Any]) -> None:
    """Waits for something that other tasks do."""
    while not condition():
        await asyncio.sleep(0.005)


def test_a_call_and_its_headers() -> None:
    async def test() -> None:
        async with serving() as (_, client):
            for _ in range(2):  # the second time on the same connection
                async with client.post("/v3/kv/range", data='{"key":"YQ=="}') as response:
                    assert (response.status, response.content_type) == (200, "application/json")
                    assert response.headers["Grpc-Metadata-Content-Type"] == "application/grpc"
                    assert response.headers["Access-Control-Allow-Origin"] == "*"
                    assert response.headers["Server"] == "oarlock"
                    assert (await response.json())["kvs"][0]["key"] == "YQ=="
            async with client.post("/v3/kv/deleterange", data="{}") as response:
                assert (response.status, (await response.json())["code"]) == (404, Code.NOT_FOUND)
                assert "Grpc-Metadata-Content-Type" not in response.headers

    run(test)


def test_a_call_under_tls(tmp_path: Path) -> None:
    async def test() -> None:
        files = make_certificates(tmp_path)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(files.server, files.server_key)
        trusting = ssl.create_default_context(cafile=str(files.authority))
        settings = Http1Settings(host_whitelist=frozenset({"elsewhere"}))  # which is not looked at under TLS
        async with (
            serving(settings, tls) as (_, client),
            client.post("/v3/kv/range", data='{"limit":5000}', ssl=trusting) as response,
        ):
            assert len((await response.json())["kvs"]) == 5000

    run(test)


def test_a_watch_is_read_while_it_goes_on_and_its_client_may_go() -> None:
    async def test() -> None:
        async with serving() as (port, client):

            async def body() -> AsyncIterator[bytes]:
                yield b'{"create_request":{"watch_id":1}}'
                await seen.wait()
                yield b'{"create_request":{"watch_id":2}}'
                await asyncio.sleep(3600)

            seen = asyncio.Event()
            async with client.post("/v3/watch", data=body()) as response:
                assert json.loads(await response.content.readline())["result"]["watch_id"] == "1"
                seen.set()
                assert json.loads(await response.content.readline())["result"]["watch_id"] == "2"
                assert port.services.ended == []
                response.close()
            await until(lambda: port.services.ended)
            assert [status.code for status in port.services.ended] == [Code.CANCELED]

    run(test)


def test_a_client_that_goes_cancels_a_call() -> None:
    async def test() -> None:
        async with serving() as (port, _):
            _, writer = await asyncio.open_connection("127.0.0.1", port.number)
            writer.write(b"POST /v3/kv/put HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
            await until(lambda: port.services.calls)
            writer.close()
            await until(lambda: port.services.ended)
            assert [status.code for status in port.services.ended] == [Code.CANCELED]

    run(test)


def test_a_client_that_does_not_read_costs_little_and_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carriers, "STALL_S", 0.2)

    async def test() -> None:
        async with serving() as (port, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", port.number, limit=1024)
            writer.write(b"POST /v3/maintenance/snapshot HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
            await until(lambda: port.services.ended)
            assert port.services.calls[0].queued_bytes <= 200_000
            with contextlib.suppress(ConnectionError):
                while await reader.read(65536):  # what the kernel still had, and then the end
                    pass
            writer.close()

    run(test)


def test_a_slow_reader_gets_everything() -> None:
    async def test() -> None:
        async with serving() as (port, client), client.post("/v3/maintenance/snapshot", data="{}") as response:
            for _ in range(50):
                assert len(json.loads(await response.content.readuntil(b"\n"))["result"]["blob"]) == 66_668
            assert port.services.ended == []

    run(test)


def test_a_websocket_carries_a_stream_of_requests() -> None:
    async def test() -> None:
        async with serving() as (port, client):
            async with client.ws_connect("/v3/watch", protocols=("Bearer", "secret")) as socket:
                await socket.send_str('{"create_request":{"watch_id":3}}')
                assert (await socket.receive_json())["result"]["watch_id"] == "3"
                await socket.send_str('{"create_request":{"watch_id":4}}')
                assert (await socket.receive_json())["result"]["watch_id"] == "4"
                assert port.services.calls[0].metadata("authorization") == "Bearer secret"
                await socket.send_str('{"cancel_request":{"watch_id":1}}')
                assert (await socket.receive_json())["error"]["grpc_code"] == Code.UNAVAILABLE
                assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
            async with client.ws_connect("/v3/kv/range") as socket:
                await socket.send_str('{"key":"YQ=="}')
                assert (await socket.receive_json())["count"] == "1"
            async with client.ws_connect("/v3/watch") as socket:
                await socket.send_str('{"create_request":{}}')
                await socket.receive_json()
            await until(lambda: port.services.ended)

    run(test)


def test_a_foreign_page_may_not_open_a_websocket() -> None:
    async def test() -> None:
        async with serving(Http1Settings(cors=frozenset({"http://good"}))) as (_, client):
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await client.ws_connect("/v3/watch", origin="http://evil")
            async with client.ws_connect("/v3/watch", origin="http://good"):
                pass

    run(test)


def test_half_an_upgrade_is_refused() -> None:
    async def test() -> None:
        headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "7"}
        async with serving() as (_, client), client.get("/v3/watch", headers=headers) as response:
            assert (response.status, await response.text()) == (400, "Bad Request\n")

    run(test)


def test_origins_are_told_apart() -> None:
    async def test() -> None:
        async with serving(Http1Settings(cors=frozenset({"http://good"}))) as (_, client):
            for origin, allowed in (("http://good", "http://good"), ("http://evil", None), (None, None)):
                headers = {"Origin": origin} if origin else {}
                for method in ("GET", "OPTIONS"):
                    async with client.request(method, "/version", headers=headers) as response:
                        assert response.status == 200
                        assert response.headers.get("Access-Control-Allow-Origin") == allowed

    run(test)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil:2379", "", "[::1"])
def test_a_host_that_is_not_known_is_misdirected(host: str) -> None:
    async def test() -> None:
        known = frozenset({"127.0.0.1", "::1", "good"})
        async with serving(Http1Settings(host_whitelist=known)) as (port, client):
            for good in ("127.0.0.1", "good:99", "[::1]:2379"):
                async with client.get("/version", headers={"Host": good}) as response:
                    assert response.status == 200
            head = f"GET /version HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
            assert (await port.talk(head.encode())).startswith(b"HTTP/1.1 421 ") == (host != "[::1")

    run(test)


def test_paths_and_methods() -> None:
    async def test() -> None:
        async with serving() as (_, client):
            for method, path, status, allow in (
                ("GET", "/v3/kv/range", 405, "POST"),
                ("POST", "/v3/kv/bogus", 404, None),
                ("GET", "/v3", 404, None),
                ("GET", "/", 404, None),
                ("POST", "/health", 405, "GET"),
                ("HEAD", "/metrics", 405, "GET"),
                ("OPTIONS", "/bogus", 200, None),
                ("POST", "/v3beta/kv/range", 200, None),
                ("GET", "/livez/bogus", 404, None),
            ):
                async with client.request(method, path) as response:
                    assert (response.status, response.headers.get("Allow")) == (status, allow), path
        without = Http1Settings(enable_json=False)
        async with serving(without) as (_, client), client.post("/v3/kv/range", data="{}") as response:
            assert response.status == 404

    run(test)


def test_pages() -> None:
    async def test() -> None:
        async with serving() as (_, client):
            for path, content_type, body in (
                ("/health", "application/json", '{"health":"true","reason":""}'),
                ("/livez", "text/plain", "ok\n"),
                ("/readyz", "text/plain", "ok\n"),
                ("/livez/serializable_read", "text/plain", "ok\n"),
                ("/readyz/non_learner?verbose", "text/plain", "[+]non_learner ok\nok\n"),
                ("/metrics", "text/plain", "things_total 2\n"),
            ):
                async with client.get(path) as response:
                    assert (response.status, response.content_type) == (200, content_type)
                    assert await response.text() == body
            async with client.get("/version") as response:
                assert {"etcdserver", "etcdcluster", "oarlock"} == (await response.json()).keys()
            async with client.get("/debug/vars") as response:
                assert (await response.json())["file_descriptor_limit"] > 0

    run(test)


def test_pages_of_a_server_that_is_ill(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oarlock.gateway.http_pages.READ_TIMEOUT_S", 0.01)

    async def test() -> None:
        async with serving() as (port, client):

            async def answer(path: str) -> tuple[int, str]:
                async with client.get(path) as response:
                    return response.status, await response.text()

            port.backend.item = [1, -int(Code.UNAVAILABLE), "etcdserver: request timed out", 0]
            reason = "RANGE ERROR:etcdserver: request timed out"
            assert await answer("/health") == (503, f'{{"health":"false","reason":"{reason}"}}\n')
            assert await answer("/readyz/linearizable_read") == (
                503,
                "[-]linearizable_read failed: etcdserver: request timed out\n",
            )
            assert (await answer("/readyz?exclude=linearizable_read"))[0] == 200
            assert (await answer("/health?serializable=true"))[0] == 200
            port.backend.item = None
            assert "context deadline exceeded" in (await answer("/health"))[1]
            port.pages.now = Health(1, 1, False, ("NOSPACE",), True)
            assert "ALARM NOSPACE" in (await answer("/health"))[1]
            assert "RAFT NO LEADER" in (await answer("/health?exclude=NOSPACE"))[1]
            assert "[-]non_learner failed: not supported for learner" in (await answer("/readyz"))[1]

    run(test)


def test_a_connection_that_asks_for_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "FIRST_REQUEST_S", 0.05)

    async def test() -> None:
        async with serving() as (port, _):
            assert await port.talk(b"POST /v3/kv/range HTTP/1.1\r\nHost: x\r\nX-Slow: ") == b""

    run(test)


def test_one_connection_too_many_is_refused() -> None:
    async def test() -> None:
        one = Http1Settings(max_connections=1)
        body = '{"create_request":{}}'
        async with serving(one) as (port, client), client.post("/v3/watch", data=body) as response:
            await response.content.readline()
            assert (await port.talk(b"GET /version HTTP/1.1\r\n")).startswith(b"HTTP/1.1 503 ")

    run(test)


@pytest.mark.parametrize("padding", [9000, 100_000])
def test_long_headers_are_refused(padding: int) -> None:
    async def test() -> None:
        async with serving() as (port, _):
            answer = await port.talk(b"GET /version HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * padding + b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.0 400 ")

    run(test)


def test_a_client_that_asks_first_is_told_to_send() -> None:
    async def test() -> None:
        async with serving() as (port, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", port.number)
            writer.write(b"POST /v3/kv/range HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"{}")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
            writer.close()

    run(test)


def test_a_stop_ends_streams_and_answers_what_was_asked() -> None:
    async def test() -> None:
        async with serving() as (port, client):
            async with client.post("/v3/watch", data='{"create_request":{}}') as watch:
                await watch.content.readline()
                put = asyncio.ensure_future(ask(client.post("/v3/kv/put", data="{}")))
                await until(lambda: len(port.services.calls) == 2)
                port.http1.drain()
                assert json.loads(await watch.content.readline())["error"]["message"] == "etcdserver: server stopped"
                assert not put.done()
            async with client.get("/version") as response:
                assert response.status == 503
            await port.http1.stop(TIMEOUT_S)
            assert await put == (503, "etcdserver: server stopped")

    async def ask(request: Awaitable[aiohttp.ClientResponse]) -> tuple[int, str]:
        response = await request
        return response.status, (await response.json())["message"]

    run(test)


WORDS = st.sampled_from(
    [
        b"POST /v3/kv/range HTTP/1.1\r\n",
        b"POST /v3/watch HTTP/1.1\r\n",
        b"GET /health HTTP/1.0\r\n",
        b"Host: x\r\n",
        b"Content-Length: 5\r\n",
        b"Content-Length: -1\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Upgrade: websocket\r\nConnection: Upgrade\r\n",
        b"Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n",
        b"Expect: 100-continue\r\n",
        b"Content-Encoding: gzip\r\n",
        b"\r\n",
        b"2\r\n{}\r\n",
        b"0\r\n\r\n",
        b"zz\r\n",
        b"{}",
    ]
)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(talks=st.lists(st.lists(WORDS | st.binary(max_size=20), max_size=8), min_size=30, max_size=30))
def test_any_bytes_do_no_harm(talks: list[list[bytes]]) -> None:
    async def test() -> None:
        async with serving() as (port, client):
            for parts in talks:
                reader, writer = await asyncio.open_connection("127.0.0.1", port.number)
                with contextlib.suppress(ConnectionError, RuntimeError):  # the server may close at any time
                    for part in parts:
                        writer.write(part)
                        await asyncio.sleep(0)
                    writer.write_eof()
                    await reader.read()
                writer.close()
            async with client.post("/v3/kv/range", data="{}") as response:
                assert response.status == 200

    run(test)


def test_every_path_is_reached() -> None:
    async def test() -> None:
        async with serving() as (_, client):
            for path in routes():
                async with client.get(path) as response:
                    assert response.status == 405

    run(test)
