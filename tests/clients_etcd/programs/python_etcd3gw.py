"""etcd3gw: etcd's JSON API over HTTP/1.1. Argument: the server's port."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import etcd3gw
from scenarios import PATIENCE_S, eventually, restart_server, run

PORT = int(sys.argv[1])
client = etcd3gw.client(host="127.0.0.1", port=PORT, timeout=PATIENCE_S)


def puts_gets_and_deletes() -> None:
    assert client.get("gw/kv/none") == []
    assert client.put("gw/kv/a", "1")
    assert client.put("gw/kv/b", b"\x00\xff")
    assert client.get("gw/kv/a") == [b"1"]
    (binary, metadata) = client.get("gw/kv/b", metadata=True)[0]
    assert (binary, metadata["key"], metadata["version"]) == (b"\x00\xff", b"gw/kv/b", "1")
    found = client.get_prefix("gw/kv/", sort_order="descend", sort_target="key")
    assert [value for value, _ in found] == [b"\x00\xff", b"1"]
    assert client.delete("gw/kv/a")
    assert not client.delete("gw/kv/a")
    assert client.delete_prefix("gw/kv/")


def transactions_take_their_branch() -> None:
    assert client.create("gw/txn/a", "first")
    assert not client.create("gw/txn/a", "second")
    assert client.replace("gw/txn/a", "first", "third")
    assert not client.replace("gw/txn/a", "first", "fourth")


def watches_see_every_change() -> None:
    client.put("gw/watch/a", "0")
    events, cancel = client.watch_prefix("gw/watch/", prev_kv=True)
    client.put("gw/watch/a", "1")
    client.delete("gw/watch/a")
    put, delete = next(events), next(events)
    cancel()
    assert (put["kv"]["key"], put["kv"]["value"]) == (b"gw/watch/a", b"1")
    assert delete["type"] == "DELETE"
    revision = int(put["kv"]["mod_revision"])
    replayed, cancel = client.watch("gw/watch/a", start_revision=revision, filters=["NOPUT"])
    assert next(replayed)["type"] == "DELETE"
    cancel()


def leases_keep_and_drop_their_keys() -> None:
    lease = client.lease(ttl=100)
    client.put("gw/lease/a", "kept", lease=lease)
    assert (lease.keys(), lease.refresh()) == ([b"gw/lease/a"], 100)
    assert 0 < lease.ttl() <= 100
    assert lease.revoke()
    assert client.get("gw/lease/a") == []
    assert lease.refresh() == -1
    client.put("gw/lease/b", "dropped", lease=client.lease(ttl=1))
    eventually(lambda: client.get("gw/lease/b") == [])


def locks_exclude() -> None:
    first, second = client.lock("gw", ttl=60), client.lock("gw", ttl=60)
    assert first.acquire()
    assert not second.acquire()
    assert first.is_acquired()
    assert first.refresh() == 60
    assert first.release()
    with second:
        assert second.is_acquired()


def the_member_describes_itself() -> None:
    assert client.status()["version"].startswith("3.")
    (member,) = client.members()
    assert member["clientURLs"] == [f"http://127.0.0.1:{PORT}"]


def many_threads_share_a_session() -> None:
    def note(number: int) -> bool:
        client.put(f"gw/threads/{number}", str(number))
        return client.get(f"gw/threads/{number}") == [str(number).encode()]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(note, range(40)))
    assert len(client.get_prefix("gw/threads/")) == 40


def requests_go_on_after_a_restart() -> None:
    client.put("gw/restart", "before")
    restart_server()
    eventually(is_answered)
    assert client.get("gw/restart") == [b"before"]
    events, cancel = client.watch("gw/restart")
    threading.Thread(target=client.put, args=("gw/restart", "after")).start()
    assert next(events)["kv"]["value"] == b"after"
    cancel()


def is_answered() -> bool:
    """Whether a request gets through: the session's connections must be made anew."""
    try:
        return bool(client.status())
    except etcd3gw.exceptions.ConnectionFailedError:
        return False


if __name__ == "__main__":
    run(
        puts_gets_and_deletes,
        transactions_take_their_branch,
        watches_see_every_change,
        leases_keep_and_drop_their_keys,
        locks_exclude,
        the_member_describes_itself,
        many_threads_share_a_session,
        requests_go_on_after_a_restart,
    )
