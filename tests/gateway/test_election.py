from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from google.protobuf.message import Message

from oarlock.gateway.proto.election_pb2 import (
    CampaignRequest,
    CampaignResponse,
    LeaderKey,
    LeaderRequest,
    LeaderResponse,
    ProclaimRequest,
    ResignRequest,
)
from oarlock.gateway.proto.rpc_pb2 import PutResponse
from oarlock.gateway.service import Exchange
from oarlock.gateway.services import observer
from oarlock.gateway.services.election import LEADER_MISSING, NO_LEADER, NOT_LEADER, SESSION_EXPIRED, ElectionService
from oarlock.wire.errors import Code, CompactedError, NoLeaderError, OarlockError, OverloadedError, StoppedError
from oarlock.wire.operations import Op
from tests.gateway.fakes import FakeExchange
from tests.gateway.store_backend import FIRST_LEASE, StoreBackend

TTL_S = 30
Handler = Callable[[Exchange, bytes], None]


class Election:
    """Callers of the election service; leases 1 to 9 exist."""

    def __init__(self, directory: Path) -> None:
        self.backend = StoreBackend(directory)
        self.service = ElectionService(self.backend)
        for lease in range(1, 10):
            self.backend.run(Op.LEASE_GRANT, lease, TTL_S)

    def call(self, handler: Handler, request: Message) -> FakeExchange:
        exchange = FakeExchange()
        handler(exchange, request.SerializeToString())
        self.backend.settle()
        return exchange

    def campaign(self, lease: int, value: bytes = b"v") -> FakeExchange:
        return self.call(self.service.campaign, CampaignRequest(name=b"e", lease=lease, value=value))

    def elected(self, lease: int, value: bytes = b"v") -> LeaderKey:
        return elected(self.campaign(lease, value))

    def proclaim(self, leader: LeaderKey | None, value: bytes = b"new") -> FakeExchange:
        return self.call(self.service.proclaim, ProclaimRequest(leader=leader, value=value))

    def resign(self, leader: LeaderKey | None) -> FakeExchange:
        return self.call(self.service.resign, ResignRequest(leader=leader))

    def leader(self) -> FakeExchange:
        return self.call(self.service.leader, LeaderRequest(name=b"e"))

    def observe(self) -> FakeExchange:
        return self.call(self.service.observe, LeaderRequest(name=b"e"))


def elected(exchange: FakeExchange) -> LeaderKey:
    return CampaignResponse.FromString(exchange.sent[0]).leader


def seen(exchange: FakeExchange) -> list[tuple[bytes, bytes]]:
    told = [LeaderResponse.FromString(message) for message in exchange.sent]
    assert all(response.header.revision >= response.kv.mod_revision for response in told)
    return [(response.kv.key, response.kv.value) for response in told]


def failure(exchange: FakeExchange) -> tuple[Code, str]:
    assert exchange.status is not None
    assert not exchange.sent
    return exchange.status.code, exchange.status.message


def is_ok(exchange: FakeExchange) -> bool:
    return exchange.status is not None and exchange.status.code == Code.OK


@pytest.fixture
def election(tmp_path: Path) -> Iterator[Election]:
    made = Election(tmp_path / "replica")
    yield made
    made.backend.close()


def test_the_first_candidate_leads_at_once(election: Election) -> None:
    call = election.campaign(10 - 1, b"me")
    response = CampaignResponse.FromString(call.sent[0])
    assert response.leader == LeaderKey(name=b"e", key=b"e/9", rev=2, lease=9)
    assert response.header.revision == 2
    assert election.backend.keys(b"e/") == {b"e/9": b"me"}


def test_without_a_lease_one_is_granted(election: Election) -> None:
    assert election.elected(0).lease == FIRST_LEASE


def test_the_next_one_leads_when_the_first_resigns(election: Election) -> None:
    first = election.elected(1)
    waiter = election.campaign(2)
    entered = election.backend.revision
    assert not waiter.sent
    assert is_ok(election.resign(first))
    response = CampaignResponse.FromString(waiter.sent[0])
    assert (response.leader.key, response.leader.rev) == (b"e/2", entered)
    assert response.header.revision == entered


def test_a_campaign_of_the_same_lease_changes_the_value(election: Election) -> None:
    first = election.elected(1, b"old")
    again = election.elected(1, b"new")
    assert again == first
    assert election.backend.keys(b"e/") == {b"e/1": b"new"}


def test_a_campaign_with_the_same_value_writes_nothing(election: Election) -> None:
    election.elected(1)
    revision = election.backend.revision
    election.elected(1)
    assert election.backend.revision == revision


def test_a_new_value_for_a_lost_key_fails_and_leaves_nothing(election: Election) -> None:
    election.elected(1, b"old")
    exchange = FakeExchange()
    request = CampaignRequest(name=b"e", lease=1, value=b"new").SerializeToString()
    election.service.campaign(exchange, request)
    election.backend.step()
    election.backend.run(Op.DELETE, b"e/1")
    election.backend.settle()
    assert failure(exchange) == (Code.UNKNOWN, NOT_LEADER)
    assert (election.backend.keys(b"e/"), election.service.room.calls) == ({}, 0)


def test_a_campaign_that_is_cancelled_leaves_no_candidate(election: Election) -> None:
    election.elected(1)
    waiter = election.campaign(2)
    waiter.cancel()
    election.backend.settle()
    assert set(election.backend.keys(b"e/")) == {b"e/1"}


def test_a_candidate_whose_lease_ended_is_not_called_elected(election: Election) -> None:
    first = election.elected(1)
    waiter = election.campaign(2)
    election.backend.run(Op.LEASE_REVOKE, 2)
    election.resign(first)
    assert failure(waiter) == (Code.UNKNOWN, SESSION_EXPIRED)


def test_campaigns_fail_with_the_plain_text(election: Election) -> None:
    assert failure(election.campaign(999)) == (Code.UNKNOWN, "etcdserver: requested lease not found")


def test_a_leader_proclaims(election: Election) -> None:
    leader = election.elected(1)
    call = election.proclaim(leader, b"new")
    assert is_ok(call)
    assert PutResponse.FromString(call.sent[0]).header.revision == election.backend.revision
    assert election.backend.keys(b"e/") == {b"e/1": b"new"}
    assert election.backend.run(Op.RANGE, b"e/1")[0][0][5] == 1


def test_a_leader_that_is_none_any_more_cannot_proclaim(election: Election) -> None:
    leader = election.elected(1)
    election.backend.run(Op.DELETE, b"e/1")
    election.elected(1)
    assert failure(election.proclaim(leader)) == (Code.UNKNOWN, NOT_LEADER)


def test_a_resignation_of_another_reign_changes_nothing(election: Election) -> None:
    leader = election.elected(1)
    election.backend.run(Op.DELETE, b"e/1")
    election.elected(1)
    assert is_ok(election.resign(leader))
    assert set(election.backend.keys(b"e/")) == {b"e/1"}


def test_proclaim_and_resign_need_a_leader(election: Election) -> None:
    assert failure(election.proclaim(None)) == (Code.UNKNOWN, LEADER_MISSING)
    assert failure(election.resign(None)) == (Code.UNKNOWN, LEADER_MISSING)


def test_the_leader_is_the_oldest_candidate(election: Election) -> None:
    assert failure(election.leader()) == (Code.UNKNOWN, NO_LEADER)
    election.elected(5, b"five")
    election.campaign(1, b"one")
    assert seen(election.leader()) == [(b"e/5", b"five")]


def test_an_observer_hears_of_leaders_and_their_values(election: Election) -> None:
    election.elected(1, b"a")
    watching = election.observe()
    assert seen(watching) == [(b"e/1", b"a")]
    election.campaign(2, b"b")
    election.elected(1, b"c")
    election.backend.run(Op.DELETE, b"e/1")
    election.backend.settle()
    assert seen(watching) == [(b"e/1", b"a"), (b"e/1", b"c"), (b"e/2", b"b")]
    assert not watching.is_over


def test_an_observer_waits_for_the_first_leader_and_for_the_next(election: Election) -> None:
    watching = election.observe()
    assert seen(watching) == []
    leader = election.elected(1, b"a")
    election.backend.settle()
    election.resign(leader)
    election.elected(2, b"b")
    election.backend.settle()
    assert seen(watching) == [(b"e/1", b"a"), (b"e/2", b"b")]


def test_an_observer_at_any_moment_of_a_reign_ends_up_with_its_last_value(election: Election) -> None:
    for steps in range(6):
        exchange = FakeExchange()
        election.service.observe(exchange, LeaderRequest(name=b"e").SerializeToString())
        for _ in range(steps):
            election.backend.step()
        election.backend.run(Op.PUT, b"e/1", b"x%d" % steps)
        election.backend.settle()
        assert seen(exchange)[-1] == (b"e/1", b"x%d" % steps)
        exchange.cancel()
        election.backend.run(Op.DELETE, b"e/1")
    assert (election.backend.hub.group_count, election.service.room.calls) == (0, 0)


def test_an_observer_that_does_not_read_costs_no_memory_and_misses_nothing(election: Election) -> None:
    election.elected(1, b"0")
    watching = election.observe()
    watching.queued_bytes = observer.MAX_QUEUED_BYTES + 1
    for number in range(1, 50):
        election.backend.run(Op.PUT, b"e/1", b"%d" % number)
    election.backend.settle()
    assert len(watching.sent) == 2
    watching.read_on()
    election.backend.settle()
    assert seen(watching) == [(b"e/1", b"%d" % number) for number in range(50)]


def test_an_observer_that_is_cut_off_while_it_is_told_is_forgotten(election: Election) -> None:
    class CutOff(FakeExchange):
        def send(self, message: bytes) -> None:
            self.cancel()

    election.elected(1)
    exchange = CutOff()
    election.service.observe(exchange, LeaderRequest(name=b"e").SerializeToString())
    election.backend.settle()
    assert (election.backend.hub.group_count, election.service.room.calls) == (0, 0)


@pytest.mark.parametrize("problem", [CompactedError(), NoLeaderError()], ids=lambda problem: problem.text)
def test_an_observer_starts_again_where_that_helps(election: Election, problem: OarlockError) -> None:
    election.elected(1, b"a")
    watching = election.observe()
    election.backend.failures[Op.WATCH_HISTORY] = [problem]
    election.backend.store.write([Op.PUT, b"e/1", b"b"])  # unknown to the hub
    election.backend.hub.skipped_to(election.backend.revision, 0.0)
    election.backend.settle()
    election.backend.fire_timers()
    election.backend.settle()
    assert seen(watching) == [(b"e/1", b"a"), (b"e/1", b"b")]


def test_an_observer_that_left_is_not_started_again(election: Election) -> None:
    election.backend.failures[Op.RANGE] = [NoLeaderError()]
    watching = election.observe()
    watching.cancel()
    asked = len(election.backend.asked)
    election.backend.fire_timers()
    assert len(election.backend.asked) == asked


def test_an_observer_hears_of_an_error_that_stays(election: Election) -> None:
    election.backend.failures[Op.RANGE] = [OverloadedError()]
    assert failure(election.observe()) == (Code.UNKNOWN, OverloadedError.text)
    assert election.service.room.calls == 0


def test_errors_of_short_calls_have_the_plain_text(election: Election) -> None:
    leader = election.elected(1)
    election.backend.failures = {Op.TXN: [StoppedError(), StoppedError()], Op.RANGE: [StoppedError()]}
    for call in (election.proclaim(leader), election.resign(leader), election.leader()):
        assert failure(call) == (Code.UNKNOWN, StoppedError.text)


def test_observers_are_bounded(election: Election) -> None:
    election.service = ElectionService(election.backend, most_calls=1)
    election.observe()
    with pytest.raises(OverloadedError):
        election.observe()
