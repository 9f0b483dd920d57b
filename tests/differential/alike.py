"""What of an answer must be equal, and under which names the rest goes.

The rule is strict: nothing is left out but what stands here by name: ids and addresses, which are known of each
server beforehand, and fields that tell of the server rather than of what it stores.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tests.differential.calls import Outcome

OWN_FIELDS: Final = frozenset(
    {
        *("raft_term", "raftTerm", "RaftTerm"),
        *("raftIndex", "RaftIndex", "raftAppliedIndex", "RaftAppliedIndex"),
        *("dbSize", "DBSize", "dbSizeInUse", "DBSizeInUse"),
        *("version", "Version"),
        *("hash", "Hash"),
        *("took", "Took"),
    }
)
"""Fields that tell of the server: only whether they are zero is looked at."""
UNORDERED_FIELDS: Final = frozenset(
    {
        *("LeaseTimeToLiveResponse.keys", "LeaseLeasesResponse.leases"),
        *(f"Member{name}Response.members" for name in ("Add", "List", "Remove", "Update")),
    }
)
"""What etcd sends in no order, in that of the time that is left, or in that of ids that differ."""
STORED_VERSION: Final = "KeyValue.version"
"""A version that is not the server's, but counts the writes of a key."""

TIME_LEFT: Final = "LeaseTimeToLiveResponse.TTL"
"""Of a lease that exists, in seconds; it goes down meanwhile."""
NEWER_FIELDS: Final = frozenset(
    {
        "HashKVResponse.hash_revision",
        "SnapshotResponse.version",
        *(f"StatusResponse.{name}" for name in ("storageVersion", "dbSizeQuota", "downgradeInfo")),
    }
)
"""What etcd 3.5 does not have, and later ones do: Oarlock answers with them."""

Ids = Mapping[str | int, str]


def outcome(result: Outcome, ids: Ids) -> tuple[int, str, list[Any]]:
    """All of an outcome that must be equal."""
    return result.code, named(result.text, ids), [message(answer, ids) for answer in result.answers]


def message(answer: Message, ids: Ids) -> dict[str, Any]:
    """All of a message that must be equal: the fields that are set, by name."""
    found = {}
    for field, value in answer.ListFields():
        if _full_name(field) not in NEWER_FIELDS:
            found[field.name] = _field(field, value, ids)
    return found


def named(text: str, ids: Ids) -> str:
    """``text`` with the names of known ids and addresses in the place of themselves."""
    for known, name in ids.items():
        text = text.replace(str(known), name)
    return text


def _full_name(field: FieldDescriptor) -> str:
    assert field.containing_type is not None
    return f"{field.containing_type.name}.{field.name}"


def _field(field: FieldDescriptor, value: Any, ids: Ids) -> Any:
    full_name = _full_name(field)
    if (field.name in OWN_FIELDS and full_name != STORED_VERSION) or (full_name == TIME_LEFT and value > 0):
        return f"<{field.name}>"
    if not field.is_repeated:
        return _value(field, value, ids)
    values = [_value(field, each, ids) for each in value]
    return sorted(values, key=repr) if full_name in UNORDERED_FIELDS else values


def _value(field: FieldDescriptor, value: Any, ids: Ids) -> Any:
    if field.message_type is not None:
        return message(value, ids)
    if isinstance(value, str):
        return named(value, ids)
    if isinstance(value, int):
        return ids.get(value, value)
    return value


def json_value(value: Any, ids: Ids, inside: str = "") -> Any:
    """The same for JSON as etcdctl prints it; ``inside`` is the name of the field that holds ``value``."""
    if isinstance(value, dict):
        return {name: _json_field(name, each, ids, inside) for name, each in value.items()}
    if isinstance(value, list):
        return [json_value(each, ids, inside) for each in value]
    if isinstance(value, str):
        return named(value, ids)
    if isinstance(value, int) and not isinstance(value, bool):
        return ids.get(value, value)
    return value


def _json_field(name: str, value: Any, ids: Ids, inside: str) -> Any:
    own = name in OWN_FIELDS and inside not in ("kvs", "kv", "prev_kv", "prev_kvs")
    return f"<{name}>" if own else json_value(value, ids, name)
