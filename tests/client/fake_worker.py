"""A worker that can be made to misbehave: it loses, repeats and reorders what a test tells it to, and restarts."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import zmq

from oarlock.wire.errors import OarlockError, WatcherRangeEmptyError
from oarlock.wire.frames import pack, pack_error, unpack
from oarlock.wire.operations import Op
from tests.client.fake_store import CLUSTER_ID, MEMBER_ID, FakeStore

TERM = 3
Outcome = OarlockError | bool | None


class Group:
    def __init__(self, key: bytes, range_end: bytes, flags: int, revision: int) -> None:
        self.topic = os.urandom(16)
        self.key, self.range_end, self.flags, self.revision = key, range_end, flags, revision


class FakeWorker:
    """Serves ``store`` on two ports, in a thread; ``stop`` and ``start`` restart it on the same ports.

    ``on_request(request)`` returns None to go on, an error to refuse, True to apply and lose the reply, False to lose
    the request. ``on_publish(frame)`` returns the frames to publish in its place. Both run on the worker's thread.
    """

    def __init__(self, store: FakeStore | None = None) -> None:
        self.store = store or FakeStore()
        self.cluster_id = CLUSTER_ID
        self.on_request: Callable[[list[Any]], Outcome] = lambda request: None
        self.on_publish: Callable[[bytes], list[bytes]] = lambda frame: [frame]
        self.messages: list[list[Any]] = []
        self.subscriptions = 0
        self.watch_refusal: OarlockError | None = None
        self.port = self.watch_port = 0
        self._thread: threading.Thread | None = None
        self.start()

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> FakeWorker:
        ready = threading.Event()
        self._stopping = False
        self._context = zmq.Context()
        self._thread = threading.Thread(target=self._serve, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(10)
        return self

    def stop(self) -> None:
        if self._thread is not None:
            self._stopping = True
            self._thread.join(10)
            assert not self._thread.is_alive()
            self._thread = None

    def __enter__(self) -> FakeWorker:
        return self

    def __exit__(self, *problem: object) -> None:
        self.stop()

    def _serve(self, ready: threading.Event) -> None:
        with self._context as context, context.socket(zmq.ROUTER) as requests, context.socket(zmq.XPUB) as watches:
            self._requests, self._watches, self._groups = requests, watches, {}
            for socket in (requests, watches):
                socket.setsockopt(zmq.LINGER, 0)
            watches.setsockopt(zmq.XPUB_MANUAL, 1)
            watches.setsockopt(zmq.SNDHWM, 0)  # nothing is lost but what a test wants to lose
            self.port = self._bind(requests, self.port)
            self.watch_port = self._bind(watches, self.watch_port)
            ready.set()
            poller = zmq.Poller()
            poller.register(requests, zmq.POLLIN)
            poller.register(watches, zmq.POLLIN)
            while not self._stopping:
                for socket, _ in poller.poll(10):
                    self._subscribe(watches.recv()) if socket is watches else self._receive(*requests.recv_multipart())

    @staticmethod
    def _bind(socket: zmq.Socket[bytes], port: int) -> int:
        if not port:
            return socket.bind_to_random_port("tcp://127.0.0.1")
        socket.bind(f"tcp://127.0.0.1:{port}")
        return port

    def _receive(self, connection: bytes, frame: bytes) -> None:
        message = unpack(frame)
        self.messages.append(message)
        client_id, _, _, _, requests = message
        replies = [reply for request in requests if (reply := self._reply(client_id, request)) is not None]
        self._requests.send_multipart([connection, pack([TERM, self.store.position, replies])])
        self._publish_all()

    def _reply(self, client_id: int, request: list[Any]) -> list[Any] | None:
        sequence, op = request[:2]
        if op == Op.HELLO:
            return [sequence, self.store.revision, self._hello()]
        outcome = self.on_request(request)
        if outcome is False:
            return None
        if isinstance(outcome, OarlockError):
            return pack_error(sequence, outcome)
        try:
            revision, result = self.store.execute(client_id, request)
        except OarlockError as error:
            return pack_error(sequence, error)
        return None if outcome is True else [sequence, revision, result]

    def _hello(self) -> dict[str, Any]:
        return {
            "version": "0.1.0",
            "protocol": 1,
            "cluster_id": self.cluster_id,
            "member_id": MEMBER_ID,
            "incarnation": 1,
            "watch_endpoint": f"tcp://*:{self.watch_port}",
            "max_request_bytes": 1 << 20,
            "max_txn_ops": 128,
        }

    def _subscribe(self, frame: bytes) -> None:
        token, key, range_end, flags = unpack(frame[1:])
        if frame[:1] == b"\0":
            self._watches.setsockopt(zmq.UNSUBSCRIBE, token)
            return
        self.subscriptions += 1
        self._watches.setsockopt(zmq.SUBSCRIBE, token)
        error = self.watch_refusal
        if range_end not in (b"", b"\0") and range_end <= key:
            error = WatcherRangeEmptyError()
        if error is not None:
            self._publish(token + pack([int(error.code), error.message, 0]))
            return
        group = self._groups.setdefault((key, range_end, flags), Group(key, range_end, flags, self.store.revision))
        self._watches.setsockopt(zmq.SUBSCRIBE, group.topic)
        self._publish(token + pack([0, group.topic, group.revision]))

    def _publish_all(self) -> None:
        revision = self.store.revision
        for group in self._groups.values():
            events = self.store.history(group.key, group.flags, group.range_end, group.revision, revision)
            if revision > group.revision:  # no events: progress, here at every chance
                self._publish(group.topic + pack([group.revision, revision, events]))
                group.revision = revision

    def _publish(self, frame: bytes) -> None:
        for each in self.on_publish(frame):
            self._watches.send(each)
