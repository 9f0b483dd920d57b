"""What a printer is: a result in, bytes out, nothing read and nothing decided."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from oarlock.cli.errors import BadFeatureError
from oarlock.cli.output.results import (
    Alarms,
    EndpointHashKv,
    EndpointHealth,
    EndpointStatus,
    LeaderMoved,
    LeaseList,
    LeaseRevoked,
    MemberAdded,
    MemberChanged,
)
from oarlock.results import (
    DeleteResult,
    LeaseGrantResult,
    LeaseKeepAliveResult,
    LeaseTimeToLive,
    MemberList,
    PutResult,
    RangeResult,
    TransactionResult,
    WatchResponse,
)


def alarm_text(member_id: int, alarm: str) -> str:
    """An alarm in the Go text form of protobuf, blank at the end included."""
    return f"memberID:{member_id} alarm:{alarm} "


class Printer:
    """One output format. A format that cannot show a kind of result leaves that method as it is here.

    Args:
        write: takes the bytes of one whole result.
        hex_strings: show keys and values as ``\\xNN`` (simple format only).
        values_only: of a range, only the values (simple format only).
    """

    format: ClassVar[str]

    def __init__(self, write: Callable[[bytes], None], *, hex_strings: bool = False, values_only: bool = False) -> None:
        self.write = write
        self.hex_strings = hex_strings
        self.values_only = values_only

    def require(self, kind: str) -> None:
        """Refuses a kind of result that this format cannot show, before anything is asked of a server.

        Raises:
            BadFeatureError: as etcdctl has it.
        """
        if getattr(type(self), kind) is getattr(Printer, kind):
            raise self._unsupported()

    def _unsupported(self) -> BadFeatureError:
        return BadFeatureError(f"{self.format} not supported as output format")

    def get(self, result: RangeResult) -> None:
        raise self._unsupported()

    def put(self, result: PutResult) -> None:
        raise self._unsupported()

    def delete(self, result: DeleteResult) -> None:
        raise self._unsupported()

    def transaction(self, result: TransactionResult) -> None:
        raise self._unsupported()

    def watch(self, response: WatchResponse) -> None:
        raise self._unsupported()

    def lease_grant(self, result: LeaseGrantResult) -> None:
        raise self._unsupported()

    def lease_revoke(self, result: LeaseRevoked) -> None:
        raise self._unsupported()

    def lease_keep_alive(self, result: LeaseKeepAliveResult) -> None:
        raise self._unsupported()

    def lease_time_to_live(self, result: LeaseTimeToLive, with_keys: bool) -> None:
        raise self._unsupported()

    def lease_list(self, result: LeaseList) -> None:
        raise self._unsupported()

    def alarms(self, result: Alarms) -> None:
        raise self._unsupported()

    def member_list(self, result: MemberList) -> None:
        raise self._unsupported()

    def member_add(self, added: MemberAdded) -> None:
        raise self._unsupported()

    def member_change(self, change: MemberChanged) -> None:
        raise self._unsupported()

    def move_leader(self, moved: LeaderMoved) -> None:
        raise self._unsupported()

    def endpoint_status(self, results: Sequence[EndpointStatus]) -> None:
        raise self._unsupported()

    def endpoint_health(self, results: Sequence[EndpointHealth]) -> None:
        raise self._unsupported()

    def endpoint_hashkv(self, results: Sequence[EndpointHashKv]) -> None:
        raise self._unsupported()
