"""tooz, OpenStack's coordination library, on its etcd3gw driver. Argument: the server's port."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

from scenarios import eventually, run
from tooz import coordination

PORT = int(sys.argv[1])


def coordinator(name: str, options: str = "") -> coordination.CoordinationDriver:
    """A started member of the coordinated."""
    member = coordination.get_coordinator(f"etcd3+http://127.0.0.1:{PORT}?{options}", name.encode())
    member.start(start_heart=False)
    return member


def locks_exclude() -> None:
    first, second = coordinator("locker-1"), coordinator("locker-2")
    held, wanted = first.get_lock(b"shared"), second.get_lock(b"shared")
    assert held.acquire()
    assert not wanted.acquire(blocking=False)
    assert held.heartbeat()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wanted.acquire)
        assert held.release()
        assert waiting.result()
    assert not held.acquired
    assert wanted.break_()


def groups_know_their_members() -> None:
    first, second = coordinator("member-1"), coordinator("member-2")
    first.create_group(b"group").get()
    try:
        second.create_group(b"group").get()
    except coordination.GroupAlreadyExist:
        pass
    else:
        raise AssertionError("a group was made twice")
    joined: list[bytes] = []
    first.watch_join_group(b"group", lambda event: joined.append(event.member_id))
    left: list[bytes] = []
    first.watch_leave_group(b"group", lambda event: left.append(event.member_id))
    first.join_group(b"group", b"capable").get()
    second.join_group(b"group").get()
    assert first.get_members(b"group").get() == {b"member-1", b"member-2"}
    assert second.get_member_capabilities(b"group", b"member-1").get() == b"capable"
    first.run_watchers()
    second.update_capabilities(b"group", b"better").get()
    assert first.get_member_capabilities(b"group", b"member-2").get() == b"better"
    second.leave_group(b"group").get()
    first.run_watchers()
    assert (set(joined), left) == ({b"member-1", b"member-2"}, [b"member-2"])
    first.leave_group(b"group").get()
    first.delete_group(b"group").get()
    assert b"group" not in first.get_groups().get()


def a_member_lives_as_long_as_its_heartbeat() -> None:
    alive, silent = coordinator("alive", "membership_timeout=20"), coordinator("silent", "membership_timeout=1")
    alive.create_group(b"beating").get()
    for member in (alive, silent):
        member.join_group(b"beating").get()

    def is_alone() -> bool:
        assert alive.heartbeat() == 20
        return alive.get_members(b"beating").get() == {b"alive"}

    eventually(is_alone)


if __name__ == "__main__":
    run(locks_exclude, groups_know_their_members, a_member_lives_as_long_as_its_heartbeat)
