"""Watch streams at both servers, and what must be equal of what they deliver.

Two servers may put the same events into different messages: how many revisions one message holds is left to them.
So what is compared is, for each watch: what was said about it, and its events, in their order; and that no message
breaks the promises about messages.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

import grpc

from oarlock.gateway.proto import rpc_pb2
from tests.differential import alike
from tests.differential.calls import Stream, request
from tests.differential.pair import FROM_FIRST_KEY, Pair
from tests.differential.servers import Side

ARRIVES_S: Final = 40.0
"""How long what is due may take on a busy machine."""
RECORDER: Final = 1000
"""The id of the watch of all keys."""
MARK: Final = b"mark"
"""A key whose writes tell that all before has arrived."""

Heard = dict[int, list[Any]]
"""What was said on each watch, by its id, in order."""


class WatchStream:
    """One watch stream at one server, read by a thread."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self._stream: Stream = side.caller.open("Watch/Watch")
        self._changed = threading.Condition(threading.RLock())
        self._heard: Heard = defaultdict(list)
        self._revisions: dict[int, int] = {}
        self.problems: list[str] = []
        self.last_created: dict[str, Any] = {}
        self.ended: tuple[int, str] | None = None
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def send(self, request: rpc_pb2.WatchRequest) -> None:
        """Sends a request."""
        self._stream.send(request)

    def heard(self) -> Heard:
        """What was said so far."""
        with self._changed:
            return {watch_id: list(said) for watch_id, said in self._heard.items()}

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Waits until what was said so far fulfils a condition.

        Raises:
            AssertionError: it did not in time.
        """
        with self._changed:
            came = self._changed.wait_for(condition, ARRIVES_S)
            assert came, f"{self._side.name}: no {what}: {dict(self._heard)} {self.ended}"

    def count(self, kind: str, watch_id: int) -> int:
        """How often something was said on a watch."""
        with self._changed:
            return sum(said[0] == kind for said in self._heard.get(watch_id, ()))

    def total(self, kind: str) -> int:
        """How often it was said on any."""
        with self._changed:
            return sum(self.count(kind, watch_id) for watch_id in self._heard)

    def events(self, watch_id: int) -> list[dict[str, Any]]:
        """The events on a watch."""
        with self._changed:
            return [said[1] for said in self._heard.get(watch_id, ()) if said[0] == "event"]

    def marks(self) -> int:
        """How many marks the recorder has seen: all that was written before them has arrived there."""
        return sum(event["kv"]["key"] == MARK and "type" not in event for event in self.events(RECORDER))

    def end_requests(self) -> None:
        """Sends no more requests."""
        self._stream.end_requests()

    def close(self) -> None:
        """Ends the stream."""
        self._stream.cancel()
        self._reader.join(ARRIVES_S)

    def _read(self) -> None:
        try:
            while True:
                answer = self._stream.receive()
                assert isinstance(answer, rpc_pb2.WatchResponse)
                with self._changed:
                    self._note(answer)
                    self._changed.notify_all()
        except (grpc.RpcError, StopIteration) as error:
            with self._changed:
                self.ended = (error.code().value[0], error.details()) if isinstance(error, grpc.RpcError) else (0, "")
                self._changed.notify_all()

    def _note(self, answer: rpc_pb2.WatchResponse) -> None:
        said = self._heard[answer.watch_id]
        for event in answer.events:
            said.append(("event", alike.message(event, self._side.ids)))
        if answer.events:
            self._judge(answer)
        else:
            kind = "created" if answer.created else "canceled" if answer.canceled else "progress"
            said.append((kind, alike.message(answer, self._side.ids)))
            self.last_created = said[-1][1] if kind == "created" else self.last_created

    def _judge(self, answer: rpc_pb2.WatchResponse) -> None:
        """Whether a message with events is one that a server may send."""
        first, last = answer.events[0].kv.mod_revision, answer.events[-1].kv.mod_revision
        before = self._revisions.get(answer.watch_id, 0)
        if not before < first <= last <= answer.header.revision:
            self.problems.append(f"a revision twice, or out of order, after {before}: {answer}")
        if answer.created or answer.canceled or answer.compact_revision or answer.fragment:
            self.problems.append(f"events in a message that says something else: {answer}")
        if answer.header.cluster_id == 0 or answer.header.member_id == 0 or answer.header.raft_term == 0:
            self.problems.append(f"a header that lacks something: {answer}")
        self._revisions[answer.watch_id] = last


class WatchPair:
    """A watch stream at each server: what is asked of one is asked of the other.

    The first watch of each, the recorder, is of all keys. What it has heard says how much the others have to hear.
    """

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._active: dict[int, rpc_pb2.WatchCreateRequest] = {}
        self._marks = 0
        self.streams = [WatchStream(side) for side in pair.sides]
        self.create(**FROM_FIRST_KEY, watch_id=RECORDER)

    def create(self, **fields: Any) -> int:
        """Creates a watch, and waits until both have said so, or refused; returns its id, -1 if it was refused."""
        create = rpc_pb2.WatchCreateRequest(**fields)
        created = [stream.total("created") for stream in self.streams]
        self.send(rpc_pb2.WatchRequest(create_request=create))
        for stream, before in zip(self.streams, created, strict=True):
            stream.wait_for(
                lambda stream=stream, before=before: stream.total("created") > before, f"answer to {create}"
            )
        answers = [stream.last_created for stream in self.streams]
        assert answers[0] == answers[1], f"{create}\netcd:    {answers[0]}\noarlock: {answers[1]}"
        watch_id = int(answers[0].get("watch_id", 0))
        if watch_id >= 0:
            create.start_revision = create.start_revision or answers[0]["header"]["revision"] + 1
            self._active[watch_id] = create
        return watch_id

    def cancel(self, watch_id: int) -> None:
        """Cancels a watch, once it has heard all; waits until both have said so, if there is such a watch."""
        self.catch_up()
        self.send(rpc_pb2.WatchRequest(cancel_request=rpc_pb2.WatchCancelRequest(watch_id=watch_id)))
        if self._active.pop(watch_id, None):
            self._wait_for("canceled", watch_id, 1)

    def wait_canceled(self, watch_id: int) -> None:
        """Waits until both servers have ended a watch."""
        self._wait_for("canceled", watch_id, 1)
        del self._active[watch_id]

    def send(self, request: rpc_pb2.WatchRequest) -> None:
        """Sends a request to both."""
        for stream in self.streams:
            stream.send(request)

    def catch_up(self) -> None:
        """Waits until every watch has heard what it should, and holds that both servers have said the same.

        Raises:
            AssertionError: they have not in time, or broke a promise about messages.
        """
        self._marks += 1
        self._pair.same("KV/Put", request("KV/Put", key=MARK))
        for stream in self.streams:
            stream.wait_for(lambda its=stream: its.marks() == self._marks, "all events")
        recorded = self.streams[0].events(RECORDER)
        for watch_id, create in self._active.items():
            self._wait_for("event", watch_id, sum(_concerns(create, event) for event in recorded))
        heard = [stream.heard() for stream in self.streams]
        assert heard[0] == heard[1], f"etcd:    {heard[0]}\noarlock: {heard[1]}"
        for stream in self.streams:
            assert not stream.problems, stream.problems

    def close(self) -> None:
        """Ends both streams."""
        for stream in self.streams:
            stream.close()

    def _wait_for(self, kind: str, watch_id: int, count: int) -> None:
        for stream in self.streams:
            stream.wait_for(
                lambda its=stream: its.count(kind, watch_id) >= count, f"{count} times {kind} on watch {watch_id}"
            )


def _concerns(create: rpc_pb2.WatchCreateRequest, event: dict[str, Any]) -> bool:
    """Whether a watch has to hear of an event."""
    key, is_deletion = event["kv"]["key"], event.get("type", 0) == 1
    first = create.key or b"\0"
    if not (key >= first if create.range_end == b"\0" else first <= key < (create.range_end or first + b"\0")):
        return False
    unwanted = rpc_pb2.WatchCreateRequest.NODELETE if is_deletion else rpc_pb2.WatchCreateRequest.NOPUT
    return event["kv"]["mod_revision"] >= create.start_revision and unwanted not in create.filters
