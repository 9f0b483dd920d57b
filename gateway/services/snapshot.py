"""Maintenance.Snapshot: one member's data as a stream of bytes, with their SHA-256 behind them."""

from __future__ import annotations

import os
from hashlib import sha256
from typing import Any, BinaryIO, Final

from oarlock.gateway.grpc.status import Status
from oarlock.gateway.proto.rpc_pb2 import SnapshotResponse
from oarlock.gateway.service import Backend, Exchange
from oarlock.wire.errors import Code
from oarlock.wire.version import ETCD_VERSION

BLOB_BYTES: Final = 32 << 10
"""Of one message, as etcd has it."""
BLOBS_A_TURN: Final = 16
"""Messages read, hashed and sent before others get their turn: about a millisecond."""
MAX_QUEUED_BYTES: Final = 4 << 20
"""Sent and not read by the client: the file waits until they have left."""
BLOCK_BYTES: Final = 512
"""What is sent is padded with zeros to a multiple of this: etcdctl takes nothing else for a snapshot."""


class SnapshotStream:
    """One call. The file is its own, and gone from the directory as soon as it is open.

    Args:
        backend: makes the file.
        exchange: of the client.
    """

    def __init__(self, backend: Backend, exchange: Exchange) -> None:
        self._backend = backend
        self._exchange = exchange
        self._file: BinaryIO | None = None
        self._remaining_bytes = 0
        self._digest = sha256()

    def begin(self) -> None:
        """Has the file made; the rest follows by itself."""
        self._exchange.on_ended = self._ended
        self._backend.make_snapshot(self._made)

    def _made(self, path: str | None, problem: str) -> None:
        if path is None:
            self._exchange.finish(Status(Code.UNAVAILABLE, f"oarlock: no snapshot: {problem}"))
            return
        file = open(path, "rb")  # noqa: SIM115  # closed by _close
        os.unlink(path)
        if self._exchange.is_over:
            file.close()
            return
        self._file = file
        size_bytes = os.fstat(file.fileno()).st_size
        self._remaining_bytes = -(-size_bytes // BLOCK_BYTES) * BLOCK_BYTES
        self._send_some()

    def _send_some(self) -> None:
        if self._file is None:
            return
        for _ in range(BLOBS_A_TURN):
            if not self._remaining_bytes:
                self._end()
                return
            self._send_blob(self._file)
        if self._exchange.queued_bytes > MAX_QUEUED_BYTES:
            self._exchange.on_drained = self._drained
        else:
            self._backend.call_later(0.0, self._send_some)

    def _drained(self) -> None:
        self._exchange.on_drained = None
        self._send_some()

    def _send_blob(self, file: BinaryIO) -> None:
        wanted = min(BLOB_BYTES, self._remaining_bytes)
        blob = file.read(wanted)
        blob += bytes(wanted - len(blob))
        self._digest.update(blob)
        self._remaining_bytes -= wanted
        self._send(blob)

    def _end(self) -> None:
        self._close()
        self._send(self._digest.digest())
        self._exchange.finish()

    def _send(self, blob: bytes) -> None:
        response = SnapshotResponse(remaining_bytes=self._remaining_bytes, blob=blob, version=ETCD_VERSION)
        self._exchange.send(response.SerializeToString())

    def _ended(self, _: Any) -> None:
        self._close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
