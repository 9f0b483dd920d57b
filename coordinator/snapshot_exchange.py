"""Sends snapshot files to members that need them, and receives them: the I/O around ``snapshot_transfer``.

One thread verifies a snapshot that has arrived (all of it is read and hashed), so that the loop goes on meanwhile.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Final

from oarlock.coordinator.peer_codec import PeerKind
from oarlock.coordinator.peers import Lane, Peers
from oarlock.coordinator.snapshot_transfer import MAX_SNAPSHOT_BYTES, Offer, Outgoing, Receiving, Sending
from oarlock.storage import snapshots
from oarlock.storage.snapshots import SnapshotMetadata
from oarlock.wire import metrics
from oarlock.wire.errors import DamageError, OarlockError, ProtocolError
from oarlock.wire.logs import get_logger

log = get_logger(__name__)

DIGEST_BYTES: Final = 32
"""A snapshot file ends with its digest."""

_sent = metrics.counter("oarlock_snapshots_sent_total", "Snapshots sent to other members.")
_received = metrics.counter("oarlock_snapshots_received_total", "Snapshots received from other members.")


class SnapshotExchange:
    """Transfers under way: at most one to each member, and one from anybody.

    Args:
        directory: of the snapshot files.
        peers: the links.
        cluster_id: whose snapshots are taken.
        sent: told (member, ok) when a transfer has ended.
        arrived: told (sender, its Raft term, metadata) of a verified snapshot that has its name.
    """

    def __init__(
        self,
        directory: Path,
        peers: Peers,
        cluster_id: int,
        sent: Callable[[int, bool], None],
        arrived: Callable[[int, int, SnapshotMetadata], None],
    ) -> None:
        self._directory = directory
        self._peers = peers
        self._cluster_id = cluster_id
        self._sent = sent
        self._arrived = arrived
        self._sending: dict[int, tuple[Sending, BinaryIO]] = {}
        self._receiving: Receiving | None = None
        self._file: BinaryIO | None = None
        self._sender = 0
        self._taken: tuple[bytes, SnapshotMetadata] | None = None
        self._thread: threading.Thread | None = None
        self._verified: list[SnapshotMetadata | OarlockError | OSError] = []

    @property
    def handlers(self) -> dict[int, Callable[[int, list[Any], float], None]]:
        """By kind of frame."""
        return {
            PeerKind.SNAPSHOT_OFFER: self._on_offer,
            PeerKind.SNAPSHOT_WANT: self._on_want,
            PeerKind.SNAPSHOT_CHUNK: self._on_chunk,
            PeerKind.SNAPSHOT_DONE: self._on_done,
        }

    # Sending

    def send_to(self, member: int, raft_term: int, now_s: float) -> None:
        """Begins to send the newest snapshot to a member. ``sent`` is told how it ended."""
        self._end_sending(member)
        found = snapshots.list_snapshots(self._directory)
        try:
            if not found:
                raise FileNotFoundError("there is no snapshot")
            file = open(found[0].path, "rb")  # noqa: SIM115  # lives as long as the transfer
        except OSError as problem:
            log.error("snapshot cannot be sent", member=f"{member:x}", problem=str(problem))
            self._sent(member, False)
            return
        size_bytes = os.fstat(file.fileno()).st_size
        digest = os.pread(file.fileno(), DIGEST_BYTES, size_bytes - DIGEST_BYTES)
        offer = Offer(digest, found[0].last_index, found[0].term, size_bytes, raft_term)
        descriptor = file.fileno()
        sending = Sending(offer, lambda offset, count: os.pread(descriptor, count, offset), now_s)
        self._sending[member] = (sending, file)
        log.info("sending a snapshot", member=f"{member:x}", index=offer.index, size_bytes=size_bytes)
        self._send(member, sending.begin())

    def stop_sending(self) -> None:
        """This member leads no longer: what others need is not its business."""
        for member in list(self._sending):
            self._end_sending(member)

    def tick(self, now_s: float) -> None:
        """Sends again what was lost, gives up who is gone, and notices what was verified."""
        for member, (sending, _) in list(self._sending.items()):
            frames = sending.tick(now_s)
            if frames is None:
                log.warning("snapshot was not taken", member=f"{member:x}")
                self._end_sending(member)
                self._sent(member, False)
            else:
                self._send(member, frames)
        if self._verified:
            self._after_verification(self._verified.pop())

    def _send(self, member: int, frames: list[Outgoing]) -> None:
        for kind, payload in frames:
            self._peers.send(member, kind, payload, Lane.SNAPSHOT)

    def _on_want(self, sender: int, payload: list[Any], now_s: float) -> None:
        if sender in self._sending:
            self._send(sender, self._sending[sender][0].on_want(payload[0], payload[1], now_s))

    def _on_done(self, sender: int, payload: list[Any], now_s: float) -> None:
        digest, ok = payload
        if sender in self._sending and self._sending[sender][0].offer.digest == digest:
            log.info("snapshot was taken" if ok else "snapshot was refused", member=f"{sender:x}")
            self._end_sending(sender)
            _sent.inc()
            self._sent(sender, ok)

    def _end_sending(self, member: int) -> None:
        ended = self._sending.pop(member, None)
        if ended is not None:
            ended[1].close()

    # Receiving

    def _on_offer(self, sender: int, payload: list[Any], now_s: float) -> None:
        offer = Offer(*payload)
        if len(offer.digest) != DIGEST_BYTES or not DIGEST_BYTES < offer.size_bytes <= MAX_SNAPSHOT_BYTES:
            raise ProtocolError(f"{ProtocolError.text}: snapshot offer of {offer.size_bytes} bytes")
        self._sender = sender
        if self._taken is not None and self._taken[0] == offer.digest:
            # The answer was lost, or a new leader offers the same file.
            self._send(sender, [(PeerKind.SNAPSHOT_DONE, [offer.digest, True])])
            self._arrived(sender, offer.raft_term, self._taken[1])
            return
        if self._receiving is None or self._receiving.offer.digest != offer.digest:
            if self._thread is not None:
                return  # the one before is being verified: the offer comes again
            self._begin_receiving(offer)
        else:
            self._receiving.offer = offer  # perhaps of another leader
        assert self._receiving is not None
        self._send(sender, [self._receiving.want()])

    def _begin_receiving(self, offer: Offer) -> None:
        self._end_receiving()
        self._directory.mkdir(parents=True, exist_ok=True)
        log.info("receiving a snapshot", index=offer.index, size_bytes=offer.size_bytes)
        self._file = file = open(snapshots.part_path(self._path(offer)), "wb")  # noqa: SIM115  # as the transfer
        self._receiving = Receiving(offer, file.write)

    def _path(self, offer: Offer) -> Path:
        return self._directory / snapshots.snapshot_name(offer.index, offer.term)

    def _on_chunk(self, sender: int, payload: list[Any], now_s: float) -> None:
        if self._receiving is None or self._file is None:
            return
        try:
            answer = self._receiving.on_chunk(*payload)
            if self._receiving.complete:
                self._file.flush()
        except OSError as problem:
            log.error("snapshot cannot be written", problem=str(problem))
            self._send(sender, [(PeerKind.SNAPSHOT_DONE, [self._receiving.offer.digest, False])])
            self._end_receiving()
            return
        if answer is not None:
            self._sender = sender
            self._send(sender, [answer])
        if self._receiving.complete and self._thread is None:
            self._thread = threading.Thread(
                target=self._verify, args=(self._path(self._receiving.offer),), name="snapshot-verify", daemon=True
            )
            self._thread.start()

    def _verify(self, path: Path) -> None:
        try:
            metadata = snapshots.adopt_snapshot(path)
            if metadata.cluster_id != self._cluster_id:
                path.unlink(missing_ok=True)
                raise DamageError(path, 0, f"a snapshot of cluster {metadata.cluster_id:x}")
            self._verified.append(metadata)
        except (OarlockError, OSError) as problem:
            self._verified.append(problem)

    def _after_verification(self, result: SnapshotMetadata | OarlockError | OSError) -> None:
        receiving, self._thread = self._receiving, None
        assert receiving is not None
        self._end_receiving()
        ok = isinstance(result, SnapshotMetadata)
        self._send(self._sender, [(PeerKind.SNAPSHOT_DONE, [receiving.offer.digest, ok])])
        if isinstance(result, SnapshotMetadata):
            _received.inc()
            self._taken = (receiving.offer.digest, result)
            self._arrived(self._sender, receiving.offer.raft_term, result)
        else:
            log.error("snapshot is not usable", problem=str(result))

    def _end_receiving(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = self._receiving = None

    def close(self) -> None:
        """Ends every transfer; a part file is removed at the next start."""
        self.stop_sending()
        if self._thread is not None:
            self._thread.join()
        self._end_receiving()
