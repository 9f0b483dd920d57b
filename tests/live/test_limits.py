"""The edges of what a request may be, and what comes after them."""

from __future__ import annotations

import pytest

import oarlock
from oarlock import ops, version
from oarlock.wire.operations import DEFAULT_MAX_REQUEST_BYTES, DEFAULT_MAX_TXN_OPS, FROM_KEY, MAX_TXN_DEPTH, Op

from .raw import RawClient

INT64_MAX = (1 << 63) - 1


def test_a_request_of_just_the_limit_is_taken_and_read_back(client: oarlock.Client, prefix: bytes) -> None:
    largest = b"v" * (DEFAULT_MAX_REQUEST_BYTES - len(prefix))
    client.put(prefix, largest)
    found = client.get(prefix)
    assert found is not None
    assert found.value == largest


@pytest.mark.parametrize("excess", [1, 1 << 20])
def test_a_longer_request_is_too_large(client: oarlock.Client, prefix: bytes, excess: int) -> None:
    with pytest.raises(oarlock.RequestTooLargeError) as refused:
        client.put(prefix, b"v" * (DEFAULT_MAX_REQUEST_BYTES - len(prefix) + excess))
    assert refused.value.message == "etcdserver: request is too large"
    assert client.get(prefix) is None


def test_a_transaction_is_as_large_as_all_that_is_in_it(client: oarlock.Client, prefix: bytes) -> None:
    half = b"v" * (DEFAULT_MAX_REQUEST_BYTES // 2)
    with pytest.raises(oarlock.RequestTooLargeError):
        client.transaction([], [ops.put(prefix + b"a", half), ops.put(prefix + b"b", half)])


def test_a_transaction_has_at_most_its_number_of_operations(client: oarlock.Client, prefix: bytes) -> None:
    many = [ops.put(prefix + b"%d" % number, "") for number in range(DEFAULT_MAX_TXN_OPS)]
    client.transaction([], many)
    client.transaction([version(prefix) == 0] * DEFAULT_MAX_TXN_OPS)
    one_more = [*many, ops.get(prefix)]
    for branches in (([], one_more, []), ([], [], one_more), ([version(prefix) == 0] * len(one_more), [], [])):
        with pytest.raises(oarlock.TooManyOperationsError) as refused:
            client.transaction(*branches)
        assert refused.value.message == "etcdserver: too many operations in txn request"


def test_transactions_nest_so_deep_and_no_deeper(raw: RawClient, prefix: bytes) -> None:
    def nested(depth: int) -> list[object]:
        operation: list[object] = [int(Op.TXN), [], [], []]
        for _ in range(depth - 1):
            operation = [int(Op.TXN), [], [operation], []]
        return operation

    assert raw.ask(nested(MAX_TXN_DEPTH))[0][1] > 0
    assert "too many operations" in raw.ask(nested(MAX_TXN_DEPTH + 1))[0][2]
    assert "too many operations" in raw.ask(nested(150))[0][2]


@pytest.mark.parametrize("name", [b"\0", b"\xff", b"\0" * 600, b"k" * 511, b"k" * 512, b"k" * 10_000, b"a\0b\xff\xfe"])
def test_any_bytes_are_a_key(client: oarlock.Client, prefix: bytes, name: bytes) -> None:
    key = prefix + name
    client.put(key, b"")
    found = client.get(key)
    assert found is not None
    assert (found.key, found.value, found.version) == (key, b"", 1)
    assert [kv.key for kv in client.get_prefix(prefix)] == [key]
    assert client.delete(key, prev_kv=True).prev_kvs[0].key == key
    assert client.get(key) is None


def test_a_key_of_one_byte_and_values_of_zero_bytes(client: oarlock.Client) -> None:
    client.put(b"\x01", b"\0\0")
    found = client.get(b"\x01")
    assert found is not None
    assert found.value == b"\0\0"
    client.delete(b"\x01")


def test_an_empty_key_is_refused_everywhere(client: oarlock.Client) -> None:
    for refused in (
        lambda: client.put("", "1"),
        lambda: client.get(""),
        lambda: client.delete(""),
        lambda: client.transaction([], [ops.put("", "1")]),
        lambda: client.transaction([version("") == 0]),
    ):
        with pytest.raises(oarlock.EmptyKeyError, match="etcdserver: key is not provided"):
            refused()


@pytest.mark.parametrize("number", [INT64_MAX, -INT64_MAX - 1, -1])
def test_the_largest_numbers_are_only_numbers(raw: RawClient, prefix: bytes, number: int) -> None:
    key = prefix
    raw.ask_one(int(Op.PUT), key, b"1")
    future = "etcdserver: mvcc: required revision is a future revision"
    assert raw.ask_one(int(Op.RANGE), key, 0, FROM_KEY, number)[1] > 0  # a limit
    at_revision = raw.ask_one(int(Op.RANGE), key, 0, b"", 0, number)
    assert at_revision[2] == future if number > 0 else at_revision[2][2] == 1
    bounded = raw.ask_one(int(Op.RANGE), key, 0, b"", 0, 0, 0, 0, number)[2]
    assert len(bounded[0]) == (0 if number > 0 else 1)
    for target in range(5):
        operand = b"" if target == 3 else number
        assert raw.ask_one(int(Op.TXN), [[0, target, key, operand]], [], [])[2][0] is False
    assert raw.ask_one(int(Op.PUT), key, b"1", number)[2] == "etcdserver: requested lease not found"
    assert raw.ask_one(int(Op.LEASE_KEEPALIVE), number)[2] == 0
    assert raw.ask_one(int(Op.LEASE_TIME_TO_LIVE), number)[2][0] == -1
    compaction = raw.ask_one(int(Op.COMPACT), number)
    assert compaction[2] == future if number > 0 else compaction[2].endswith("has been compacted")


@pytest.mark.parametrize("lease", [INT64_MAX, -INT64_MAX - 1])
def test_a_lease_may_have_any_number_but_zero(client: oarlock.Client, prefix: bytes, lease: int) -> None:
    with client.lease(60, lease_id=lease):
        client.put(prefix, "1", lease=lease)
        assert client.lease_time_to_live(lease, keys=True).keys == [prefix]
    assert client.get(prefix) is None


def test_a_number_beyond_64_bits_is_refused(raw: RawClient, prefix: bytes) -> None:
    for operation in (
        [int(Op.RANGE), prefix, 0, b"", 1 << 63],
        [int(Op.PUT), prefix, b"", 1 << 63],
        [int(Op.COMPACT), (1 << 64) - 1],
        [int(Op.LEASE_GRANT), 1 << 63, 10],
    ):
        assert raw.ask(operation)[0][1] < 0
