"""HTTP/1.1 on the client port of a live server."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.request import urlopen

import pytest

import oarlock
from tests.server import Server, wait_until

TIMEOUT_S = 60.0


@pytest.fixture
def connection(shared_server: Server) -> Iterator[HTTPConnection]:
    """A connection that is used for request after request."""
    made = HTTPConnection(shared_server.client_endpoint, timeout=TIMEOUT_S)
    yield made
    made.close()


def begin(connection: HTTPConnection, path: str, body: dict[str, Any]) -> HTTPResponse:
    connection.request("POST", path, json.dumps(body))
    return connection.getresponse()


def call(connection: HTTPConnection, path: str, body: dict[str, Any]) -> Any:
    """The answer to a call, which must succeed."""
    response = begin(connection, path, body)
    answer = json.loads(response.read())
    assert response.status == 200, answer
    return answer


def text(key: bytes) -> str:
    return base64.b64encode(key).decode()


def test_both_doors_open_into_one_store(connection: HTTPConnection, client: oarlock.Client, prefix: bytes) -> None:
    written = call(connection, "/v3/kv/put", {"key": text(prefix), "value": text(b"by JSON")})
    found = client.get(prefix)
    assert found is not None
    assert (found.value, str(found.mod_revision)) == (b"by JSON", written["header"]["revision"])
    client.put(prefix, b"natively")
    assert call(connection, "/v3/kv/range", {"key": text(prefix)})["kvs"][0]["value"] == text(b"natively")


def test_a_watch_sees_what_others_write(connection: HTTPConnection, client: oarlock.Client, prefix: bytes) -> None:
    watch = begin(connection, "/v3/watch", {"create_request": {"key": text(prefix)}})
    assert json.loads(watch.readline())["result"]["created"]
    for value in (b"1", b"2"):
        client.put(prefix, value)
        event = json.loads(watch.readline())["result"]["events"][0]
        assert (event["kv"]["key"], event["kv"]["value"]) == (text(prefix), text(value))


def test_a_long_answer_arrives_whole(connection: HTTPConnection, client: oarlock.Client, prefix: bytes) -> None:
    for number in range(4):
        client.put(prefix + b"%d" % number, bytes(500_000))
    asked = {"key": text(prefix), "range_end": text(prefix[:-1] + b"0")}
    kvs = call(connection, "/v3/kv/range", asked)["kvs"]
    assert [len(base64.b64decode(kv["value"])) for kv in kvs] == [500_000] * 4


def test_a_lease_is_kept_alive(connection: HTTPConnection) -> None:
    lease = call(connection, "/v3/lease/grant", {"TTL": 600})["ID"]
    assert call(connection, "/v3/lease/keepalive", {"ID": lease})["result"]["TTL"] == "600"
    call(connection, "/v3/lease/revoke", {"ID": lease})
    assert begin(connection, "/v3/lease/revoke", {"ID": lease}).status == 404


@pytest.mark.parametrize("path", ["/health", "/livez", "/readyz", "/readyz/linearizable_read"])
def test_a_healthy_server_says_so(shared_server: Server, path: str) -> None:
    with urlopen(shared_server.client_url + path, timeout=TIMEOUT_S) as answer:
        assert answer.read() in (b"ok\n", b'{"health":"true","reason":""}')


def test_metrics_are_those_of_all_processes(shared_server: Server) -> None:
    with urlopen(shared_server.client_url + "/metrics", timeout=TIMEOUT_S) as answer:
        names = {line.split(b"{")[0].split(b" ")[0] for line in answer if not line.startswith(b"#")}
    assert {b"oarlock_entries_applied_total", b"etcd_server_has_leader"} <= names


def test_calls_count_as_those_of_grpc(shared_server: Server, connection: HTTPConnection) -> None:
    def handled() -> float:
        with urlopen(shared_server.client_url + "/metrics", timeout=TIMEOUT_S) as answer:
            lines = [line for line in answer if line.startswith(b"grpc_server_handled_total")]
        return sum(float(line.split()[-1]) for line in lines if b'"AuthStatus"' in line and b'"OK"' in line)

    before = handled()
    call(connection, "/v3/auth/status", {})
    wait_until(lambda: handled() == before + 1, TIMEOUT_S, "a call in the metrics")


def test_a_stop_ends_watches_and_does_not_wait_for_them(server: Server) -> None:
    connection = HTTPConnection(server.client_endpoint, timeout=TIMEOUT_S)
    try:
        watch = begin(connection, "/v3/watch", {"create_request": {"key": text(b"a")}})
        watch.readline()
        assert server.stop() == 0
        assert json.loads(watch.readline())["error"]["message"] == "etcdserver: server stopped"
        assert "critical" not in server.log_text()
    finally:
        connection.close()
