"""The json format: Go's encoding of etcd's reply messages, one object on one line.

Names are those of the .proto files (or, for what etcdctl makes itself, of its Go structs), zero fields are left out,
64-bit integers are numbers, bytes are base64.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Sequence
from typing import Any, Final

from oarlock import Member
from oarlock.cli.gotext import format_duration
from oarlock.cli.output.printer import Printer
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
    Event,
    Header,
    KeyValue,
    LeaseGrantResult,
    LeaseKeepAliveResult,
    LeaseTimeToLive,
    MemberList,
    PutResult,
    RangeResult,
    Response,
    TransactionResult,
    WatchResponse,
)

_HTML_ESCAPES: Final = str.maketrans({c: f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"})
"""Go escapes these in every string (encoding/json, HTMLEscape); outside of strings they do not occur."""

_RESPONSE_NAMES: Final = {
    RangeResult: "response_range",
    PutResult: "response_put",
    DeleteResult: "response_delete_range",
    TransactionResult: "response_txn",
}


def _base64(data: bytes) -> str:
    return b64encode(data).decode("ascii")


def _without_zeros(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}


def _header(header: Header) -> dict[str, Any]:
    return _without_zeros(**header._asdict())


def _key_value(kv: KeyValue) -> dict[str, Any]:
    return _without_zeros(
        key=_base64(kv.key),
        create_revision=kv.create_revision,
        mod_revision=kv.mod_revision,
        version=kv.version,
        value=_base64(kv.value),
        lease=kv.lease,
    )


def _key_values(kvs: Iterable[KeyValue]) -> list[dict[str, Any]]:
    return [_key_value(kv) for kv in kvs]


def _response(result: Response) -> dict[str, Any]:
    fields: dict[str, Any]
    if isinstance(result, RangeResult):
        fields = {"kvs": _key_values(result.kvs), "more": result.more, "count": result.count}
    elif isinstance(result, PutResult):
        fields = {"prev_kv": _key_value(result.prev_kv) if result.prev_kv else None}
    elif isinstance(result, DeleteResult):
        fields = {"deleted": result.deleted, "prev_kvs": _key_values(result.prev_kvs)}
    else:
        responses = [{"Response": {_RESPONSE_NAMES[type(inner)]: _response(inner)}} for inner in result.responses]
        fields = {"succeeded": result.succeeded, "responses": responses}
    return {"header": _header(result.header), **_without_zeros(**fields)}


def _event(event: Event) -> dict[str, Any]:
    previous = _key_value(event.prev_kv) if event.prev_kv else None
    return {**_without_zeros(type=int(event.type)), "kv": _key_value(event.kv), **_without_zeros(prev_kv=previous)}


class JsonPrinter(Printer):
    format = "json"

    def _print(self, value: Any) -> None:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        self.write(text.translate(_HTML_ESCAPES).encode() + b"\n")

    def get(self, result: RangeResult) -> None:
        self._print(_response(result))

    def put(self, result: PutResult) -> None:
        self._print(_response(result))

    def delete(self, result: DeleteResult) -> None:
        self._print(_response(result))

    def transaction(self, result: TransactionResult) -> None:
        self._print(_response(result))

    def watch(self, response: WatchResponse) -> None:
        self._print(
            {
                "Header": _header(response.header),
                "Events": [_event(event) for event in response.events],
                "CompactRevision": response.compact_revision,
                "Canceled": response.error is not None,
                "Created": False,
            }
        )

    def lease_grant(self, result: LeaseGrantResult) -> None:
        self._print({**_header(result.header), "ID": result.id, "TTL": result.ttl_s, "Error": ""})

    def lease_revoke(self, result: LeaseRevoked) -> None:
        self._print({"header": _header(result.header)})

    def lease_keep_alive(self, result: LeaseKeepAliveResult) -> None:
        self._print({**_header(result.header), "ID": result.id, "TTL": result.ttl_s})

    def lease_time_to_live(self, result: LeaseTimeToLive, with_keys: bool) -> None:
        keys = [_base64(key) for key in result.keys] or None
        fields = {"id": result.id, "ttl": result.ttl_s, "granted-ttl": result.granted_ttl_s, "keys": keys}
        self._print({**_header(result.header), **fields})

    def lease_list(self, result: LeaseList) -> None:
        leases = [{"id": lease_id} for lease_id in result.ids]
        self._print({**_header(result.header), "leases": leases})

    def alarms(self, result: Alarms) -> None:
        alarms = [_without_zeros(memberID=item.member_id, alarm=int(item.alarm)) for item in result.alarms]
        header = {} if result.header is None else {"header": _header(result.header)}
        self._print({**header, **_without_zeros(alarms=alarms)})

    def member_list(self, result: MemberList) -> None:
        self._print(self._members(result.header, result.members))

    def member_add(self, added: MemberAdded) -> None:
        result = added.result
        member = self._member(result.member)
        self._print({"header": self._member_header(result.header), "member": member, **self._listed(result.members)})

    def member_change(self, change: MemberChanged) -> None:
        self._print(self._members(change.result.header, change.result.members))

    def _members(self, header: Header, members: Sequence[Member]) -> dict[str, Any]:
        return {"header": self._member_header(header), **self._listed(members)}

    def _listed(self, members: Sequence[Member]) -> dict[str, Any]:
        return _without_zeros(members=[self._member(member) for member in members])

    def _member(self, member: Member) -> dict[str, Any]:
        return _without_zeros(
            ID=self._id(member.id),
            name=member.name,
            peerURLs=member.peer_urls,
            clientURLs=member.client_urls,
            isLearner=member.is_learner,
            nativeURLs=member.native_urls,
        )

    def _member_header(self, header: Header) -> dict[str, Any]:
        ids = {"cluster_id": self._id(header.cluster_id), "member_id": self._id(header.member_id)}
        return _without_zeros(**{**header._asdict(), **ids})

    def _id(self, number: int) -> int | str:
        """With ``--hex``, ids are texts in the replies about members, and only there (etcdctl likewise)."""
        return f"{number:x}" if self.hex_strings else number

    def move_leader(self, moved: LeaderMoved) -> None:
        self._print({"header": _header(moved.header)})

    def endpoint_status(self, results: Sequence[EndpointStatus]) -> None:
        self._print([{"Endpoint": item.endpoint, "Status": _status(item)} for item in results])

    def endpoint_health(self, results: Sequence[EndpointHealth]) -> None:
        self._print(
            [
                {
                    "endpoint": item.endpoint,
                    "health": item.healthy,
                    "took": format_duration(item.took_ns),
                    **_without_zeros(error=item.error),
                }
                for item in results
            ]
        )

    def endpoint_hashkv(self, results: Sequence[EndpointHashKv]) -> None:
        self._print([{"Endpoint": item.endpoint, "HashKV": _hash_kv(item)} for item in results])


def _status(item: EndpointStatus) -> dict[str, Any]:
    status = item.status
    fields = _without_zeros(
        version=status.version,
        dbSize=status.db_size,
        leader=status.leader,
        raftIndex=status.raft_index,
        raftTerm=status.raft_term,
        raftAppliedIndex=status.raft_applied_index,
        errors=status.errors,
        dbSizeInUse=status.db_size_in_use,
        isLearner=status.is_learner,
    )
    return {"header": _header(status.header), **fields}


def _hash_kv(item: EndpointHashKv) -> dict[str, Any]:
    result = item.result
    fields = _without_zeros(
        hash=result.hash, compact_revision=result.compact_revision, hash_revision=result.hash_revision
    )
    return {"header": _header(result.header), **fields}
