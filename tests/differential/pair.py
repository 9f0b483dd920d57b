"""The two servers in lock step: each request goes to both, so that their revisions stay equal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.message import Message

from oarlock.gateway.proto import rpc_pb2
from tests.differential.alike import outcome
from tests.differential.calls import ANSWER_S, Outcome, request
from tests.differential.servers import Side
from tests.server import wait_until

FROM_FIRST_KEY: Final[dict[str, Any]] = {"key": b"\0", "range_end": b"\0"}
"""All keys there are."""
REFUSALS_OF_A_BRANCH: Final = frozenset(
    {
        "etcdserver: requested lease not found",
        "etcdserver: key not found",
        "etcdserver: mvcc: required revision has been compacted",
        "etcdserver: mvcc: required revision is a future revision",
    }
)
"""A transaction that is wrong in two ways is refused for either: etcd 3.5 looks at all puts before all ranges, later
ones at one operation after the other."""
_CHANGES_OF_MEMBERS: Final = frozenset(f"Cluster/Member{change}" for change in ("Add", "Remove", "Update", "Promote"))


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
        if method in _CHANGES_OF_MEMBERS:
            self.let_etcd_advance()
        if message is not None:
            theirs, ours = (side.caller.call(method, message) for side in self.sides)
        else:
            theirs, ours = (side.caller.call(method, request(method, **_for(side, fields))) for side in self.sides)
        if method == "KV/Txn" and {theirs.text, ours.text} <= REFUSALS_OF_A_BRANCH:
            return theirs
        expected, got = outcome(theirs, self.etcd.ids), outcome(ours, self.oarlock.ids)
        assert got == expected, f"{method} {message or fields}\netcd:    {expected}\noarlock: {got}"
        return theirs

    def let_etcd_advance(self) -> None:
        """To be called before a change of members, which may follow upon another.

        etcd answers one before its Raft knows that it is applied. One that comes in between is dropped, and never
        answered; a linearizable read is answered in a later round of its Raft.
        """
        _revision(self.etcd)

    def until_keys(self, prefix: bytes, count: int) -> None:
        """Waits until there are so many keys under ``prefix/`` at both: of those that wait for a lock, say.

        Raises:
            AssertionError: there are not in time.
        """
        keys = request("KV/Range", key=prefix, range_end=prefix[:-1] + b"0", count_only=True)

        def are_there() -> bool:
            answers = [side.caller.call("KV/Range", keys).answers[0] for side in self.sides]
            return all(answer.count == count for answer in answers)  # type: ignore[attr-defined]

        wait_until(are_there, ANSWER_S, f"{count} keys under {prefix!r}")


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
