"""Members of the cluster, by both clients."""

from __future__ import annotations

import asyncio

import pytest

import oarlock
from oarlock import aio
from oarlock.wire.members import Member
from tests.client.fake_worker import FakeWorker

M1 = Member(0xA1, "m1", ("tcp://127.0.0.1:2380",), ("tcp://127.0.0.1:2378",), False)
NEW = Member(0xA2, "", ("http://127.0.0.1:2390",), (), True)


def test_members_are_typed(worker: FakeWorker) -> None:
    with oarlock.connect(worker.endpoint) as client:
        members = client.member_list()
        assert list(members) == [members[0]] == [M1]
        assert len(members) == 1
        added = client.member_add("http://127.0.0.1:2390", name="m2", learner=True)
        assert (added.member, added.members) == (NEW, [M1, NEW])
        assert list(client.member_update(0xA1, ["tcp://127.0.0.1:2380"])) == [M1]
        assert client.move_leader(0xA1).member_id == 0xA1


def test_refusals_are_errors_of_their_own(worker: FakeWorker) -> None:
    with oarlock.connect(worker.endpoint) as client:
        with pytest.raises(oarlock.MemberNotFoundError):
            client.member_remove(5)
        with pytest.raises(oarlock.LearnerNotReadyError):
            client.member_promote(5)


def test_the_asyncio_client_has_the_same(worker: FakeWorker) -> None:
    async def main() -> None:
        async with await aio.connect(worker.endpoint) as client:
            assert list(await client.member_list(linearizable=False)) == [M1]
            assert (await client.member_add(["http://127.0.0.1:2390"], learner=True)).member == NEW
            assert list(await client.member_update(0xA1, "tcp://127.0.0.1:2380")) == [M1]
            assert (await client.move_leader(0xA1)).cluster_id == 0xC1
            with pytest.raises(oarlock.MemberNotFoundError):
                await client.member_remove(5)
            with pytest.raises(oarlock.LearnerNotReadyError):
                await client.member_promote(5)

    asyncio.run(main())


def test_arguments_that_cannot_be(worker: FakeWorker) -> None:
    with oarlock.connect(worker.endpoint) as client:
        with pytest.raises(oarlock.ArgumentError, match="member_id"):
            client.member_remove(-1)
        with pytest.raises(TypeError, match="peer URL"):
            client.member_add([b"http://127.0.0.1:2390"])  # type: ignore[list-item]
