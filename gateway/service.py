"""What the services of the front door are made of: calls on one side, a worker's requests on the other.

Nothing here knows sockets, HTTP or the replica. A service is a set of `Method`s whose handlers take an `Exchange`, and
a message as serialized protobuf where the method takes one; they ask a `Backend`, which answers in a later turn or at
once. A handler never blocks, and everything runs in the one thread of a worker's loop.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from mypy_extensions import mypyc_attr

from oarlock.gateway.grpc.status import OK, Status
from oarlock.wire.errors import Code
from oarlock.wire.operations import Event

Done = Callable[[Any], None]
"""Takes a reply item: ``[sequence, revision, result]``, or ``[sequence, -code, message, detail]`` (`is_error`)."""


class SharedMessages:
    """Messages that go to many calls, so that whoever carries them frames them once.

    Attributes:
        messages: serialized, in order.
        size_bytes: of all.
        framed: belongs to whoever carries them.
    """

    __slots__ = ("framed", "messages", "size_bytes")

    def __init__(self, messages: Sequence[bytes]) -> None:
        self.messages = messages
        self.size_bytes = sum(map(len, messages))
        self.framed: bytes | None = None


@mypyc_attr(allow_interpreted_subclasses=True)  # of the JSON API, whose modules are not compiled
class Exchange(ABC):
    """One call as a service sees it, whoever carries it: a gRPC stream, or a request of the JSON API.

    A service sets the callbacks that it wants when its handler is called:

    - ``on_message(message)``: the next message of a method that takes a stream.
    - ``on_requests_ended()``: the client sends no more; it still waits for answers.
    - ``on_drained()``: what was sent and had to wait has left (``queued_bytes`` is 0 again).
    - ``on_ended(status)``: the call is over before the service ended it: cancelled, past its deadline, or cut off.
      Sending does nothing from then on. Not called after ``reply`` or ``finish``.
    """

    __slots__ = ("on_drained", "on_ended", "on_message", "on_requests_ended")

    def __init__(self) -> None:
        self.on_message: Callable[[bytes], None] | None = None
        self.on_requests_ended: Callable[[], None] | None = None
        self.on_drained: Callable[[], None] | None = None
        self.on_ended: Callable[[Status], None] | None = None

    @abstractmethod
    def metadata(self, name: str) -> str | bytes | None:
        """The first metadata value under ``name`` (lower case), None without one."""

    @property
    @abstractmethod
    def is_over(self) -> bool:
        """Whether nothing can be sent any more."""

    @property
    @abstractmethod
    def queued_bytes(self) -> int:
        """Bytes that were sent and wait for the client to read."""

    @abstractmethod
    def reply(self, message: bytes) -> None:
        """Ends the call with one message and status OK; nothing if the call is over."""

    def reply_in_parts(self, parts: Sequence[bytes]) -> None:
        """As ``reply``, with one long message in parts, none of them empty: who can does not join them."""
        self.reply(b"".join(parts))

    @abstractmethod
    def send(self, message: bytes) -> None:
        """Sends one message of several; nothing if the call is over."""

    @property
    def is_crowded(self) -> bool:
        """Whether so much waits for the client on its whole connection that nothing long should be added."""
        return False

    def offer(self, batch: SharedMessages, most_bytes: int) -> bool:
        """Sends the messages of ``batch``, which other calls get too, if the client keeps up.

        Args:
            most_bytes: that may wait for the client together with these; one batch may wait however long it is.

        Returns:
            False if more waits already, and nothing was sent. True for a call that is over.
        """
        queued_bytes = self.queued_bytes
        if self.is_crowded or (queued_bytes and queued_bytes + batch.size_bytes > most_bytes):
            return False
        for message in batch.messages:
            self.send(message)
        return True

    @abstractmethod
    def finish(self, status: Status = OK) -> None:
        """Ends the call, behind what was sent; nothing if the call is over."""

    def fail(self, item: Any) -> None:
        """Ends the call with the error that a reply item carries."""
        self.finish(status_of(item))


class EncodedRows(NamedTuple):
    """A part of the rows of a PAGED list, in place of its kvs.

    Attributes:
        body: the fields ``kvs`` of a RangeResponse, serialized.
        length: how many rows.
        last_key: of the last row; empty without one.
    """

    body: bytes
    length: int
    last_key: bytes


class LiveBatch:
    """What changed for one group of watchers in one drain of the commit stream, or in several, shared by all its
    subscribers.

    Attributes:
        previous_revision: of the group's batch before this one: whoever is behind it has missed something.
        revision: of the store after the batch.
        events: (type, kv, previous kv or None) in order, whole revisions, filtered; none for a mere skip.
        encoded: for whoever encodes the events: made once, used by all subscribers.
        is_gathered: whether its revisions have waited for each other, and are to be told together.
    """

    __slots__ = ("encoded", "events", "is_gathered", "previous_revision", "revision")

    def __init__(self, previous_revision: int, revision: int, events: Sequence[Event]) -> None:
        self.previous_revision = previous_revision
        self.revision = revision
        self.events = events
        self.encoded: Any = None
        self.is_gathered = False


class Subscription(Protocol):
    """A place in a group of watchers."""

    @property
    def revision(self) -> int:
        """Of the store when it was made: everything later is delivered, nothing earlier."""

    def close(self) -> None:
        """Ends it: nothing is delivered any more."""


class Timer(Protocol):
    """Something that will happen."""

    def cancel(self) -> None:
        """It will not."""


class Backend(Protocol):
    """What a worker offers to services."""

    @property
    def cluster_id(self) -> int: ...
    @property
    def member_id(self) -> int: ...
    @property
    def raft_term(self) -> int: ...
    @property
    def revision(self) -> int:
        """Of the replica now."""

    @property
    def compact_revision(self) -> int:
        """The oldest revision that can be read, -1 before the first compaction."""

    @property
    def has_leader(self) -> bool:
        """Whether this member knows a leader."""

    @property
    def is_learner(self) -> bool:
        """Whether this member does not vote, and so refuses most calls."""

    def header_field(self, revision: int) -> bytes:
        """Field 1 of a response, serialized: a whole ResponseHeader. Messages are merged by appending."""

    def submit(self, request: list[Any], done: Done) -> None:
        """Takes a request ``[operation, *arguments]`` (``oarlock.wire.operations``), checks it and sees to its answer.

        ``done`` is called exactly once, perhaps before this returns, with a reply item.
        """

    def subscribe(self, key: bytes, range_end: bytes, flags: int, deliver: Callable[[LiveBatch], None]) -> Subscription:
        """Joins the group of watchers of ``[key, range_end)`` with these ``WatchFlag``s.

        ``deliver`` is called after the replica has committed, so that what it tells of can be read; perhaps a moment
        later, see ``tell_watchers``.

        Raises:
            WatcherRangeEmptyError, LearnerRefusesError, OverloadedError.
        """

    def tell_watchers(self) -> None:
        """Delivers all that has happened up to ``revision``: it can be said then that nothing is missing."""

    def make_snapshot(self, done: Callable[[str | None, str], None]) -> None:
        """Makes a file of the whole replica. ``done`` takes its path, and has to remove it; or None, and what went
        wrong."""

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Calls ``callback`` in ``delay_s`` seconds."""


def ask(backend: Backend, exchange: Exchange, request: list[Any], respond: Callable[[Any], bytes]) -> None:
    """Submits the one request that a call amounts to, and ends the call with its answer.

    Args:
        backend: takes the request.
        exchange: the call.
        request: ``[operation, *arguments]``.
        respond: makes the message of a reply item that carries no error.
    """

    def done(item: Any) -> None:
        if item[1] < 0:
            exchange.fail(item)
            return
        try:
            exchange.reply(respond(item))
        except Exception:
            # A mistake of ours: the client must not wait for its deadline.
            exchange.finish(Status(Code.INTERNAL, "oarlock: internal error"))
            raise

    backend.submit(request, done)


def is_error(item: Any) -> bool:
    """Whether a reply item carries an error."""
    return bool(item[1] < 0)


def status_of(item: Any) -> Status:
    """The gRPC status of a reply item that carries an error."""
    return Status(Code(-item[1]), item[2])
