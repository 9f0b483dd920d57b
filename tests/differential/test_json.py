"""The JSON API, call by call: the same bodies to etcd and to us, and the same answers."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.differential.pair import Pair
from tests.differential.servers import Side

TIMEOUT_S = 60.0
OF_THE_MEMBER = {"cluster_id", "member_id", "raft_term", "leader"}
OF_THE_STORE = {"version", "dbSize", "dbSizeInUse", "raftIndex", "raftAppliedIndex", "raftTerm", "hash", "authRevision"}
"""Fields whose values are the server's own; what `hash` is made of is nobody's contract."""
NEWER = {"storageVersion", "dbSizeQuota", "downgradeInfo"}
"""Of the status: etcd 3.5 has them not."""


class Answer(NamedTuple):
    status: int
    content_type: str
    lines: list[Any]


def ask(side: Side, path: str, body: str, *, lines: int | None = None, method: str = "POST") -> Answer:
    """One request; of a stream, as many lines as are wanted."""
    connection = HTTPConnection(side.endpoint, timeout=TIMEOUT_S)
    try:
        connection.request(method, path, body.encode())
        response = connection.getresponse()
        read = response.read() if lines is None else b"".join(response.readline() for _ in range(lines))
        content_type = response.headers.get("Content-Type", "")
        is_json = content_type == "application/json"
        return Answer(response.status, content_type, [comparable(line) if is_json else line for line in split(read)])
    finally:
        connection.close()


def split(body: bytes) -> list[bytes]:
    return [line for line in body.split(b"\n") if line]


def comparable(line: bytes) -> Any:
    return json.loads(line, object_hook=without_own_values)


def without_own_values(fields: dict[str, Any]) -> dict[str, Any]:
    is_status = "dbSize" in fields or "hash" in fields or "authRevision" in fields
    own = OF_THE_MEMBER | (OF_THE_STORE if is_status else set())
    return {name: f"<{name}>" if name in own else value for name, value in fields.items() if name not in NEWER}


def same(pair: Pair, path: str, body: str, *, lines: int | None = None, method: str = "POST") -> Answer:
    expected, got = (ask(side, path, body, lines=lines, method=method) for side in pair.sides)
    assert got == expected, f"{path} {body}"
    return expected


CALLS = [
    ("kv/put", '{"key":"Zm9v","value":"YmFy"}'),
    ("kv/put", '{"key":"Zm9v","value":"YmF6","prev_kv":true}'),
    ("kv/put", '{"key":"Zm9v","lease":"4711"}'),
    ("kv/range", '{"key":"Zm9v"}'),
    ("kv/range", '{"key":"AA==","rangeEnd":"AA==","sortOrder":"DESCEND","limit":1}'),
    ("kv/range", '{"key":"AA==","range_end":"AA==","count_only":true}'),
    ("kv/range", '{"key":"Zm9v","revision":"1000000"}'),
    ("kv/range", "{}"),
    ("kv/range", ""),
    ("kv/range", "null"),
    ("kv/range", '{"key":"Zm9v"}{"key":"Zm8="} trailing'),
    ("kv/range", '{"key":"Zm9v","bogus":{"a":[1]}}'),
    ("kv/range", '{"key":"Zm9v","key":"Zm8="}'),
    (
        "kv/txn",
        '{"compare":[{"key":"Zm9v","target":"VALUE","value":"YmF6"}],"success":[{"request_put":{"key":"YQ=="}},'
        '{"requestRange":{"key":"Yg=="}},{"request_delete_range":{"key":"Yw==","prev_kv":true}},'
        '{"request_txn":{"success":[{"request_range":{"key":"YQ=="}}]}}]}',
    ),
    ("kv/txn", '{"compare":[{"key":"Zm9v","target":"CREATE","create_revision":"0"}],"success":[{}]}'),
    ("kv/txn", '{"compare":[{"key":"Zm9v","target":"VERSION","version":2,"create_revision":3}]}'),
    ("kv/txn", '{"success":[{"request_put":{"key":"YQ=="},"request_range":{"key":"YQ=="}}]}'),
    ("kv/txn", '{"success":[{"request_put":{"key":"YQ=="}},{"request_put":{"key":"YQ=="}}]}'),
    ("kv/txn", '{"compare":[null]}'),
    ("kv/deleterange", '{"key":"YQ==","prev_kv":true}'),
    ("kv/deleterange", '{"key":"bm8="}'),
    ("kv/compaction", '{"revision":1000000}'),
    ("lease/grant", '{"TTL":600,"ID":77}'),
    ("lease/grant", '{"TTL":600,"ID":"77"}'),
    ("lease/grant", '{"ttl":600,"ID":78}'),
    ("kv/put", '{"key":"bGVhc2Vk","lease":77}'),
    ("kv/range", '{"key":"bGVhc2Vk"}'),
    ("kv/lease/timetolive", '{"ID":4711}'),
    ("lease/keepalive", '{"ID":77}{"ID":4711}'),
    ("lease/keepalive", '{"ID":77}{"ID":'),
    ("lease/keepalive", '{"ID":77}x'),
    ("lease/keepalive", "[]"),
    ("lease/keepalive", "{"),
    ("kv/lease/revoke", '{"ID":77}'),
    ("lease/revoke", '{"ID":77}'),
    ("lease/revoke", '{"ID":78}'),
    ("lease/leases", "{}"),
    ("maintenance/alarm", '{"action":"GET"}'),
    ("maintenance/status", ""),
    ("maintenance/defragment", "{}"),
    ("maintenance/transfer-leadership", '{"targetID":5}'),
    ("maintenance/downgrade", "{}"),
    ("cluster/member/remove", '{"ID":"5"}'),
    ("cluster/member/add", '{"peerURLs":["bogus"]}'),
    ("cluster/member/promote", '{"ID":5}'),
    ("auth/status", "{}"),
    ("auth/authenticate", '{"name":"a","password":"b"}'),
    ("election/proclaim", "{}"),
    ("lease/grant", '{"TTL":600,"ID":88}'),
    ("lock/lock", '{"name":"bA==","lease":88}'),
    ("lock/unlock", '{"key":"bC81OA=="}'),
    ("lock/lock", '{"name":"bA==","lease":4711}'),
    ("election/leader", '{"name":"ZQ=="}'),
    ("election/campaign", '{"name":"ZQ==","value":"dg==","lease":88}'),
    ("election/leader", '{"name":"ZQ=="}'),
    ("lease/revoke", '{"ID":88}'),
    ("bogus", "{}"),
    ("kv/range/", "{}"),
    ("kv/rangestream", "{}"),
]


def test_calls_are_answered_alike(pair: Pair) -> None:
    pair.begin()
    for path, body in CALLS:
        same(pair, "/v3/" + path, body)
    same(pair, "/v3beta/kv/range", '{"key":"Zm9v"}')


def test_watches_are_answered_alike(pair: Pair) -> None:
    revision = pair.begin()
    for _ in range(2):
        same(pair, "/v3/kv/put", '{"key":"Zm9v","value":"YmFy"}')
    same(pair, "/v3/kv/deleterange", '{"key":"Zm9v"}')
    create = {"key": "Zm9v", "start_revision": revision + 1, "prev_kv": True}
    same(pair, "/v3/watch", json.dumps({"create_request": create}), lines=2)
    same(pair, "/v3/watch", '{"create_request":{"key":"Zm9v","watch_id":9}}{"cancel_request":{"watch_id":9}}', lines=2)
    same(pair, "/v3/watch", '{"create_request":{"key":"Zm9v"}}{', lines=1)
    same(pair, "/v3/watch", "{", lines=1)
    same(pair, "/v3/watch", "5", lines=1)


def test_wrong_methods_are_refused_alike(pair: Pair) -> None:
    for method in ("GET", "PUT", "DELETE", "HEAD"):
        same(pair, "/v3/kv/range", "", method=method)
    for path in ("/health", "/version"):
        for method in ("POST", "HEAD"):
            same(pair, path, "", method=method)
    same(pair, "/bogus", "", method="GET")


TAKEN_BY_US = [
    ('{"key":"Zm8"}', "without padding"),
    ('{"key":"_-8="}', "URL-safe"),
    ('{"key":"_-8"}', "both"),
]


@pytest.mark.parametrize(("body", "why"), TAKEN_BY_US, ids=lambda value: value)
def test_forms_of_base64_that_etcd_takes_since_3_6_are_taken(pair: Pair, body: str, why: str) -> None:
    assert ask(pair.oarlock, "/v3/kv/range", body).status == 200


WRONG_SYNTAX = [
    "{",
    '{"key":',
    '{"key":"Zm',
    "{key:1}",
    '{"key":"Zm9v",}',
    "x",
    '{"limit":NaN}',
    '{"key" 5}',
    "]",
    "{]",
]


@pytest.mark.parametrize("body", WRONG_SYNTAX)
def test_what_is_no_json_is_refused_alike(pair: Pair, body: str) -> None:
    """The texts are those of two libraries; those that etcd's users meet most are equal."""
    expected, got = (ask(side, "/v3/kv/range", body) for side in pair.sides)
    assert (got.status, got.content_type, got.lines[0]["code"]) == (400, "application/json", 3)
    assert (expected.status, expected.lines[0]["code"]) == (400, 3)
    if body.startswith(("{", "x")) and " " not in body and body != "{]":
        assert got.lines == expected.lines


FIELDS = st.sampled_from(
    [
        "key",
        "range_end",
        "rangeEnd",
        "limit",
        "revision",
        "sort_order",
        "sortTarget",
        "serializable",
        "keys_only",
        "compare",
        "success",
        "value",
        "lease",
        "TTL",
        "ID",
        "request_range",
        "requestPut",
        "target",
        "peerURLs",
        "name",
    ]
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, 1, -1, 2**31, 2**63 - 1, 2**63, 2**64, 10**25, 1.5, 3.0, 1e100]),
    st.sampled_from(["", "Zm9v", "AA==", "Z", "Zm9vYm*=", "5", " 5 ", "-7", "1.5", "x", "ASCEND", "MOD", "BOGUS"]),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(FIELDS, inner, max_size=3), max_leaves=6
)
PATHS = st.sampled_from(["kv/range", "kv/put", "kv/txn", "lease/timetolive", "cluster/member/update", "auth/role/get"])


@settings(max_examples=150, deadline=None, derandomize=True)
@given(path=PATHS, body=st.dictionaries(FIELDS, VALUES, max_size=4) | VALUES)
def test_any_json_is_answered_alike(pair: Pair, path: str, body: Any) -> None:
    same(pair, "/v3/" + path, json.dumps(body))
