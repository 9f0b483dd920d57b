"""Both front doors of a server as clients with the same few methods, so that one load presses either.

A `Change` is one event of a watch; a watch gives whole batches of them, in the order in which they arrived.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any, NamedTuple, Protocol

import grpc

import oarlock
from oarlock import calls
from oarlock.gateway.proto import rpc_pb2
from oarlock.transactions import mod_revision, ops

TIMEOUT_S = 60.0
"""For any one call: a machine with much to do is no failure."""
CHANNEL_OPTIONS = (("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1))
"""Connections of its own for each client: they come and go with it."""
ALL = b"\0"
"""As key and as range_end: all keys."""


class Change(NamedTuple):
    """What one revision did to one key; ``value`` is None where it was deleted, and the counts are 0 then."""

    revision: int
    key: bytes
    value: bytes | None
    create_revision: int
    version: int


class Seen(NamedTuple):
    """A key as it was read; ``value`` is None where there is none. ``revision`` is that of the store."""

    revision: int
    value: bytes | None
    mod_revision: int


class Swapped(NamedTuple):
    """Whether a transaction's comparison held, and the revision of the store then."""

    succeeded: bool
    revision: int


Changes = AsyncGenerator[list[Change], None]


class Door(Protocol):
    """A client. What names a lease that has gone raises LeaseNotFoundError."""

    async def put(self, key: bytes, value: bytes, lease: int = 0) -> int: ...
    async def delete(self, key: bytes) -> tuple[int, int]: ...
    async def get(self, key: bytes, *, serializable: bool) -> Seen: ...
    async def keys(self, start: bytes, end: bytes, limit: int) -> list[bytes]: ...
    async def swap(self, key: bytes, expected: int, puts: Mapping[bytes, bytes]) -> Swapped: ...
    async def compact(self, revision: int) -> None: ...
    async def grant(self, ttl_s: int) -> int: ...
    async def renew(self, lease: int) -> int: ...
    async def revoke(self, lease: int) -> None: ...
    def watch(self, key: bytes, range_end: bytes, start_revision: int) -> Changes: ...
    async def close(self) -> None: ...


class NativeDoor:
    """A client of the native port."""

    def __init__(self, client: oarlock.aio.Client) -> None:
        self._client = client

    @classmethod
    async def connect(cls, endpoint: str) -> NativeDoor:
        """Connects to "host:port"."""
        return cls(await oarlock.aio.connect(endpoint, timeout_s=TIMEOUT_S, connect_timeout_s=TIMEOUT_S))

    async def put(self, key: bytes, value: bytes, lease: int = 0) -> int:
        return (await self._client.put(key, value, lease=lease)).header.revision

    async def replace(self, key: bytes, value: bytes) -> int:
        """A put whose answer has what was there before."""
        return (await self._client.put(key, value, prev_kv=True)).header.revision

    async def delete(self, key: bytes) -> tuple[int, int]:
        result = await self._client.delete(key)
        return result.deleted, result.header.revision

    async def get(self, key: bytes, *, serializable: bool) -> Seen:
        result = await self._client.range(key, serializable=serializable)
        if not result.kvs:
            return Seen(result.header.revision, None, 0)
        return Seen(result.header.revision, result.kvs[0].value, result.kvs[0].mod_revision)

    async def keys(self, start: bytes, end: bytes, limit: int) -> list[bytes]:
        return [kv.key for kv in (await self._client.get_range(start, end, limit=limit)).kvs]

    async def swap(self, key: bytes, expected: int, puts: Mapping[bytes, bytes]) -> Swapped:
        result = await self._client.transaction(
            [mod_revision(key) == expected], [ops.put(*pair) for pair in puts.items()], [ops.get(key)]
        )
        return Swapped(result.succeeded, result.header.revision)

    async def compact(self, revision: int) -> None:
        await self._client.compact(revision)

    async def grant(self, ttl_s: int) -> int:
        return (await self._client.lease(ttl_s)).id

    async def renew(self, lease: int) -> int:
        return (await self._client.call(calls.lease_keep_alive(lease))).ttl_s

    async def revoke(self, lease: int) -> None:
        await self._client.revoke_lease(lease)

    async def watch(self, key: bytes, range_end: bytes, start_revision: int) -> Changes:
        async with self._client.watch(key, range_end=range_end, start_revision=start_revision) as watch:
            async for response in watch.responses():
                yield [
                    Change(each.mod_revision, each.key, None, 0, 0)
                    if each.is_delete
                    else Change(each.mod_revision, each.key, each.kv.value, each.kv.create_revision, each.kv.version)
                    for each in response.events
                ]

    async def close(self) -> None:
        await self._client.close()


class GrpcDoor:
    """A client of the etcd port, by our own messages."""

    def __init__(self, endpoint: str) -> None:
        self._channel = grpc.aio.insecure_channel(endpoint, options=CHANNEL_OPTIONS)
        self._methods: dict[str, Any] = {}
        self._renewals: Any = None
        self._renewing = asyncio.Lock()

    async def put(self, key: bytes, value: bytes, lease: int = 0) -> int:
        request = rpc_pb2.PutRequest(key=key, value=value, lease=lease)
        return int((await self._call("KV/Put", request, rpc_pb2.PutResponse)).header.revision)

    async def delete(self, key: bytes) -> tuple[int, int]:
        request = rpc_pb2.DeleteRangeRequest(key=key)
        response = await self._call("KV/DeleteRange", request, rpc_pb2.DeleteRangeResponse)
        return response.deleted, response.header.revision

    async def get(self, key: bytes, *, serializable: bool) -> Seen:
        request = rpc_pb2.RangeRequest(key=key, serializable=serializable)
        response = await self._call("KV/Range", request, rpc_pb2.RangeResponse)
        if not response.kvs:
            return Seen(response.header.revision, None, 0)
        return Seen(response.header.revision, response.kvs[0].value, response.kvs[0].mod_revision)

    async def keys(self, start: bytes, end: bytes, limit: int) -> list[bytes]:
        request = rpc_pb2.RangeRequest(key=start, range_end=end, limit=limit)
        return [kv.key for kv in (await self._call("KV/Range", request, rpc_pb2.RangeResponse)).kvs]

    async def swap(self, key: bytes, expected: int, puts: Mapping[bytes, bytes]) -> Swapped:
        request = rpc_pb2.TxnRequest()
        request.compare.add(key=key, target=rpc_pb2.Compare.MOD, result=rpc_pb2.Compare.EQUAL, mod_revision=expected)
        for put_key, value in puts.items():
            request.success.add().request_put.MergeFrom(rpc_pb2.PutRequest(key=put_key, value=value))
        request.failure.add().request_range.key = key
        response = await self._call("KV/Txn", request, rpc_pb2.TxnResponse)
        return Swapped(response.succeeded, response.header.revision)

    async def compact(self, revision: int) -> None:
        request = rpc_pb2.CompactionRequest(revision=revision)
        await self._call("KV/Compact", request, rpc_pb2.CompactionResponse)

    async def grant(self, ttl_s: int) -> int:
        request = rpc_pb2.LeaseGrantRequest(TTL=ttl_s)
        return int((await self._call("Lease/LeaseGrant", request, rpc_pb2.LeaseGrantResponse)).ID)

    async def renew(self, lease: int) -> int:
        async with self._renewing:
            if self._renewals is None:
                self._renewals = self._channel.stream_stream(
                    "/etcdserverpb.Lease/LeaseKeepAlive", _serialized, rpc_pb2.LeaseKeepAliveResponse.FromString
                )(metadata=(("hasleader", "true"),))
            await self._renewals.write(rpc_pb2.LeaseKeepAliveRequest(ID=lease))
            async with asyncio.timeout(TIMEOUT_S):
                response = await self._renewals.read()
        assert lease == response.ID
        return int(response.TTL)

    async def revoke(self, lease: int) -> None:
        request = rpc_pb2.LeaseRevokeRequest(ID=lease)
        await self._call("Lease/LeaseRevoke", request, rpc_pb2.LeaseRevokeResponse)

    async def watch(self, key: bytes, range_end: bytes, start_revision: int) -> Changes:
        stream = self._channel.stream_stream(
            "/etcdserverpb.Watch/Watch", _serialized, rpc_pb2.WatchResponse.FromString
        )()
        try:
            create = rpc_pb2.WatchCreateRequest(key=key, range_end=range_end, start_revision=start_revision)
            await stream.write(rpc_pb2.WatchRequest(create_request=create))
            async for response in stream:
                assert not response.canceled, f"a watch was ended: {response}"
                yield [
                    Change(each.kv.mod_revision, each.kv.key, None, 0, 0)
                    if each.type
                    else Change(
                        each.kv.mod_revision, each.kv.key, each.kv.value, each.kv.create_revision, each.kv.version
                    )
                    for each in response.events
                ]
        finally:
            stream.cancel()

    async def close(self) -> None:
        if self._renewals is not None:
            self._renewals.cancel()
        await self._channel.close()

    async def _call(self, method: str, request: Any, response: Any) -> Any:
        known = self._methods.get(method)
        if known is None:
            known = self._channel.unary_unary(f"/etcdserverpb.{method}", _serialized, response.FromString)
            self._methods[method] = known
        try:
            return await known(request, timeout=TIMEOUT_S)
        except grpc.aio.AioRpcError as problem:
            if problem.code() is grpc.StatusCode.NOT_FOUND:
                raise oarlock.LeaseNotFoundError from problem
            raise


def _serialized(message: Any) -> bytes:
    return bytes(message.SerializeToString())
