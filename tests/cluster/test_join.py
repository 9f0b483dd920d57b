"""`oarlock serve --join`, and what the client and the command line say of members, with real servers."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import oarlock
from oarlock.wire.members import Member
from tests.server import Server, wait_until

JOIN_TIMEOUT_S = 30.0


@pytest.fixture
def first(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "first", workers=1, arguments=("--name", "first"))
    server.directory.mkdir()
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture
def second(tmp_path: Path, first: Server) -> Iterator[Server]:
    server = Server(tmp_path / "second", workers=1, arguments=("--name", "second", "--join", first.native_endpoint))
    server.directory.mkdir()
    yield server
    server.close()


def member_named(client: oarlock.Client, name: str) -> Member | None:
    return next((member for member in client.member_list() if member.name == name), None)


def wait_for_voter(client: oarlock.Client, name: str) -> Member:
    found: list[Member] = []

    def look() -> bool:
        member = member_named(client, name)
        found[:] = [member] if member is not None and not member.is_learner else []
        return bool(found)

    wait_until(look, JOIN_TIMEOUT_S, f"{name} votes")
    return found[0]


def test_one_command_makes_a_voter_of_a_new_server(first: Server, second: Server) -> None:
    with oarlock.connect(first.native_endpoint, timeout_s=20) as client:
        client.put("k", "v")
        second.start()
        member = wait_for_voter(client, "second")
        assert member.peer_urls == (second.peer_url,)
        assert member.native_urls == (f"tcp://{second.native_endpoint}",)
        assert member.client_urls == (second.client_url,)
        with oarlock.connect(second.native_endpoint, timeout_s=20) as other:
            found = other.get("k", min_revision=client.revision)
            assert found is not None
            assert found.value == b"v"


def test_the_same_command_starts_it_again(first: Server, second: Server) -> None:
    with oarlock.connect(first.native_endpoint, timeout_s=20) as client:
        member_id = wait_for_voter_after(client, second)
        second.stop()
        assert wait_for_voter_after(client, second) == member_id
        assert len(client.member_list()) == 2


def wait_for_voter_after(client: oarlock.Client, server: Server) -> int:
    server.start()
    return wait_for_voter(client, "second").id


def test_a_member_without_its_data_is_not_taken_for_a_new_one(first: Server, second: Server) -> None:
    with oarlock.connect(first.native_endpoint, timeout_s=20) as client:
        member_id = wait_for_voter_after(client, second)
    second.stop()
    second.data_dir.rename(second.directory / "lost")
    with pytest.raises(AssertionError, match=rf"oarlock member remove {member_id:x}"):
        second.start()


def test_urls_that_another_member_has_without_a_name_are_taken_over(first: Server, second: Server) -> None:
    with oarlock.connect(first.native_endpoint, timeout_s=20) as client:
        added = client.member_add(second.peer_url, learner=True).member  # an earlier start that got no further
        assert wait_for_voter_after(client, second) == added.id


def test_members_and_leadership_by_client_and_command_line(first: Server, second: Server) -> None:
    with oarlock.connect(first.native_endpoint, timeout_s=20) as client:
        second_id = wait_for_voter_after(client, second)
        assert client.status(second.native_endpoint).member_id == second_id
        moved = run(first, "move-leader", f"{second_id:x}")
        assert moved.stdout.endswith(f" to {second_id:x}\n")
        asyncio.run(move_back(second.native_endpoint, client.status().member_id))
        with pytest.raises(oarlock.PeerUrlExistsError):
            client.member_add(second.peer_url)
        with pytest.raises(oarlock.BadPeerUrlsError):
            client.member_add("nonsense")
        assert "unhealthy cluster" not in run(first, "endpoint", "health", "--cluster").stderr
        assert run(first, "member", "remove", f"{second_id:x}").returncode == 0
        assert [member.name for member in client.member_list(linearizable=False)] == ["first"]


async def move_back(endpoint: str, member_id: int) -> None:
    async with await oarlock.aio.connect(endpoint, timeout_s=20) as client:
        await client.move_leader(member_id)
        members = await client.member_list()
        assert member_id in {member.id for member in members}
        with pytest.raises(oarlock.MemberNotFoundError):
            await client.member_promote(5)
        with pytest.raises(oarlock.MemberNotLearnerError):
            await client.member_promote(member_id)


def run(server: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "oarlock.cli.main", *arguments],
        env={**os.environ, **server.env},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
