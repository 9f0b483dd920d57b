"""gRPC calls with our own messages, for tests of the etcd door."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from oarlock.gateway.proto import rpc_pb2

TIMEOUT_S = 40.0
UNLIMITED = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))


class Door:
    """The calls of a server.

    Args:
        channel: to its client port.
    """

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel

    def call(
        self, method: str, request: Any, metadata: Any = (), timeout_s: float = TIMEOUT_S, *, waits: bool = False
    ) -> Any:
        """A unary call: ``method`` is ``KV/Put`` and the like; it fails without a connection unless it ``waits``."""
        name = method.rpartition("/")[2]
        stub = self.channel.unary_unary(
            f"/etcdserverpb.{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=_response(name).FromString,
        )
        return stub(request, timeout=timeout_s, metadata=metadata, wait_for_ready=waits)

    def stream(self, method: str, request: Any) -> Any:
        """A call that answers with a stream."""
        name = method.rpartition("/")[2]
        stub = self.channel.unary_stream(
            f"/etcdserverpb.{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=_response(name).FromString,
        )
        return stub(request, timeout=TIMEOUT_S)

    def both_ways(self, method: str, requests: Iterable[Any], metadata: Any = ()) -> Any:
        """A call with streams both ways."""
        name = method.rpartition("/")[2]
        stub = self.channel.stream_stream(
            f"/etcdserverpb.{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=_response(name).FromString,
        )
        return stub(iter(requests), timeout=TIMEOUT_S, metadata=metadata)

    def put(self, key: bytes, value: bytes, **more: Any) -> Any:
        """KV.Put."""
        return self.call("KV/Put", rpc_pb2.PutRequest(key=key, value=value, **more))

    def range(self, key: bytes, range_end: bytes = b"", **more: Any) -> Any:
        """KV.Range."""
        return self.call("KV/Range", rpc_pb2.RangeRequest(key=key, range_end=range_end, **more))


def _response(name: str) -> Any:
    if name == "Compact":
        return rpc_pb2.CompactionResponse
    return getattr(rpc_pb2, f"{name}Response")


@contextmanager
def door_of(endpoint: str, credentials: grpc.ChannelCredentials | None = None) -> Iterator[Door]:
    """Calls to the server at ``endpoint``, ``host:port``."""
    if credentials is None:
        channel = grpc.insecure_channel(endpoint, options=UNLIMITED)
    else:
        channel = grpc.secure_channel(endpoint, credentials, options=UNLIMITED)
    with channel:
        yield Door(channel)
