"""A snapshot on its way to another member, in chunks. Two state machines, without I/O and without a clock.

::

    sender                               receiver
    OFFER digest, index, term, size ->   has it, or a part of it, or nothing
                                    <-   WANT digest, offset
    CHUNK digest, offset, data      ->   (up to WINDOW_CHUNKS ahead of what is wanted)
                                    <-   WANT digest, offset          after every chunk
                                    <-   DONE digest, ok              when all of it is there and verified

The digest is the file's own checksum, so it names the very bytes: a transfer that breaks off goes on where it was, at
the next offer of the same file, whoever sends it; another file begins anew. A chunk that is lost shows as a WANT that
stays where it is; the sender then goes back to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from oarlock.coordinator.peer_codec import PeerKind

CHUNK_BYTES: Final = 256 * 1024
"""A fifth of a millisecond of reading, hashing and sending: what everything else may have to wait for."""
WINDOW_CHUNKS: Final = 8
"""Chunks on the way; 2 MiB fill a link of 1 Gbit/s at 16 ms. Below the snapshot lane's queue, so none is dropped."""
SEND_AGAIN_S: Final = 0.5
"""Without a WANT that moves on for so long, what is on the way is taken for lost."""
GIVE_UP_S: Final = 20.0
"""Without one for so long the member is taken for gone. A receiver that verifies a snapshot says WANT meanwhile."""
MAX_SNAPSHOT_BYTES: Final = 1 << 40
"""No offer is larger: a quota's default is 2 GiB."""

Outgoing = tuple[PeerKind, list[Any]]


class Offer(NamedTuple):
    """What is offered: the file's digest, its position in the log, its size, and the term of the leader that sends."""

    digest: bytes
    index: int  # type: ignore[assignment]  # shadows tuple.index, which nobody wants of this
    term: int
    size_bytes: int
    raft_term: int


@dataclass(slots=True)
class Sending:
    """The sender's side of one transfer.

    Invariants:
    1. ``0 <= wanted <= sent <= offer.size_bytes``.
    2. At most ``WINDOW_CHUNKS`` chunks lie between ``wanted`` and ``sent``.

    Args:
        offer: the snapshot.
        read: the bytes of the file at (offset, count).
        now_s: monotonic time.
    """

    offer: Offer
    read: Callable[[int, int], bytes]
    now_s: float
    wanted: int = 0
    sent: int = 0
    progress_s: float = 0.0
    again_s: float = 0.0
    answered: bool = False

    def __post_init__(self) -> None:
        self.progress_s = self.again_s = self.now_s

    def begin(self) -> list[Outgoing]:
        """The first frames."""
        return [(PeerKind.SNAPSHOT_OFFER, list(self.offer))]

    def on_want(self, digest: bytes, offset: int, now_s: float) -> list[Outgoing]:
        """The receiver has everything before ``offset``; returns the frames to send next."""
        if digest != self.offer.digest or offset > self.offer.size_bytes:
            return []
        if offset != self.wanted or not self.answered:
            self.progress_s = self.again_s = now_s
        elif offset == self.offer.size_bytes:
            self.progress_s = now_s  # it verifies what it has
        self.answered = True
        # Less than before: the receiver was started again, and lost what it had.
        self.sent = max(self.sent, offset) if offset >= self.wanted else offset
        self.wanted = offset
        return self._fill()

    def _fill(self) -> list[Outgoing]:
        frames: list[Outgoing] = []
        end = min(self.wanted + WINDOW_CHUNKS * CHUNK_BYTES, self.offer.size_bytes)
        while self.sent < end:
            data = self.read(self.sent, min(CHUNK_BYTES, end - self.sent))
            frames.append((PeerKind.SNAPSHOT_CHUNK, [self.offer.digest, self.sent, data]))
            self.sent += len(data)
        return frames

    def tick(self, now_s: float) -> list[Outgoing] | None:
        """What to send again now; None where the member is to be given up."""
        if now_s - self.progress_s >= GIVE_UP_S:
            return None
        if now_s - self.again_s < SEND_AGAIN_S:
            return []
        self.again_s = now_s
        if not self.answered or self.wanted == self.offer.size_bytes:
            return self.begin()
        self.sent = self.wanted
        return self._fill()


@dataclass(slots=True)
class Receiving:
    """The receiver's side of one transfer.

    Invariant: the file has exactly the bytes before ``offset``, which is at most ``offer.size_bytes``.

    Args:
        offer: what is coming.
        write: appends bytes to the part file.
    """

    offer: Offer
    write: Callable[[bytes], object]
    offset: int = 0

    @property
    def complete(self) -> bool:
        """Whether all bytes are there."""
        return self.offset == self.offer.size_bytes

    def want(self) -> Outgoing:
        """What the sender is to send."""
        return (PeerKind.SNAPSHOT_WANT, [self.offer.digest, self.offset])

    def on_chunk(self, digest: bytes, offset: int, data: bytes) -> Outgoing | None:
        """Takes a chunk if it is the next one; returns the answer, None for a chunk of another snapshot."""
        if digest != self.offer.digest:
            return None
        if offset == self.offset and data and offset + len(data) <= self.offer.size_bytes:
            self.write(data)
            self.offset += len(data)
        return self.want()
