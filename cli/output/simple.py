"""The simple format: what a person reads and a shell script cuts up. Raw bytes, each key and value on a line."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from oarlock import Member
from oarlock.cli.gotext import format_duration, format_size, hex_bytes
from oarlock.cli.output.printer import Printer, alarm_text
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


def status_row(item: EndpointStatus) -> list[str]:
    """The columns of an endpoint's status, as etcdctl 3.5 has them."""
    status = item.status
    return [
        item.endpoint,
        f"{status.member_id:x}",
        status.version,
        format_size(status.db_size),
        str(status.leader == status.member_id).lower(),
        str(status.is_learner).lower(),
        str(status.raft_term),
        str(status.raft_index),
        str(status.raft_applied_index),
        ", ".join(status.errors),
    ]


def member_row(member: Member) -> list[str]:
    """The columns of etcdctl's ``member list``."""
    return [
        f"{member.id:x}",
        "started" if member.name else "unstarted",
        member.name,
        ",".join(member.peer_urls),
        ",".join(member.client_urls),
        str(member.is_learner).lower(),
    ]


def _settings_of(added: MemberAdded) -> list[str]:
    """What the new member has to be started with, as lines for its environment."""
    new = added.result.member
    names = {member.id: member.name or f"{member.id:x}" for member in added.result.members} | {new.id: added.name}
    cluster = [f"{names[member.id]}={url}" for member in added.result.members for url in member.peer_urls]
    return [
        f'OARLOCK_NAME="{added.name}"',
        f'OARLOCK_INITIAL_CLUSTER="{",".join(cluster)}"',
        f'OARLOCK_INITIAL_ADVERTISE_PEER_URLS="{",".join(new.peer_urls)}"',
        'OARLOCK_INITIAL_CLUSTER_STATE="existing"',
    ]


class SimplePrinter(Printer):
    format = "simple"

    def _print(self, lines: Iterable[bytes]) -> None:
        self.write(b"".join(line + b"\n" for line in lines))

    def _print_text(self, *lines: str) -> None:
        self._print(line.encode() for line in lines)

    def _pair(self, kv: KeyValue) -> list[bytes]:
        if self.hex_strings:
            return [hex_bytes(kv.key), hex_bytes(kv.value)]
        return [kv.key, kv.value]

    def _pairs(self, kvs: Iterable[KeyValue]) -> list[bytes]:
        return [line for kv in kvs for line in self._pair(kv)]

    def _lines(self, result: Response) -> list[bytes]:
        if isinstance(result, RangeResult):
            lines = self._pairs(result.kvs)
            return lines[1::2] if self.values_only else lines
        if isinstance(result, PutResult):
            return [b"OK", *(self._pair(result.prev_kv) if result.prev_kv else ())]
        if isinstance(result, DeleteResult):
            return [str(result.deleted).encode(), *self._pairs(result.prev_kvs)]
        lines = [b"SUCCESS" if result.succeeded else b"FAILURE"]
        for response in result.responses:
            lines += (b"", *self._lines(response))
        return lines

    def get(self, result: RangeResult) -> None:
        self._print(self._lines(result))

    def put(self, result: PutResult) -> None:
        self._print(self._lines(result))

    def delete(self, result: DeleteResult) -> None:
        self._print(self._lines(result))

    def transaction(self, result: TransactionResult) -> None:
        self._print(self._lines(result))

    def watch(self, response: WatchResponse) -> None:
        if response.is_progress:
            self._print_text(f"progress notify: {response.header.revision}")
            return
        lines: list[bytes] = []
        for event in response.events:
            lines.append(event.type.name.encode())
            lines += self._pair(event.prev_kv) if event.prev_kv else ()
            lines += self._pair(event.kv)
        self._print(lines)

    def lease_grant(self, result: LeaseGrantResult) -> None:
        self._print_text(f"lease {result.id:016x} granted with TTL({result.ttl_s}s)")

    def lease_revoke(self, result: LeaseRevoked) -> None:
        self._print_text(f"lease {result.id:016x} revoked")

    def lease_keep_alive(self, result: LeaseKeepAliveResult) -> None:
        self._print_text(f"lease {result.id:016x} keepalived with TTL({result.ttl_s})")

    def lease_time_to_live(self, result: LeaseTimeToLive, with_keys: bool) -> None:
        if result.granted_ttl_s == 0 and result.ttl_s == -1:
            self._print_text(f"lease {result.id:016x} already expired")
            return
        line = f"lease {result.id:016x} granted with TTL({result.granted_ttl_s}s), remaining({result.ttl_s}s)".encode()
        if with_keys:
            line += b", attached keys([" + b" ".join(result.keys) + b"])"
        self._print([line])

    def lease_list(self, result: LeaseList) -> None:
        self._print_text(f"found {len(result.ids)} leases", *(f"{lease_id:016x}" for lease_id in result.ids))

    def alarms(self, result: Alarms) -> None:
        self._print_text(*(alarm_text(item.member_id, item.alarm.name) for item in result.alarms))

    def member_list(self, result: MemberList) -> None:
        self._print_text(*(", ".join(member_row(member)) for member in result.members))

    def member_add(self, added: MemberAdded) -> None:
        member = added.result.member
        kind = "added as learner to" if member.is_learner else "added to"
        head = f"Member {member.id:16x} {kind} cluster {added.result.header.cluster_id:16x}"
        self._print_text(head, "", *_settings_of(added))

    def member_change(self, change: MemberChanged) -> None:
        preposition = {"removed": "from"}.get(change.verb, "in")
        cluster = f"cluster {change.result.header.cluster_id:16x}"
        self._print_text(f"Member {change.member_id:16x} {change.verb} {preposition} {cluster}")

    def move_leader(self, moved: LeaderMoved) -> None:
        self._print_text(f"Leadership transferred from {moved.old_id:x} to {moved.new_id:x}")

    def endpoint_status(self, results: Sequence[EndpointStatus]) -> None:
        self._print_text(*(", ".join(status_row(item)) for item in results))

    def endpoint_health(self, results: Sequence[EndpointHealth]) -> None:
        """Healthy endpoints go to standard output, the others to standard error."""
        for item in results:
            if item.healthy:
                took = format_duration(item.took_ns)
                self._print_text(f"{item.endpoint} is healthy: successfully committed proposal: took = {took}")
            else:
                print(f"{item.endpoint} is unhealthy: failed to commit proposal: {item.error}", file=sys.stderr)

    def endpoint_hashkv(self, results: Sequence[EndpointHashKv]) -> None:
        self._print_text(*(f"{item.endpoint}, {item.result.hash}" for item in results))
