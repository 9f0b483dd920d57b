"""etcd-sdk-python (imported as pyetcd) and its ancestor python-etcd3: two packages with one interface.

Arguments: the server's port, and the package's name.
"""

from __future__ import annotations

import io
import queue
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any

from scenarios import PATIENCE_S, eventually, restart_server, run

PORT, PACKAGE = int(sys.argv[1]), sys.argv[2]
ATTEMPT_S = 5.0
"""For one attempt to watch again, which the client may lose among what its broken stream leaves; and for one to lock:
the ancestor misses a release that comes before its watch."""
etcd3 = import_module(PACKAGE)


def connected(timeout_s: float) -> Any:
    """A client that may call again at once after a call that failed: pyetcd would not use its endpoint for five minutes
    otherwise, so the first call after a restart would have to succeed."""
    made = etcd3.client(host="127.0.0.1", port=PORT, timeout=timeout_s)
    for endpoint in getattr(made, "endpoints", {}).values():
        endpoint.time_retry = 0.0
    return made


client = connected(PATIENCE_S)
txn = client.transactions


def key(name: str) -> str:
    return f"{PACKAGE}/{name}"


def puts_gets_and_deletes() -> None:
    assert client.get(key("kv/none")) == (None, None)
    client.put(key("kv/a"), "1")
    client.put(key("kv/a"), "2")
    value, metadata = client.get(key("kv/a"))
    assert (value, metadata.version, metadata.key) == (b"2", 2, key("kv/a").encode())
    assert metadata.mod_revision == metadata.create_revision + 1 == metadata.response_header.revision
    assert client.put(key("kv/a"), "3", prev_kv=True).prev_kv.value == b"2"
    assert client.delete(key("kv/a"))
    assert not client.delete(key("kv/a"))


def reads_ranges_sorted() -> None:
    for name, value in zip("abc", "312", strict=True):
        client.put(key(f"range/{name}"), value)
    found = client.get_prefix(key("range/"), sort_order="descend", sort_target="value")
    assert [value for value, _ in found] == [b"3", b"2", b"1"]
    found = client.get_range(key("range/a"), key("range/c"), keys_only=True)
    assert [metadata.key for _, metadata in found] == [key("range/a").encode(), key("range/b").encode()]
    assert client.delete_prefix(key("range/")).deleted == 3
    assert list(client.get_prefix(key("range/"))) == []


def transactions_take_their_branch() -> None:
    client.put(key("txn/a"), "old")
    succeeded, answers = client.transaction(
        compare=[txn.value(key("txn/a")) == "old", txn.version(key("txn/b")) == 0],
        success=[txn.put(key("txn/a"), "new"), txn.get(key("txn/a")), txn.delete(key("txn/b"))],
        failure=[],
    )
    assert succeeded
    assert answers[1][0][0] == b"new"
    nested = txn.txn([txn.create(key("txn/a")) > 0], [txn.put(key("txn/c"), "inner")], [])
    succeeded, _ = client.transaction([txn.mod(key("txn/a")) == 0], [], [nested])
    assert not succeeded
    assert client.get(key("txn/c"))[0] == b"inner"
    assert client.put_if_not_exists(key("txn/d"), "first")
    assert not client.put_if_not_exists(key("txn/d"), "second")
    assert client.replace(key("txn/d"), "first", "third")


def watch_callbacks_see_every_change() -> None:
    responses: queue.Queue[Any] = queue.Queue()
    watch_id = client.add_watch_prefix_callback(key("watch/"), responses.put, prev_kv=True)
    client.put(key("watch/a"), "1")
    client.put(key("watch/a"), "2")
    client.delete(key("watch/a"))
    events = events_of(responses, 3)
    assert [(type(event).__name__, event.value, event.prev_value) for event in events] == [
        ("PutEvent", b"1", b""),
        ("PutEvent", b"2", b"1"),
        ("DeleteEvent", b"", b"2"),
    ]
    client.cancel_watch(watch_id)
    replayed, cancel = client.watch(key("watch/a"), start_revision=events[0].mod_revision)
    assert [next(replayed).value for _ in range(3)] == [b"1", b"2", b""]
    cancel()
    assert next(replayed, None) is None


def watches_go_on_after_a_restart() -> None:
    watching = connected(ATTEMPT_S)
    responses: queue.Queue[Any] = queue.Queue()
    watching.add_watch_callback(key("restart"), responses.put)
    client.put(key("restart"), "before")
    (before,) = events_of(responses, 1)
    restart_server()
    assert isinstance(responses.get(timeout=PATIENCE_S), Exception)
    resume(lambda: watching.add_watch_callback(key("restart"), responses.put, start_revision=before.mod_revision))
    resume(lambda: client.put(key("restart"), "after"))
    assert [event.value for event in events_of(responses, 2)] == [b"before", b"after"]
    watching.close()


def a_watch_from_a_compacted_revision_is_told_so() -> None:
    first = client.put(key("compact"), "1").header.revision
    last = client.put(key("compact"), "2").header.revision
    client.compact(last, physical=True)
    responses: queue.Queue[Any] = queue.Queue()
    client.add_watch_callback(key("compact"), responses.put, start_revision=first)
    refusal = responses.get(timeout=PATIENCE_S)
    assert isinstance(refusal, etcd3.exceptions.RevisionCompactedError)
    assert refusal.compacted_revision == last


def leases_keep_and_drop_their_keys() -> None:
    lease = client.lease(1000)
    client.put(key("lease/a"), "kept", lease=lease)
    assert (lease.granted_ttl, list(lease.keys)) == (1000, [key("lease/a").encode()])
    (renewed,) = lease.refresh()
    assert lease.id == renewed.ID
    assert renewed.TTL == 1000
    lease.revoke()
    assert client.get(key("lease/a"))[0] is None
    assert lease.remaining_ttl == -1
    short = client.lease(1)
    client.put(key("lease/b"), "dropped", lease=short)
    eventually(lambda: client.get(key("lease/b"))[0] is None)


def locks_exclude() -> None:
    first, second = client.lock(f"{PACKAGE}-lock", ttl=100), client.lock(f"{PACKAGE}-lock", ttl=100)
    assert first.acquire()
    assert not second.acquire(timeout=0)
    waiting = threading.Thread(target=eventually, args=[lambda: second.acquire(timeout=ATTEMPT_S)])
    waiting.start()
    assert first.refresh()[0].TTL == 100
    assert first.release()
    waiting.join()
    assert second.is_acquired()
    assert not first.is_acquired()
    assert second.release()


def the_member_describes_itself() -> None:
    status = client.status()
    (member,) = client.members
    assert status.version.startswith("3.")
    assert status.leader.id == member.id
    assert status.db_size > 0
    assert status.raft_term > 0
    assert list(member.client_urls) == [f"http://127.0.0.1:{PORT}"]
    assert isinstance(client.hash(), int)
    client.defragment()


def alarms_are_raised_and_cleared() -> None:
    (raised,) = client.create_alarm()
    assert [alarm.alarm_type for alarm in client.list_alarms(raised.member_id)] == [raised.alarm_type]
    assert client.disarm_alarm(raised.member_id)
    assert list(client.list_alarms()) == []


def a_snapshot_is_the_whole_store() -> None:
    file = io.BytesIO()
    client.snapshot(file)
    assert len(file.getvalue()) > 32


def events_of(responses: queue.Queue[Any], count: int) -> list[Any]:
    """That many events from a callback's responses."""
    events: list[Any] = []
    while len(events) < count:
        events += responses.get(timeout=PATIENCE_S).events
    return events


def resume(call: Callable[[], object]) -> None:
    """Makes a call as soon as the client has a connection.

    Raises:
        AssertionError: it never had; notes say why the last attempt failed.
    """
    why = ""

    def succeeds() -> bool:
        nonlocal why
        try:
            call()
        except Exception as problem:
            why = repr(problem)
            return False
        return True

    try:
        eventually(succeeds)
    except AssertionError as problem:
        problem.add_note(f"the last attempt failed with {why}")
        raise


if __name__ == "__main__":
    run(
        puts_gets_and_deletes,
        reads_ranges_sorted,
        transactions_take_their_branch,
        watch_callbacks_see_every_change,
        leases_keep_and_drop_their_keys,
        locks_exclude,
        the_member_describes_itself,
        alarms_are_raised_and_cleared,
        a_snapshot_is_the_whole_store,
        a_watch_from_a_compacted_revision_is_told_so,
    )
    if PACKAGE == "pyetcd":  # the ancestor opens streams in a loop without a pause while there is no server
        run(watches_go_on_after_a_restart)
    client.close()
