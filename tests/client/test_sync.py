"""The synchronous client: many threads, no thread of its own but for watches, and ends that are clean."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import Queue
from typing import Any

import pytest

import oarlock
from oarlock.calls import get_prefix
from oarlock.connection import News
from oarlock.settings import Settings
from oarlock.sync_driver import Driver
from oarlock.wire.frames import pack, unpack
from oarlock.wire.operations import CUT, Op
from tests.client.fake_worker import FakeWorker

WAIT_S = 20


def background_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "oarlock-client"]


def test_keys_are_written_read_and_deleted(worker: FakeWorker) -> None:
    with oarlock.connect(worker.endpoint) as client:
        assert client.put("k", "v").header.revision == client.revision == 2
        assert client.get("k") == (b"k", b"v", 2, 2, 1, 0)
        assert client.get("absent") is None
        assert [kv.value for kv in client.get_prefix("k")] == [b"v"]
        assert client.transaction([oarlock.value("k") == "v"], [oarlock.ops.delete("k")]).succeeded
        assert client.get_all().count == 0
        assert background_threads() == []


def test_many_threads_share_a_client(worker: FakeWorker) -> None:
    with oarlock.connect(worker.endpoint) as client, ThreadPoolExecutor(16) as pool:

        def work(thread: int) -> list[bytes]:
            own = []
            for number in range(30):
                client.put(f"{thread}/{number}", str(number))
                kv = client.get(f"{thread}/{number}")
                assert kv is not None
                own.append(kv.value)
            return own

        assert list(pool.map(work, range(16))) == [[b"%d" % number for number in range(30)]] * 16
        assert worker.store.revision == 1 + 16 * 30


def test_threads_survive_restarts_and_writes_are_applied_once(worker: FakeWorker) -> None:
    with oarlock.connect(worker.endpoint, timeout_s=30) as client, ThreadPoolExecutor(8) as pool:
        done = [pool.submit(lambda t=t: [client.put(f"{t}", f"{n}") for n in range(50)]) for t in range(8)]
        for _ in range(3):
            worker.stop()
            worker.start()
        for future in done:
            future.result(WAIT_S)
        assert worker.store.revision == 1 + 8 * 50


def test_a_thread_with_a_short_deadline_is_not_held_up_by_the_leader(worker: FakeWorker) -> None:
    worker.on_request = lambda request: False
    with oarlock.connect(worker.endpoint, timeout_s=60) as client, ThreadPoolExecutor(1) as pool:
        leader = pool.submit(client.get, "a")
        with pytest.raises(oarlock.TimeoutError):
            client.get("b", timeout_s=0.05)
        assert not leader.done()
        client.close()
        with pytest.raises(oarlock.ClosedError):
            leader.result(WAIT_S)


def test_leadership_is_handed_over(worker: FakeWorker) -> None:
    """Replies come in another order than the requests went: each leader but the last is done before its followers."""
    release = threading.Event()
    with oarlock.connect(worker.endpoint) as client, ThreadPoolExecutor(4) as pool:
        answered: Queue[str] = Queue()
        worker.on_request = lambda request: (
            None if request[2] != b"slow" or release.is_set() else oarlock.OverloadedError(detail=20)
        )
        slow = pool.submit(client.get, "slow")
        for name in "abc":
            client.get(name)
            answered.put(name)
        assert not slow.done()
        release.set()
        assert slow.result(WAIT_S) is None


def test_nobody_there() -> None:
    with pytest.raises(oarlock.ConnectionFailedError, match=r"127\.0\.0\.1:1"):
        oarlock.connect("127.0.0.1:1", connect_timeout_s=0.1)


def test_a_closed_client_says_so(worker: FakeWorker) -> None:
    client = oarlock.connect(worker.endpoint)
    client.close()
    client.close()
    for use in (lambda: client.get("k"), lambda: client.watch("k")):
        with pytest.raises(oarlock.ClosedError):
            use()


def test_a_watch_is_an_iterator_of_events(worker: FakeWorker) -> None:
    with oarlock.connect(worker.endpoint) as client:
        client.put("k", "before")
        with client.watch("k") as watch:
            for number in range(100):
                client.put("k", str(number))
            events = [next(watch) for _ in range(100)]
        assert [event.value for event in events] == [b"%d" % number for number in range(100)]
        assert watch.revision == 102
        assert list(watch) == []
        with client.watch_prefix("", start_revision=2) as watch:
            response = watch.next_response()
            assert response is not None
            assert response.events[0].value == b"before"
    assert background_threads() == []


def test_a_watch_can_be_cancelled_from_another_thread(worker: FakeWorker) -> None:
    with oarlock.connect(worker.endpoint) as client, ThreadPoolExecutor(1) as pool:
        watch = client.watch("k")
        waiting = pool.submit(list, watch)
        watch.cancel()
        assert waiting.result(WAIT_S) == []


def test_close_ends_a_watch_that_waits(worker: FakeWorker) -> None:
    client = oarlock.connect(worker.endpoint)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(list, client.watch("k"))
        client.close()
        with pytest.raises(oarlock.ClosedError):
            waiting.result(WAIT_S)


def test_callbacks_run_on_the_background_thread_and_may_close_the_client(worker: FakeWorker) -> None:
    got: Queue[Any] = Queue()
    client = oarlock.connect(worker.endpoint)

    def callback(response: oarlock.WatchResponse) -> None:
        got.put((threading.current_thread().name, response.events[0].value))
        client.close()

    client.add_watch_callback("k", callback)
    with oarlock.connect(worker.endpoint) as other:
        other.put("k", "v")
    assert got.get(timeout=WAIT_S) == ("oarlock-client", b"v")
    client.close()


def test_a_compacted_watch_tells_its_callback(worker: FakeWorker) -> None:
    got: Queue[oarlock.WatchResponse] = Queue()
    with oarlock.connect(worker.endpoint) as client:
        for _ in range(5):
            client.put("k", "v")
        client.compact(5)
        client.add_watch_callback("k", got.put, start_revision=2)
        assert got.get(timeout=WAIT_S).compact_revision == 5


def test_a_lease_is_kept_alive_and_revoked(worker: FakeWorker) -> None:
    renewed = threading.Event()

    def on_request(request: list[Any]) -> None:
        if request[1] == Op.LEASE_KEEPALIVE:
            renewed.set()

    worker.on_request = on_request
    with oarlock.connect(worker.endpoint) as client:
        with client.lease(1, keep_alive=True) as lease:
            client.put("k", "v", lease=lease)
            assert lease.time_to_live(keys=True).keys == [b"k"]
            assert renewed.wait(WAIT_S)
            assert lease.refresh().ttl_s == 1
            assert not lease.lost
        assert worker.store.leases == {}


def test_a_lost_lease_is_noticed(worker: FakeWorker) -> None:
    with oarlock.connect(worker.endpoint) as client:
        lost: Queue[Any] = Queue()
        lease = client.lease(1, keep_alive=True)
        lease.on_lost(lost.put)
        worker.store.leases.clear()
        assert lost.get(timeout=WAIT_S) is lease
        assert lease.lost
        assert lease.wait_lost(WAIT_S)


def test_a_forked_child_is_refused_and_the_parent_unhurt(worker: FakeWorker) -> None:
    with oarlock.connect(worker.endpoint) as client:
        client.put("k", "v")
        pid = os.fork()
        if pid == 0:
            try:
                client.get("k")
                os._exit(1)
            except oarlock.ClosedError:
                client.close()
                os._exit(0)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert client.get("k") is not None


ENDS: dict[str, str] = {
    "without closing": "client.watch('k'); client.lease(10, keep_alive=True)",
    "while a thread waits": (
        "def wait(watch):\n"
        "    with contextlib.suppress(oarlock.ClosedError):\n"
        "        list(watch)\n"
        "threading.Thread(target=wait, args=(client.watch('k'),), daemon=True).start()"
    ),
    "by an error": "client.watch('k'); sys.exit(0)",
}


@pytest.mark.parametrize("ending", ENDS)
def test_a_program_ends_quietly(worker: FakeWorker, ending: str) -> None:
    program = (
        f"import contextlib, sys, threading, oarlock\nclient = oarlock.connect({worker.endpoint!r})\n{ENDS[ending]}"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


Use = Callable[[oarlock.Client], object]


@pytest.mark.parametrize(
    ("use", "error", "named"),
    [
        (lambda client: client.put(5, "v"), TypeError, "key must be str or bytes, not int"),
        (lambda client: client.put("k", None), TypeError, "value must be"),
        (lambda client: client.get("k\ud800"), oarlock.ArgumentError, "key must be encodable"),
        (lambda client: client.get("k", revision="1"), TypeError, "revision must be an int"),
        (lambda client: client.get_prefix("k", limit=-1), oarlock.ArgumentError, "limit must be from 0"),
        (lambda client: client.get_prefix("k", sort_order="up"), oarlock.ArgumentError, "sort_order must be one of"),
        (lambda client: client.put("k", "v", lease=1 << 63), oarlock.ArgumentError, "lease must be from"),
        (lambda client: client.put("k", "v", lease="7"), TypeError, "lease must be an int"),
        (lambda client: client.get("k", timeout_s=0), ValueError, "timeout_s must be above 0"),
        (lambda client: client.transaction([True]), TypeError, "compare must hold"),
        (lambda client: client.watch("k", start_revision=-1), oarlock.RequestError, "start_revision must be"),
        (lambda client: oarlock.connect("localhost"), oarlock.ArgumentError, 'must be "host:port"'),
        (lambda client: oarlock.connect("::1:2378"), oarlock.ArgumentError, "brackets"),
        (lambda client: oarlock.connect(2378), TypeError, "endpoint"),
    ],
)
def test_bad_arguments_are_named_with_the_rule(
    worker: FakeWorker, use: Use, error: type[Exception], named: str
) -> None:
    with oarlock.connect(worker.endpoint) as client, pytest.raises(error, match=named):
        use(client)


def test_the_import_is_light() -> None:
    program = (
        "import sys, oarlock; heavy = {'zmq', 'asyncio', 'msgpack', 'oarlock.wire'} & set(sys.modules); "
        "assert not heavy, heavy; missing = [name for name in oarlock.__all__ if not hasattr(oarlock, name)]; "
        "assert not missing, missing; from oarlock import *; assert oarlock.__version__.count('.') == 2"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_names_for_type_checkers_are_the_names_there_are() -> None:
    import ast
    from pathlib import Path

    tree = ast.parse(Path(oarlock.__file__).read_text())
    names = {
        alias.asname
        for node in ast.walk(tree)
        if isinstance(node, ast.If)
        for statement in node.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
        if alias.asname
    }
    assert names | {"__version__"} == set(oarlock.__all__)


def test_the_two_clients_have_the_same_methods() -> None:
    import inspect

    def shape(client: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(method).parameters)
            for name, method in inspect.getmembers(client, inspect.isfunction)
            if not name.startswith("_")
        }

    sync, aio = shape(oarlock.Client), shape(oarlock.aio.Client)
    only_aio = {"submit", "saw_revision", "wait_connected"}
    assert {name: parameters for name, parameters in aio.items() if name not in only_aio} == {
        name: parameters for name, parameters in sync.items() if name not in only_aio
    }


def test_a_page_that_comes_while_the_last_one_is_asked_for_is_followed_by_the_next() -> None:
    class Prompt:
        """A connection whose other end has answered before the sender looks."""

        monitor_fd, has_news = None, False

        @property
        def fd(self) -> int:
            raise AssertionError("nothing is to be waited for")

        def __init__(self) -> None:
            self.asked: list[Any] = []
            self.replies: list[bytes] = []

        def send(self, message: bytes) -> bool:
            ((number, _, *arguments),) = unpack(message)[4]
            self.asked.append(arguments[0])
            more = CUT if len(self.asked) < 5 else False
            self.replies.append(pack([1, 0, [[number, 7, [[[b"%d" % len(self.asked), b"", 7, 7, 1, 0]], more, 5]]]]))
            return True

        def receive(self, limit: int) -> list[bytes]:
            replies, self.replies = self.replies, []
            return replies

        def news(self) -> list[News]:
            return []

        def close(self) -> None:
            pass

    driver = Driver(Settings(("127.0.0.1:1",), 30.0, 5.0, "test"))
    driver._connection = prompt = Prompt()
    driver._session.opened(0.0)
    driver._session.connected(0.0)
    driver._session.link.greeted()
    driver._session._hello_due = False
    call = get_prefix("k")
    found = driver.execute(call.op, call.arguments, call.decode, 30.0)
    assert [kv.key for kv in found.kvs] == [b"1", b"2", b"3", b"4", b"5"]
    assert len(prompt.asked) == 5
    driver.close()
