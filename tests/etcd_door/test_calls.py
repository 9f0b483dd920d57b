"""Calls to the etcd door: what arrives, what comes back, and what is refused."""

from __future__ import annotations

import hashlib
import socket

import grpc
import pytest

from oarlock.gateway.proto import rpc_pb2
from tests.server import Server

from .calls import TIMEOUT_S, Door


def test_every_answer_says_who_gave_it_and_at_which_revision(door: Door, prefix: bytes) -> None:
    put = door.put(prefix, b"1").header
    read = door.range(prefix).header
    assert put.cluster_id
    assert put.member_id
    assert put.raft_term
    assert (read.cluster_id, read.member_id, read.raft_term) == (put.cluster_id, put.member_id, put.raft_term)
    assert read.revision >= put.revision > 1


def test_operations_of_a_transaction_carry_only_revisions(door: Door, prefix: bytes) -> None:
    nested = rpc_pb2.TxnRequest(success=[rpc_pb2.RequestOp(request_put=rpc_pb2.PutRequest(key=prefix, value=b"1"))])
    read = rpc_pb2.RequestOp(request_range=rpc_pb2.RangeRequest(key=prefix))
    answer = door.call("KV/Txn", rpc_pb2.TxnRequest(success=[rpc_pb2.RequestOp(request_txn=nested), read]))
    inner, found = answer.responses
    assert inner.response_txn.HasField("header")
    assert inner.response_txn.header.revision == 0
    assert found.response_range.header == rpc_pb2.ResponseHeader(revision=answer.header.revision)
    assert found.response_range.kvs[0].value == b"1"


def test_keepalives_are_answered_in_order_and_end_with_the_client(door: Door) -> None:
    lease = door.call("Lease/LeaseGrant", rpc_pb2.LeaseGrantRequest(TTL=60)).ID
    requests = [rpc_pb2.LeaseKeepAliveRequest(ID=one) for one in (lease, 12345, lease)]
    answers = list(door.both_ways("Lease/LeaseKeepAlive", requests))
    assert [(answer.ID, answer.TTL) for answer in answers] == [(lease, 60), (12345, 0), (lease, 60)]
    door.call("Lease/LeaseRevoke", rpc_pb2.LeaseRevokeRequest(ID=lease))


def test_bytes_that_are_no_message_end_only_their_call(door: Door, prefix: bytes) -> None:
    raw = door.channel.unary_unary("/etcdserverpb.KV/Put")
    with pytest.raises(grpc.RpcError) as raised:
        raw(b"\xff\xff\xff", timeout=TIMEOUT_S)
    assert raised.value.code() is grpc.StatusCode.INTERNAL
    assert door.put(prefix, b"still here").header.revision


def test_an_unknown_method_is_not_implemented(door: Door) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        door.channel.unary_unary("/etcdserverpb.KV/Frobnicate")(b"", timeout=TIMEOUT_S)
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_value_that_is_too_long_is_refused_with_etcds_words(door: Door, prefix: bytes) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        door.put(prefix, bytes(1_600_000))
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert raised.value.details() == "etcdserver: request is too large"


def test_a_snapshot_is_what_etcdctl_takes_for_one(door: Door) -> None:
    parts = list(door.stream("Maintenance/Snapshot", rpc_pb2.SnapshotRequest()))
    blobs = b"".join(part.blob for part in parts)
    assert len(blobs) % 512 == 32
    assert hashlib.sha256(blobs[:-32]).digest() == blobs[-32:]
    assert [part.remaining_bytes for part in parts] == sorted((part.remaining_bytes for part in parts), reverse=True)
    assert parts[-1].remaining_bytes == 0


def test_a_client_that_must_have_a_leader_is_served_by_one_that_has(door: Door, prefix: bytes) -> None:
    request = rpc_pb2.PutRequest(key=prefix, value=b"1")
    assert door.call("KV/Put", request, metadata=(("hasleader", "true"),)).header.revision


def test_a_connection_that_ends_in_the_middle_of_its_first_bytes_hurts_nobody(
    door: Door, shared_server: Server, prefix: bytes
) -> None:
    host, port = shared_server.client_endpoint.split(":")
    for first in (b"P", b"PRI * HTTP/2.0\r\n", b"\x00\x00"):
        with socket.create_connection((host, int(port)), timeout=TIMEOUT_S) as connection:
            connection.sendall(first)
    assert door.put(prefix, b"1").header.revision
