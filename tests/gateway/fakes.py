"""A call that remembers what a service did with it."""

from __future__ import annotations

from oarlock.gateway.grpc.status import OK, Status
from oarlock.gateway.service import Exchange
from oarlock.wire.errors import Code

CANCELED = Status(Code.CANCELED, "context canceled")


class FakeExchange(Exchange):
    """A call whose client is the test.

    Attributes:
        sent: the messages that the service has sent.
        status: how it ended, None while it has not.
        queued_bytes: as if the client had not read them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.status: Status | None = None
        self._queued_bytes = 0

    def metadata(self, name: str) -> str | bytes | None:
        return None

    @property
    def is_over(self) -> bool:
        return self.status is not None

    @property
    def queued_bytes(self) -> int:
        return self._queued_bytes

    @queued_bytes.setter
    def queued_bytes(self, value: int) -> None:
        self._queued_bytes = value

    def reply(self, message: bytes) -> None:
        if not self.is_over:
            self.sent.append(message)
            self.status = OK

    def send(self, message: bytes) -> None:
        if not self.is_over:
            self.sent.append(message)

    def finish(self, status: Status = OK) -> None:
        if not self.is_over:
            self.status = status

    # What the client does

    def ask(self, message: bytes) -> None:
        """Sends one message of a stream."""
        assert self.on_message is not None
        self.on_message(message)

    def end_requests(self) -> None:
        """Sends no more."""
        assert self.on_requests_ended is not None
        self.on_requests_ended()

    def cancel(self) -> None:
        """Goes away."""
        assert self.status is None
        self.status = CANCELED
        if self.on_ended is not None:
            self.on_ended(CANCELED)

    def read_on(self) -> None:
        """Reads everything that waited."""
        self._queued_bytes = 0
        if self.on_drained is not None:
            self.on_drained()
