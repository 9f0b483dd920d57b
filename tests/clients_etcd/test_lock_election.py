"""The Lock and Election services over gRPC, and in one queue with ``etcdctl lock`` and ``elect``."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from oarlock.gateway.proto import election_pb2, health_pb2, lock_pb2, reflection_pb2, rpc_pb2
from oarlock.loadgen.own_etcd import find_etcd
from tests.clients_etcd.servers import EtcdServer, OarlockServer
from tests.server import wait_until

WAIT_S = 60.0
TTL_S = 60

pytestmark = pytest.mark.slow


class Client:
    """One connection; ``call(path, request, response type)`` for a method."""

    def __init__(self, endpoint: str) -> None:
        self._channel = grpc.insecure_channel(endpoint, options=[("grpc.use_local_subchannel_pool", 1)])

    def close(self) -> None:
        self._channel.close()

    def begin(self, path: str, request: Message, response: type[Message], timeout_s: float = WAIT_S) -> Any:
        """A call that is under way."""
        method = self._channel.unary_unary(path, type(request).SerializeToString, response.FromString)
        return method.future(request, timeout=timeout_s, wait_for_ready=True)

    def call(self, path: str, request: Message, response: type[Message]) -> Any:
        """The answer to a call."""
        return self.begin(path, request, response).result(WAIT_S)

    def stream(self, path: str, request: Message, response: type[Message]) -> Any:
        """The answers to a call, one by one."""
        method = self._channel.unary_stream(path, type(request).SerializeToString, response.FromString)
        return method(request, timeout=WAIT_S, wait_for_ready=True)

    # etcd's calls

    def lease(self) -> int:
        request = rpc_pb2.LeaseGrantRequest(TTL=TTL_S)
        return int(self.call("/etcdserverpb.Lease/LeaseGrant", request, rpc_pb2.LeaseGrantResponse).ID)

    def revoke(self, lease: int) -> None:
        self.call("/etcdserverpb.Lease/LeaseRevoke", rpc_pb2.LeaseRevokeRequest(ID=lease), rpc_pb2.LeaseRevokeResponse)

    def keys(self, name: bytes) -> list[bytes]:
        request = rpc_pb2.RangeRequest(key=name + b"/", range_end=name + b"0")
        return [kv.key for kv in self.call("/etcdserverpb.KV/Range", request, rpc_pb2.RangeResponse).kvs]

    def lock(self, name: bytes, lease: int = 0, timeout_s: float = WAIT_S) -> Any:
        request = lock_pb2.LockRequest(name=name, lease=lease)
        return self.begin("/v3lockpb.Lock/Lock", request, lock_pb2.LockResponse, timeout_s)

    def unlock(self, key: bytes) -> None:
        self.call("/v3lockpb.Lock/Unlock", lock_pb2.UnlockRequest(key=key), lock_pb2.UnlockResponse)

    def campaign(self, name: bytes, value: bytes, lease: int = 0) -> Any:
        request = election_pb2.CampaignRequest(name=name, value=value, lease=lease)
        return self.begin("/v3electionpb.Election/Campaign", request, election_pb2.CampaignResponse)

    def leader(self, name: bytes) -> Any:
        request = election_pb2.LeaderRequest(name=name)
        return self.call("/v3electionpb.Election/Leader", request, election_pb2.LeaderResponse).kv

    def proclaim(self, leader: Any, value: bytes) -> Any:
        request = election_pb2.ProclaimRequest(leader=leader, value=value)
        return self.call("/v3electionpb.Election/Proclaim", request, election_pb2.ProclaimResponse)

    def resign(self, leader: Any) -> Any:
        request = election_pb2.ResignRequest(leader=leader)
        return self.call("/v3electionpb.Election/Resign", request, election_pb2.ResignResponse)

    def observe(self, name: bytes) -> Any:
        request = election_pb2.LeaderRequest(name=name)
        return self.stream("/v3electionpb.Election/Observe", request, election_pb2.LeaderResponse)


class EtcdctlHolder:
    """An ``etcdctl lock`` or ``elect`` that waits for its turn, and then keeps it until it is told to let go."""

    def __init__(self, endpoint: str, *arguments: str) -> None:
        env = {**os.environ, "ETCDCTL_API": "3", "ETCDCTL_ENDPOINTS": endpoint}
        command = [str(find_etcd().with_name("etcdctl")), *arguments]
        self._process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)

    def first_line(self) -> str:
        """What it says when it has its turn."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def let_go(self) -> None:
        """Interrupts it; it releases what it has."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(WAIT_S)

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def clients(etcd_server: EtcdServer) -> Iterator[tuple[Client, Client]]:
    made = Client(etcd_server.endpoint), Client(etcd_server.endpoint)
    yield made
    for client in made:
        client.close()


@pytest.fixture
def etcdctl(etcd_server: EtcdServer) -> Iterator[Callable[..., EtcdctlHolder]]:
    started: list[EtcdctlHolder] = []

    def start(*arguments: str) -> EtcdctlHolder:
        started.append(EtcdctlHolder(etcd_server.endpoint, *arguments))
        return started[-1]

    yield start
    for holder in started:
        holder.close()


def wait_for_queue(client: Client, name: bytes, length: int) -> None:
    wait_until(lambda: len(client.keys(name)) == length, WAIT_S, f"{length} in the queue for {name!r}")


def failure(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details()


def test_a_lock_passes_from_client_to_client(clients: tuple[Client, Client]) -> None:
    one, two = clients
    lease = one.lease()
    held = one.lock(b"live-a", lease).result(WAIT_S)
    assert held.key == b"live-a/%x" % lease
    waiting = two.lock(b"live-a")
    wait_for_queue(one, b"live-a", 2)
    assert not waiting.done()
    one.unlock(held.key)
    assert one.keys(b"live-a") == [waiting.result(WAIT_S).key]


def test_a_wait_that_is_cancelled_or_too_long_leaves_no_key(clients: tuple[Client, Client]) -> None:
    one, two = clients
    held = one.lock(b"live-b").result(WAIT_S)
    waiting = two.lock(b"live-b")
    wait_for_queue(one, b"live-b", 2)
    waiting.cancel()
    wait_for_queue(one, b"live-b", 1)
    # Server and client watch the same deadline; etcd's service gives it no code.
    codes = (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNKNOWN)
    assert failure(two.lock(b"live-b", timeout_s=1.0).result)[0] in codes
    wait_for_queue(one, b"live-b", 1)
    assert one.keys(b"live-b") == [held.key]


def test_errors_are_unknown_with_the_plain_text(clients: tuple[Client, Client]) -> None:
    one, _ = clients
    unknown = grpc.StatusCode.UNKNOWN
    assert failure(one.lock(b"live-c", 0x7777).result) == (unknown, "etcdserver: requested lease not found")
    assert failure(lambda: one.unlock(b"")) == (unknown, "etcdserver: key is not provided")
    assert failure(lambda: one.leader(b"live-c")) == (unknown, "election: no leader")
    assert failure(lambda: one.proclaim(None, b"")) == (unknown, '"leader" field must be provided')
    assert failure(lambda: one.resign(None)) == (unknown, '"leader" field must be provided')
    gone = election_pb2.LeaderKey(name=b"live-c", key=b"live-c/1", rev=1)
    assert failure(lambda: one.proclaim(gone, b"x")) == (unknown, "election: not leader")
    one.resign(gone)


def test_a_lease_that_ends_in_the_queue_gets_no_lock(clients: tuple[Client, Client]) -> None:
    one, two = clients
    held = one.lock(b"live-d").result(WAIT_S)
    lease = two.lease()
    waiting = two.lock(b"live-d", lease)
    wait_for_queue(one, b"live-d", 2)
    one.revoke(lease)
    one.unlock(held.key)
    assert failure(waiting.result) == (grpc.StatusCode.UNKNOWN, "mutex: session is expired")


def test_an_election_as_candidates_and_observers_see_it(clients: tuple[Client, Client]) -> None:
    one, two = clients
    first = one.campaign(b"live-e", b"one").result(WAIT_S)
    observed = two.observe(b"live-e")
    assert next(observed).kv.value == b"one"
    second = two.campaign(b"live-e", b"two")
    wait_for_queue(one, b"live-e", 2)
    proclaimed = one.proclaim(first.leader, b"one again")
    told = next(observed)
    assert (told.kv.value, told.header.revision) == (b"one again", proclaimed.header.revision)
    assert one.leader(b"live-e").value == b"one again"
    one.resign(first.leader)
    elected = second.result(WAIT_S)
    assert elected.header.revision == elected.leader.rev
    assert next(observed).kv == one.leader(b"live-e")
    observed.cancel()


def test_a_campaign_again_changes_the_value_and_keeps_the_revision(clients: tuple[Client, Client]) -> None:
    one, _ = clients
    lease = one.lease()
    first = one.campaign(b"live-f", b"one", lease).result(WAIT_S)
    again = one.campaign(b"live-f", b"two", lease).result(WAIT_S)
    assert again.leader == first.leader
    assert one.leader(b"live-f").value == b"two"


def test_etcdctl_and_the_service_wait_for_one_lock(
    clients: tuple[Client, Client], etcdctl: Callable[..., EtcdctlHolder]
) -> None:
    one, two = clients
    holder = etcdctl("lock", "live-g")
    assert holder.first_line().encode() == one.keys(b"live-g")[0]
    waiting = one.lock(b"live-g")
    wait_for_queue(two, b"live-g", 2)
    last = etcdctl("lock", "live-g", "echo", "inside")
    wait_for_queue(two, b"live-g", 3)
    holder.let_go()
    key = waiting.result(WAIT_S).key
    two.unlock(key)
    assert last.first_line() == "inside"


def test_etcdctl_and_the_service_stand_in_one_election(
    clients: tuple[Client, Client], etcdctl: Callable[..., EtcdctlHolder]
) -> None:
    one, two = clients
    leader = etcdctl("elect", "live-h", "ctl")
    assert leader.first_line().encode() == one.keys(b"live-h")[0]
    assert one.leader(b"live-h").value == b"ctl"
    waiting = one.campaign(b"live-h", b"service")
    wait_for_queue(two, b"live-h", 2)
    leader.let_go()
    elected = waiting.result(WAIT_S).leader
    listener = etcdctl("elect", "--listen", "live-h")
    assert listener.first_line().encode() == elected.key


def test_the_server_is_healthy(clients: tuple[Client, Client]) -> None:
    one, _ = clients
    ok = health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)
    path = "/grpc.health.v1.Health/Check"
    assert one.call(path, health_pb2.HealthCheckRequest(), health_pb2.HealthCheckResponse) == ok
    unknown = health_pb2.HealthCheckRequest(service="nobody")
    problem = failure(lambda: one.call(path, unknown, health_pb2.HealthCheckResponse))
    assert problem == (grpc.StatusCode.NOT_FOUND, "unknown service")
    watch = one.stream("/grpc.health.v1.Health/Watch", health_pb2.HealthCheckRequest(), health_pb2.HealthCheckResponse)
    assert next(watch) == ok
    watch.cancel()


def test_services_can_be_listed(etcd_server: EtcdServer) -> None:
    if not isinstance(etcd_server, OarlockServer):
        pytest.skip("etcd has no reflection")
    with grpc.insecure_channel(etcd_server.endpoint) as channel:
        ask = channel.stream_stream(
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            reflection_pb2.ServerReflectionRequest.SerializeToString,
            reflection_pb2.ServerReflectionResponse.FromString,
        )
        questions = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        (answer,) = ask(questions, timeout=WAIT_S)
    names = {service.name for service in answer.list_services_response.service}
    assert {"etcdserverpb.KV", "etcdserverpb.Watch", "v3lockpb.Lock", "v3electionpb.Election"} <= names
