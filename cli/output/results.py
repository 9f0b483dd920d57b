"""Results that the command line itself puts together, out of several replies or about several endpoints."""

from __future__ import annotations

from dataclasses import dataclass, field

from oarlock.results import AlarmMember, HashKv, Header, MemberAddResult, MemberList, Status


@dataclass(frozen=True, slots=True)
class LeaseList:
    header: Header
    ids: list[int]


@dataclass(frozen=True, slots=True)
class LeaseRevoked:
    header: Header
    id: int


@dataclass(frozen=True, slots=True)
class Alarms:
    """Active alarms, or those just disarmed; ``header`` is None where several replies were put together."""

    header: Header | None
    alarms: list[AlarmMember]


@dataclass(frozen=True, slots=True)
class MemberAdded:
    """A member that was added, and the name under which it is going to start."""

    result: MemberAddResult
    name: str


@dataclass(frozen=True, slots=True)
class MemberChanged:
    """A member that was removed, updated or promoted (``verb``), and the members then."""

    verb: str
    member_id: int
    result: MemberList


@dataclass(frozen=True, slots=True)
class LeaderMoved:
    header: Header
    old_id: int
    new_id: int


@dataclass(frozen=True, slots=True)
class EndpointStatus:
    endpoint: str
    status: Status


@dataclass(frozen=True, slots=True)
class EndpointHashKv:
    endpoint: str
    result: HashKv


@dataclass(frozen=True, slots=True)
class EndpointHealth:
    """Whether a member commits: ``took_ns`` is how long the asking took, ``error`` is empty where it is healthy."""

    endpoint: str
    healthy: bool
    took_ns: int
    error: str = field(default="")
