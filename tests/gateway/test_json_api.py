"""Calls of the JSON API from body to answer, without sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oarlock.gateway.grpc.status import Status
from oarlock.gateway.json import bodies, exchange
from oarlock.gateway.json.api import JsonApi
from oarlock.gateway.json.counting import Unread
from oarlock.gateway.json.exchange import JsonExchange
from oarlock.gateway.json.metadata import HeaderMetadata
from oarlock.gateway.json.routes import routes
from oarlock.gateway.proto import election_pb2, lock_pb2, rpc_pb2
from oarlock.wire.errors import Code
from tests.gateway.json_calls import NO_HEADERS, Collected, FakeBackend, FakeServices, chunks

TIMEOUT_S = 30.0


def run(
    path: str,
    *parts: bytes,
    headers: Mapping[str, str] = NO_HEADERS,
    services: FakeServices | None = None,
    backend: FakeBackend | None = None,
    message_bytes: int = 10_000,
) -> Collected:
    """One call."""

    async def call() -> Collected:
        table = (services or FakeServices()).table()
        api = JsonApi(table, backend or FakeBackend(), message_bytes)  # type: ignore[arg-type]
        route, sink = api.route(path), Collected()
        assert route is not None
        async with asyncio.timeout(TIMEOUT_S):
            await api.serve(route, headers, chunks(*parts), sink)
        assert sink.ended
        return sink

    return asyncio.run(call())


def error(code: int, message: str) -> bytes:
    return json.dumps({"error": message, "code": code, "message": message}, separators=(",", ":")).encode()


def test_a_call_is_answered() -> None:
    sink = run("/v3/kv/range", b'{"key":', b'"YQ=="}')
    assert (sink.status, json.loads(sink.body)["kvs"][0]["key"]) == (200, "YQ==")


def test_a_long_answer_is_the_same_as_a_short_one() -> None:
    sink = run("/v3/kv/range", b'{"key":"YQ==","limit":2000}')
    assert (sink.status, len(json.loads(sink.body)["kvs"])) == (200, 2000)


def test_an_error_has_the_status_of_its_code() -> None:
    sink = run("/v3/kv/deleterange", b"{}")
    assert (sink.status, sink.body) == (404, error(5, 'no "such" thing'))


def test_a_mistake_of_a_service_is_an_internal_error() -> None:
    assert run("/v3/kv/txn", b"{}").status == 500


def test_a_method_that_nobody_serves_is_unimplemented() -> None:
    sink = run("/v3/auth/enable", b"{}")
    assert (sink.status, sink.body) == (501, error(12, "unknown method AuthEnable for service etcdserverpb.Auth"))


def test_a_learner_refuses_and_a_lost_leader_matters_to_those_who_care() -> None:
    backend = FakeBackend()
    backend.is_learner = True
    assert run("/v3/kv/deleterange", backend=backend).body == error(9, "etcdserver: rpc not supported for learner")
    backend.is_learner, backend.has_leader = False, False
    assert run("/v3/kv/range", b"{}", backend=backend).status == 200
    asked = {"grpc-metadata-hasleader": "true"}
    assert run("/v3/kv/range", b"{}", backend=backend, headers=asked).body == error(14, "etcdserver: no leader")


def test_a_stream_has_a_line_for_each_answer() -> None:
    body = b'{"create_request":{"watch_id":1}}{"create_request":{"watch_id":2}}{"cancel_request":{"watch_id":0}}'
    for parts in ((body,), tuple(body[at : at + 1] for at in range(len(body)))):
        sink = run("/v3/watch", *parts)
        assert sink.status == 200
        results = [json.loads(line)["result"] for line in sink.body.splitlines()]
        assert results == [{"watch_id": "1", "created": True}, {"watch_id": "2", "created": True}]


def test_a_stream_that_fails_ends_with_an_error() -> None:
    failing = b'{"cancel_request":{"watch_id":1}}'
    expected = {"grpc_code": 14, "http_code": 503, "message": "gone", "http_status": "Service Unavailable"}
    sink = run("/v3/watch", b'{"create_request":{}}', failing)
    assert (sink.status, json.loads(sink.body.splitlines()[1])) == (200, {"error": expected})
    sink = run("/v3/watch", failing)
    assert (sink.status, json.loads(sink.body)) == (503, {"error": expected})


@pytest.mark.parametrize("rest", [b"x", b'{"create_request":5}', b'{"create_request":', b""])
def test_what_is_no_message_ends_a_stream_of_requests_and_not_the_answers(rest: bytes) -> None:
    services = FakeServices()
    sink = run("/v3/watch", b'{"create_request":{}}', rest, headers={"grpc-timeout": "50m"}, services=services)
    lines = [json.loads(line) for line in sink.body.splitlines()]
    assert [next(iter(line)) for line in lines] == ["result", "error"]
    assert services.requests_ended == 1
    assert services.ended == [Status(Code.DEADLINE_EXCEEDED, "context deadline exceeded")]


def test_a_client_that_waits_no_longer_is_told() -> None:
    services = FakeServices()
    sink = run("/v3/kv/put", b"{}", headers={"grpc-timeout": "1m"}, services=services)
    assert (sink.status, sink.body) == (504, error(4, "context deadline exceeded"))
    assert services.calls[0].is_over
    assert run("/v3/kv/put", b"{}", headers={"grpc-timeout": "x"}).body == error(3, "invalid grpc-timeout: x")


def test_a_body_that_does_not_arrive_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_TIMEOUT_S", 0.01)

    async def call() -> int:
        async def silent() -> bodies.Source:
            yield b"{"
            await asyncio.sleep(3600)

        api, sink = JsonApi(FakeServices().table(), FakeBackend()), Collected()  # type: ignore[arg-type]
        await api.serve(routes()["/v3/kv/range"], NO_HEADERS, silent(), sink)
        return sink.status

    assert asyncio.run(call()) == 408


def test_long_messages_are_refused() -> None:
    within = b'{"value":"' + b"A" * 40 + b'"}'
    assert run("/v3/kv/range", within, message_bytes=32).status == 200
    sink = run("/v3/kv/put", within, message_bytes=31)
    assert (sink.status, sink.body) == (429, error(8, "grpc: received message larger than max (32 vs. 31)"))
    sink = run("/v3/kv/put", b'{"bogus":"', *[b"A" * 10] * 10, message_bytes=31)
    assert sink.status == 429
    sink = run("/v3/watch", b'{"create_request":{}}', b'{"create_request":{"key":"' + b"A" * 90, message_bytes=31)
    assert json.loads(sink.body.splitlines()[1])["error"]["grpc_code"] == 8


def test_bodies_that_arrive_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MAX_UNFINISHED_BYTES", 100)

    async def call() -> list[int]:
        api = JsonApi(FakeServices().table(), FakeBackend())  # type: ignore[arg-type]
        sinks = [Collected(), Collected(), Collected()]
        first, second = (b'{"bogus":"' + b"x" * 50, b'"}'), (b'{"bogus":"' + b"x" * 50, b'"}')
        for group in (((first, sinks[0]), (second, sinks[1])), ((first, sinks[2]),)):
            calls = (api.serve(routes()["/v3/kv/range"], NO_HEADERS, chunks(*parts), sink) for parts, sink in group)
            await asyncio.gather(*calls)
        return [sink.status for sink in sinks]

    assert asyncio.run(call()) == [200, 429, 200]


def test_a_cancelled_call_is_ended_and_forgotten() -> None:
    async def call() -> None:
        services, gone = FakeServices(), asyncio.Event()

        async def endless() -> bodies.Source:
            yield b'{"create_request":{}}'
            try:
                await asyncio.sleep(3600)
            finally:
                gone.set()

        api = JsonApi(services.table(), FakeBackend())  # type: ignore[arg-type]
        serving = asyncio.create_task(api.serve(routes()["/v3/watch"], NO_HEADERS, endless(), Collected()))
        while not services.calls:
            await asyncio.sleep(0)
        serving.cancel()
        await asyncio.wait({serving})
        assert services.ended == [Status(Code.CANCELED, "context canceled")]
        await asyncio.wait_for(gone.wait(), TIMEOUT_S)
        assert not api._open

    asyncio.run(call())


def test_a_client_that_is_gone_ends_its_call() -> None:
    async def call() -> None:
        services = FakeServices()

        async def cut_off() -> bodies.Source:
            yield b'{"create_request":{}}'
            raise ConnectionResetError

        api = JsonApi(services.table(), FakeBackend())  # type: ignore[arg-type]
        await asyncio.wait_for(api.serve(routes()["/v3/watch"], NO_HEADERS, cut_off(), Collected()), TIMEOUT_S)
        assert services.ended == [Status(Code.CANCELED, "context canceled")]

    asyncio.run(call())


def test_calls_and_their_messages_are_counted() -> None:
    class Counts(Unread):
        def __init__(self) -> None:
            super().__init__()
            self.codes: list[Code] = []

        def end(self, code: Code) -> None:
            self.codes.append(code)

    async def call(path: str, body: bytes) -> Counts:
        counts = Counts()
        api = JsonApi(FakeServices().table(), FakeBackend(), counts_of=lambda _: counts)  # type: ignore[arg-type]
        await api.serve(routes()[path], NO_HEADERS, chunks(body), Collected())
        return counts

    def numbers(path: str, body: bytes) -> tuple[tuple[int, ...], list[Code]]:
        counts = asyncio.run(call(path, body))
        return (counts.started, counts.replied, counts.received, counts.sent, counts.received_bytes), counts.codes

    watch = b'{"create_request":{}}{"create_request":{}}{"cancel_request":{"watch_id":0}}'
    assert numbers("/v3/kv/range", b'{"key":"YQ=="}') == ((1, 1, 1, 0, 3), [])
    assert numbers("/v3/kv/deleterange", b"") == ((1, 0, 1, 0, 0), [Code.NOT_FOUND])
    assert numbers("/v3/watch", watch) == ((1, 0, 3, 2, 6), [Code.OK])
    assert numbers("/v3/watch", b"x") == ((0, 0, 0, 0, 0), [])


def test_streams_are_broken_off_apart_from_other_calls() -> None:
    async def call() -> None:
        services, sinks = FakeServices(), [Collected(), Collected()]
        api = JsonApi(services.table(), FakeBackend())  # type: ignore[arg-type]
        paths = ("/v3/watch", "/v3/kv/put")
        calls = [
            asyncio.create_task(api.serve(routes()[path], NO_HEADERS, chunks(b"{}"), sink))
            for path, sink in zip(paths, sinks, strict=True)
        ]
        while len(services.calls) < 2:
            await asyncio.sleep(0)
        api.break_off(Status(Code.UNAVAILABLE, "stopped"), streams_only=True)
        await calls[0]
        assert not calls[1].done()
        api.break_off(Status(Code.UNAVAILABLE, "stopped"), streams_only=False)
        await calls[1]
        assert sinks[1].body == error(14, "stopped")

    asyncio.run(call())


def test_what_nobody_reads_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "MAX_QUEUED_BYTES", 100)
    ended: list[Status] = []
    one = JsonExchange(HeaderMetadata({}), Unread())
    one.on_ended = ended.append
    one.send(bytes(1000))  # one message always fits
    assert one.queued_bytes == 1000
    one.send(b"x")
    assert [status.code for status in ended] == [Code.RESOURCE_EXHAUSTED]
    assert one.is_over


def test_a_service_hears_when_what_it_sent_has_left() -> None:
    drained: list[int] = []
    one = JsonExchange(HeaderMetadata({}), Unread())
    one.on_drained = lambda: drained.append(one.queued_bytes)
    one.send(b"ab")
    one.send(b"c")
    one.written(2)
    assert drained == []
    one.written(1)
    assert drained == [0]


@pytest.mark.parametrize(
    ("headers", "name", "value"),
    [
        ({"authorization": "t"}, "authorization", "t"),
        ({"authorization": "t"}, "token", None),
        ({"grpc-metadata-token": "t"}, "token", "t"),
        ({"grpc-metadata-authorization": "t"}, "authorization", None),
        ({"accept": "x/y"}, "grpcgateway-accept", "x/y"),
        ({}, "grpcgateway-accept", "*/*"),
        ({"x-own": "1"}, "grpcgateway-x-own", None),
        ({"user-agent": "u"}, "grpcgateway-user-agent", "u"),
        ({"grpc-metadata-a-bin": "AAE"}, "a-bin", b"\0\1"),
        ({"grpc-metadata-a-bin": "*"}, "a-bin", None),
    ],
)
def test_headers_become_metadata(headers: dict[str, str], name: str, value: object) -> None:
    assert HeaderMetadata(headers)(name) == value


def test_every_call_of_the_services_has_a_path_but_for_the_one_that_etcd_has_none_for() -> None:
    files = (rpc_pb2, lock_pb2, election_pb2)
    services = [service for file in files for service in file.DESCRIPTOR.services_by_name.values()]
    calls = {f"/{service.full_name}/{method.name}" for service in services for method in service.methods}
    assert calls - {route.method.decode() for route in routes().values()} == {"/etcdserverpb.KV/RangeStream"}


PIECES = st.sampled_from([b"{", b"}", b"[", b"]", b'"', b"\\", b":", b",", b"null", b"1", b'"create_request"', b" "])
BODIES = st.lists(st.binary(max_size=8) | PIECES, max_size=12)
ALL_PATHS = st.sampled_from(sorted(routes()))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(path=ALL_PATHS, parts=BODIES)
def test_any_bytes_get_an_answer_in_json(path: str, parts: list[bytes]) -> None:
    sink = run(path, *parts, headers={"grpc-timeout": "1m"})
    lines = sink.body.splitlines()
    for line in lines:
        assert isinstance(json.loads(line), dict)
    assert sink.status == 200 or {"error"} <= json.loads(lines[0]).keys()
