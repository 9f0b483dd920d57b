"""Oarlock: a coordination store.

``oarlock.connect()`` gives a client that any thread may use, ``await oarlock.aio.connect()`` its asyncio twin.
Importing this package imports nothing else: each name below is looked up when it is first used (PEP 562).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oarlock import aio as aio
    from oarlock.arguments import ArgumentError as ArgumentError
    from oarlock.results import AlarmMember as AlarmMember
    from oarlock.results import CompactResult as CompactResult
    from oarlock.results import DeleteResult as DeleteResult
    from oarlock.results import Event as Event
    from oarlock.results import HashKv as HashKv
    from oarlock.results import Header as Header
    from oarlock.results import KeyValue as KeyValue
    from oarlock.results import LeaseGrantResult as LeaseGrantResult
    from oarlock.results import LeaseKeepAliveResult as LeaseKeepAliveResult
    from oarlock.results import LeaseTimeToLive as LeaseTimeToLive
    from oarlock.results import MemberAddResult as MemberAddResult
    from oarlock.results import MemberList as MemberList
    from oarlock.results import PutResult as PutResult
    from oarlock.results import RangeResult as RangeResult
    from oarlock.results import Status as Status
    from oarlock.results import TransactionResult as TransactionResult
    from oarlock.results import WatchResponse as WatchResponse
    from oarlock.sync import Client as Client
    from oarlock.sync import connect as connect
    from oarlock.sync_lease import Lease as Lease
    from oarlock.sync_watch import Watch as Watch
    from oarlock.transactions import Compare as Compare
    from oarlock.transactions import Operation as Operation
    from oarlock.transactions import create_revision as create_revision
    from oarlock.transactions import lease_of as lease_of
    from oarlock.transactions import mod_revision as mod_revision
    from oarlock.transactions import ops as ops
    from oarlock.transactions import value as value
    from oarlock.transactions import version as version
    from oarlock.wire.errors import BadPeerUrlsError as BadPeerUrlsError
    from oarlock.wire.errors import BadTransfereeError as BadTransfereeError
    from oarlock.wire.errors import ClosedError as ClosedError
    from oarlock.wire.errors import CompactedError as CompactedError
    from oarlock.wire.errors import ConfigurationError as ConfigurationError
    from oarlock.wire.errors import ConnectionFailedError as ConnectionFailedError
    from oarlock.wire.errors import CorruptError as CorruptError
    from oarlock.wire.errors import DeadlineExceededError as DeadlineExceededError
    from oarlock.wire.errors import DuplicateKeyError as DuplicateKeyError
    from oarlock.wire.errors import EmptyKeyError as EmptyKeyError
    from oarlock.wire.errors import FutureRevisionError as FutureRevisionError
    from oarlock.wire.errors import InvalidSortError as InvalidSortError
    from oarlock.wire.errors import KeyNotFoundError as KeyNotFoundError
    from oarlock.wire.errors import LeaderChangedError as LeaderChangedError
    from oarlock.wire.errors import LearnerNotReadyError as LearnerNotReadyError
    from oarlock.wire.errors import LearnerRefusesError as LearnerRefusesError
    from oarlock.wire.errors import LeaseExistsError as LeaseExistsError
    from oarlock.wire.errors import LeaseNotFoundError as LeaseNotFoundError
    from oarlock.wire.errors import LeaseProvidedError as LeaseProvidedError
    from oarlock.wire.errors import LeaseTtlTooLargeError as LeaseTtlTooLargeError
    from oarlock.wire.errors import MemberExistsError as MemberExistsError
    from oarlock.wire.errors import MemberNotFoundError as MemberNotFoundError
    from oarlock.wire.errors import MemberNotLearnerError as MemberNotLearnerError
    from oarlock.wire.errors import NoLeaderError as NoLeaderError
    from oarlock.wire.errors import NoSpaceError as NoSpaceError
    from oarlock.wire.errors import NotEnoughStartedMembersError as NotEnoughStartedMembersError
    from oarlock.wire.errors import NotLeaderError as NotLeaderError
    from oarlock.wire.errors import OarlockError as OarlockError
    from oarlock.wire.errors import OutcomeUnknownError as OutcomeUnknownError
    from oarlock.wire.errors import OverloadedError as OverloadedError
    from oarlock.wire.errors import PeerUrlExistsError as PeerUrlExistsError
    from oarlock.wire.errors import ProtocolError as ProtocolError
    from oarlock.wire.errors import RequestError as RequestError
    from oarlock.wire.errors import RequestTooLargeError as RequestTooLargeError
    from oarlock.wire.errors import ServerError as ServerError
    from oarlock.wire.errors import StoppedError as StoppedError
    from oarlock.wire.errors import TimeoutError as TimeoutError
    from oarlock.wire.errors import TooManyLearnersError as TooManyLearnersError
    from oarlock.wire.errors import TooManyOperationsError as TooManyOperationsError
    from oarlock.wire.errors import UnhealthyClusterError as UnhealthyClusterError
    from oarlock.wire.errors import ValueProvidedError as ValueProvidedError
    from oarlock.wire.errors import WatcherRangeEmptyError as WatcherRangeEmptyError
    from oarlock.wire.members import Member as Member
    from oarlock.wire.operations import Alarm as Alarm
    from oarlock.wire.operations import AlarmAction as AlarmAction
    from oarlock.wire.operations import EventType as EventType
    from oarlock.wire.operations import SortOrder as SortOrder
    from oarlock.wire.operations import SortTarget as SortTarget
    from oarlock.wire.operations import prefix_end as prefix_end

    __version__: str

_NAMES_OF = {
    "oarlock.arguments": "ArgumentError",
    "oarlock.results": (
        "AlarmMember CompactResult DeleteResult Event HashKv Header KeyValue LeaseGrantResult LeaseKeepAliveResult "
        "LeaseTimeToLive MemberAddResult MemberList PutResult RangeResult Status TransactionResult WatchResponse"
    ),
    "oarlock.sync": "Client connect",
    "oarlock.sync_lease": "Lease",
    "oarlock.sync_watch": "Watch",
    "oarlock.transactions": "Compare Operation create_revision lease_of mod_revision ops value version",
    "oarlock.wire.errors": (
        "BadPeerUrlsError BadTransfereeError ClosedError CompactedError ConfigurationError ConnectionFailedError "
        "CorruptError DeadlineExceededError DuplicateKeyError EmptyKeyError FutureRevisionError InvalidSortError "
        "KeyNotFoundError LeaderChangedError LearnerNotReadyError LearnerRefusesError LeaseExistsError "
        "LeaseNotFoundError "
        "LeaseProvidedError LeaseTtlTooLargeError MemberExistsError MemberNotFoundError MemberNotLearnerError "
        "NoLeaderError NoSpaceError NotEnoughStartedMembersError NotLeaderError OarlockError OutcomeUnknownError "
        "OverloadedError PeerUrlExistsError ProtocolError RequestError RequestTooLargeError ServerError StoppedError "
        "TimeoutError TooManyLearnersError TooManyOperationsError UnhealthyClusterError ValueProvidedError "
        "WatcherRangeEmptyError"
    ),
    "oarlock.wire.members": "Member",
    "oarlock.wire.operations": "Alarm AlarmAction EventType SortOrder SortTarget prefix_end",
}
_MODULE_OF = {name: module for module, names in _NAMES_OF.items() for name in names.split()}

__all__ = ["__version__", "aio", *sorted(_MODULE_OF)]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "aio":
        return import_module("oarlock.aio")  # the import binds the name here
    if name == "__version__":
        from importlib.metadata import version

        found: Any = version("oarlock")
    elif name in _MODULE_OF:
        found = getattr(import_module(_MODULE_OF[name]), name)
    else:
        raise AttributeError(f"module 'oarlock' has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
