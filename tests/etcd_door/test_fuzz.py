"""Whatever message arrives at whatever method: an answer or an error of etcd's, never a mistake of ours."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oarlock.gateway.proto import election_pb2, health_pb2, lock_pb2, rpc_pb2
from tests.server import Server, running

from .calls import Door, door_of
from .random_messages import messages

WAIT_S = 0.3
"""For calls that may wait as long as they like: locks, campaigns, watches."""
HARMFUL = {"MemberAdd", "MemberRemove", "MemberUpdate", "MemberPromote", "Alarm"}
"""What a member alone would not survive as it is; their messages are tried as bytes."""

METHODS: list[MethodDescriptor] = [
    method
    for module in (rpc_pb2, lock_pb2, election_pb2, health_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]
NAMES = [method.full_name for method in METHODS]


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for these tests; whatever they did, it has lived through it."""
    with running(tmp_path_factory.mktemp("fuzzed"), workers=1) as server:
        yield server
        with door_of(server.client_endpoint) as door:
            assert door.range(b"still there").header.revision
        for mishap in ("child died", "could not be handled", "could not be handed over"):
            assert mishap not in server.log_text()


@pytest.fixture(scope="module")
def fuzzed_door(fuzzed: Server) -> Iterator[Door]:
    with door_of(fuzzed.client_endpoint) as door:
        yield door


def answers(door: Door, method: MethodDescriptor, requests: list[bytes]) -> grpc.StatusCode:
    """Calls ``method`` with serialized messages; how the call ended. Raises AssertionError for a mistake of ours."""
    service, _, name = method.full_name.rpartition(".")
    call = door.channel.stream_stream(f"/{service}/{name}")(iter(requests), timeout=WAIT_S)
    try:
        for answer in call:
            assert isinstance(answer, bytes)
        return grpc.StatusCode.OK
    except grpc.RpcError as problem:
        code, text = problem.code(), problem.details()
        assert "oarlock: internal error" not in text
        assert code is not grpc.StatusCode.UNAVAILABLE, text
        return code


@pytest.mark.parametrize("method", METHODS, ids=NAMES)
@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(noise=st.binary(max_size=60))
def test_any_bytes(method: MethodDescriptor, fuzzed_door: Door, noise: bytes) -> None:
    if method.name in HARMFUL and not noise:
        return
    answers(fuzzed_door, method, [noise])


@pytest.mark.slow
@pytest.mark.parametrize(
    "method", [method for method in METHODS if method.name not in HARMFUL], ids=lambda m: m.full_name
)
@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_messages(method: MethodDescriptor, fuzzed_door: Door, data: st.DataObject) -> None:
    most = 4 if method.client_streaming else 1
    requests = data.draw(st.lists(messages(method.input_type), min_size=1, max_size=most))
    answers(fuzzed_door, method, [request.SerializeToString() for request in requests])
