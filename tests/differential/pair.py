"""The two servers in lock step: each request goes to both, so that their revisions stay equal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from oarlock.gateway.proto import rpc_pb2
from tests.differential.alike import outcome
from tests.differential.calls import Outcome, request
from tests.differential.servers import Side

FROM_FIRST_KEY = {"key": b"\0", "range_end": b"\0"}
"""All keys there are."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A real etcd, and the server that has to be like it."""

    etcd: Side
    oarlock: Side

    @property
    def sides(self) -> tuple[Side, Side]:
        """Both."""
        return self.etcd, self.oarlock

    def begin(self) -> int:
        """Removes all keys and leases from both, and brings both to one revision, which it returns."""
        for side in self.sides:
            _empty(side)
        behind, ahead = sorted(self.sides, key=_revision)
        for _ in range(_revision(ahead) - _revision(behind)):
            behind.caller.call("KV/Put", request("KV/Put", key=b"level"))
        for side in self.sides:
            side.caller.call("KV/Put", request("KV/Put", key=b"level"))
            _empty(side)
        assert _revision(behind) == _revision(ahead)
        return _revision(ahead)

    def same(self, method: str, message: Message | None = None, **fields: Any) -> Outcome:
        """Makes a call at both, with a request or with its fields, and holds that they answer alike.

        Where a field is to have another value at each, it is a function of the side.

        Returns:
            etcd's answer.

        Raises:
            AssertionError: the answers differ.
        """
        if message is not None:
            theirs, ours = (side.caller.call(method, message) for side in self.sides)
        else:
            theirs, ours = (side.caller.call(method, request(method, **_for(side, fields))) for side in self.sides)
        expected, got = outcome(theirs, self.etcd.ids), outcome(ours, self.oarlock.ids)
        assert got == expected, f"{method} {message or fields}\netcd:    {expected}\noarlock: {got}"
        return theirs


def _for(side: Side, fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value(side) if callable(value) else value for name, value in fields.items()}


def _empty(side: Side) -> None:
    leases = side.caller.call("Lease/LeaseLeases").answers[0]
    assert isinstance(leases, rpc_pb2.LeaseLeasesResponse)
    for lease in leases.leases:
        side.caller.call("Lease/LeaseRevoke", request("Lease/LeaseRevoke", ID=lease.ID))
    side.caller.call("KV/DeleteRange", request("KV/DeleteRange", **FROM_FIRST_KEY))


def _revision(side: Side) -> int:
    answer = side.caller.call("KV/Range", request("KV/Range", key=b"level")).answers[0]
    assert isinstance(answer, rpc_pb2.RangeResponse)
    return int(answer.header.revision)
