"""The fields format: one ``"Name" : value`` a line, strings as Go quotes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from oarlock.cli.gotext import format_duration, quote
from oarlock.cli.output.printer import Printer
from oarlock.cli.output.results import (
    Alarms,
    EndpointHashKv,
    EndpointHealth,
    EndpointStatus,
    LeaseList,
    LeaseRevoked,
)
from oarlock.results import (
    DeleteResult,
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

Field: TypeAlias = tuple[str, object]
"""A name, and a value that prints as it is; text that is to be quoted comes quoted."""


def _header(header: Header) -> list[Field]:
    fields: list[Field] = [("ClusterID", header.cluster_id), ("MemberID", header.member_id)]
    if header.revision > 0:
        fields.append(("Revision", header.revision))
    return [*fields, ("RaftTerm", header.raft_term)]


def _key_value(kv: KeyValue, prefix: str = "") -> list[Field]:
    return [
        (f"{prefix}Key", quote(kv.key)),
        (f"{prefix}CreateRevision", kv.create_revision),
        (f"{prefix}ModRevision", kv.mod_revision),
        (f"{prefix}Version", kv.version),
        (f"{prefix}Value", quote(kv.value)),
        (f"{prefix}Lease", kv.lease),
    ]


def _response(result: Response) -> Iterator[Field]:
    yield from _header(result.header)
    if isinstance(result, RangeResult):
        for kv in result.kvs:
            yield from _key_value(kv)
        yield from (("More", _bool(result.more)), ("Count", result.count))
    elif isinstance(result, PutResult):
        if result.prev_kv:
            yield from _key_value(result.prev_kv, "Prev")
    elif isinstance(result, DeleteResult):
        yield ("Deleted", result.deleted)
        for kv in result.prev_kvs:
            yield from _key_value(kv, "Prev")
    else:
        yield ("Succeeded", _bool(result.succeeded))
        for inner in result.responses:
            yield from _response(inner)


def _bool(value: bool) -> str:
    return "true" if value else "false"


class FieldsPrinter(Printer):
    format = "fields"

    def _print(self, *fields: Field, end: str = "") -> None:
        self.write(("".join(f'"{name}" : {value}\n' for name, value in fields) + end).encode())

    def get(self, result: RangeResult) -> None:
        self._print(*_response(result))

    def put(self, result: PutResult) -> None:
        self._print(*_response(result))

    def delete(self, result: DeleteResult) -> None:
        self._print(*_response(result))

    def transaction(self, result: TransactionResult) -> None:
        self._print(*_response(result))

    def watch(self, response: WatchResponse) -> None:
        fields = _header(response.header)
        for event in response.events:
            fields.append(("Type", event.type.name))
            fields += _key_value(event.prev_kv, "Prev") if event.prev_kv else ()
            fields += _key_value(event.kv)
        self._print(*fields)

    def lease_grant(self, result: LeaseGrantResult) -> None:
        self._print(*_header(result.header), ("ID", result.id), ("TTL", result.ttl_s))

    def lease_revoke(self, result: LeaseRevoked) -> None:
        self._print(*_header(result.header))

    def lease_keep_alive(self, result: LeaseKeepAliveResult) -> None:
        self._print(*_header(result.header), ("ID", result.id), ("TTL", result.ttl_s))

    def lease_time_to_live(self, result: LeaseTimeToLive, with_keys: bool) -> None:
        keys: list[Field] = [("Key", quote(key)) for key in result.keys]
        lease: list[Field] = [("ID", result.id), ("TTL", result.ttl_s), ("GrantedTTL", result.granted_ttl_s)]
        self._print(*_header(result.header), *lease, *keys)

    def lease_list(self, result: LeaseList) -> None:
        self._print(*_header(result.header), *(("ID", lease_id) for lease_id in result.ids))

    def alarms(self, result: Alarms) -> None:
        if result.header is not None:
            self._print(*_header(result.header))
        for item in result.alarms:
            self._print(("MemberID", item.member_id), ("AlarmType", item.alarm.name), end="\n")

    def member_list(self, result: MemberList) -> None:
        self._print(*_header(result.header))
        for member in result.members:
            self._print(
                ("ID", member.id),
                ("Name", quote(member.name)),
                *(("PeerURL", quote(url)) for url in member.peer_urls),
                *(("ClientURL", quote(url)) for url in member.client_urls),
                ("IsLearner", _bool(member.is_learner)),
                *(("NativeURL", quote(url)) for url in member.native_urls),
                end="\n",
            )

    def endpoint_status(self, results: Sequence[EndpointStatus]) -> None:
        for item in results:
            status = item.status
            self._print(
                *_header(status.header),
                ("Version", quote(status.version)),
                ("DBSize", status.db_size),
                ("Leader", status.leader),
                ("IsLearner", _bool(status.is_learner)),
                ("RaftIndex", status.raft_index),
                ("RaftTerm", status.raft_term),
                ("RaftAppliedIndex", status.raft_applied_index),
                ("Errors", f"[{' '.join(status.errors)}]"),
                ("Endpoint", quote(item.endpoint)),
                end="\n",
            )

    def endpoint_health(self, results: Sequence[EndpointHealth]) -> None:
        for item in results:
            self._print(
                ("Endpoint", quote(item.endpoint)),
                ("Health", _bool(item.healthy)),
                ("Took", format_duration(item.took_ns)),
                ("Error", item.error),
                end="\n",
            )

    def endpoint_hashkv(self, results: Sequence[EndpointHashKv]) -> None:
        for item in results:
            self._print(
                *_header(item.result.header),
                ("Endpoint", quote(item.endpoint)),
                ("Hash", item.result.hash),
                end="\n",
            )
