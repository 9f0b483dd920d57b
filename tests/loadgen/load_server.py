"""The smallest server that a load can be put on: puts, reads, greetings and watches, in a thread, without any disk."""

from __future__ import annotations

import threading
from typing import Any

import zmq

from oarlock.wire.errors import NoSpaceError
from oarlock.wire.frames import TOKEN_BYTES, pack, pack_error, unpack
from oarlock.wire.operations import Op


class LoadServer:
    """Serves from ``start`` until ``stop``. Puts to keys that begin with "full" fail; ``skip`` events are lost."""

    def __init__(self) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._requests = self._context.socket(zmq.ROUTER)
        self._watches = self._context.socket(zmq.XPUB)
        self._watches.setsockopt(zmq.XPUB_MANUAL, 1)
        self._control = self._context.socket(zmq.PAIR)
        self._end = self._context.socket(zmq.PAIR)
        self._control.bind("inproc://control")
        self._end.connect("inproc://control")
        port = self._requests.bind_to_random_port("tcp://127.0.0.1")
        self.endpoint = f"127.0.0.1:{port}"
        self.watch_url = f"tcp://127.0.0.1:{self._watches.bind_to_random_port('tcp://127.0.0.1')}"
        self._store: dict[bytes, list[Any]] = {}
        self._groups: dict[bytes, tuple[bytes, int]] = {}
        self._revision = 1
        self.requests = 0
        self.watches = 0
        self.skip_revisions: set[int] = set()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> LoadServer:
        self._thread.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self._end.send(b"")
        self._thread.join()
        self._context.destroy(linger=0)

    def _serve(self) -> None:
        poller = zmq.Poller()
        for socket in (self._requests, self._watches, self._control):
            poller.register(socket, zmq.POLLIN)
        while True:
            ready = dict(poller.poll())
            if self._control in ready:
                return
            if self._watches in ready:
                self._subscribe(self._watches.recv())
            if self._requests in ready:
                peer, frame = self._requests.recv_multipart()
                replies = [self._answer(*request) for request in unpack(frame)[4]]
                self._requests.send_multipart([peer, pack([1, self._revision, replies])])

    def _answer(self, sequence: int, op: int, *arguments: Any) -> list[Any]:
        if op == Op.HELLO:
            hello = {"version": "test", "protocol": 1, "cluster_id": 1, "member_id": 1, "incarnation": 1}
            return [sequence, self._revision, hello | {"watch_endpoint": self.watch_url}]
        self.requests += 1
        if op == Op.PUT:
            return self._put(sequence, *arguments)
        if op == Op.WATCH_HISTORY:
            return [sequence, self._revision, [[], self._revision + 1]]
        key, range_end = arguments[0], arguments[2] if len(arguments) > 2 else b""
        if range_end:
            found = [kv for name, kv in sorted(self._store.items()) if key <= name < range_end]
        else:
            found = [self._store[key]] if key in self._store else []
        return [sequence, self._revision, [found, False, len(found)]]

    def _put(self, sequence: int, key: bytes, value: bytes) -> list[Any]:
        if key.startswith(b"full"):
            return pack_error(sequence, NoSpaceError())
        self._revision += 1
        _, _, created, _, version, _ = self._store.get(key, [key, b"", self._revision, 0, 0, 0])
        self._store[key] = [key, value, created, self._revision, version + 1, 0]
        if key in self._groups and self._revision not in self.skip_revisions:
            topic, previous = self._groups[key]
            self._groups[key] = topic, self._revision
            self._watches.send(topic + pack([previous, self._revision, [[0, self._store[key], None]]]))
        return [sequence, self._revision, None]

    def _subscribe(self, frame: bytes) -> None:
        if frame[:1] != b"\x01":
            return
        token, key, _, _ = unpack(frame[1:])
        self.watches += 1
        topic, _ = self._groups.setdefault(key, (b"group%011d" % len(self._groups), self._revision))
        assert len(topic) == TOKEN_BYTES
        self._watches.setsockopt(zmq.SUBSCRIBE, token)
        self._watches.setsockopt(zmq.SUBSCRIBE, topic)
        self._watches.send(token + pack([0, topic, self._revision]))
