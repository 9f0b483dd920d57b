"""What etcdctl printed, in a form in which two servers' can be compared."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from google.protobuf.message import DecodeError, Message

from oarlock.gateway.proto import rpc_pb2
from tests.differential.alike import OWN_FIELDS, Ids, json_value, message, named
from tests.differential.script import Ended

_LOG_NOISE: Final = ("ts", "target", "stacktrace", "size")
"""Of a line that etcdctl's client logs: when, by which object, from where in its own code, how much was saved."""
_TOOK: Final = re.compile(r"took = \S+|took \d\S*s\b")
_REMAINING: Final = re.compile(r"remaining\(\d+s\)")
_FIELD: Final = re.compile(r'"(\w+)" : (.*)')
_OWN_COLUMNS: Final = ("VERSION", "DB SIZE", "RAFT TERM", "RAFT INDEX", "RAFT APPLIED INDEX", "TOOK", "HASH")
_STATUS_NAMES: Final = (
    *("ENDPOINT", "ID", "VERSION", "DB SIZE", "IS LEADER", "IS LEARNER"),
    *("RAFT TERM", "RAFT INDEX", "RAFT APPLIED INDEX", "ERRORS"),
)
_MESSAGES: Final[dict[str, type[Message]]] = {
    "put": rpc_pb2.PutResponse,
    "get": rpc_pb2.RangeResponse,
    "del": rpc_pb2.DeleteRangeResponse,
    "txn": rpc_pb2.TxnResponse,
    "compaction": rpc_pb2.CompactionResponse,
    "lease": rpc_pb2.ResponseHeader,
    "member": rpc_pb2.MemberListResponse,
    "alarm": rpc_pb2.AlarmResponse,
    "user": rpc_pb2.AuthUserListResponse,
    "role": rpc_pb2.AuthRoleListResponse,
    "auth": rpc_pb2.AuthStatusResponse,
}
"""What a command prints in the format "protobuf"; of leases etcdctl prints only the header."""


def alike(ended: Ended, command: str, output_format: str, ids: Ids) -> tuple[int, Any, list[Any]]:
    """All that must be equal of what a command did."""
    out, err = _out(ended, command, output_format, ids), ended.err.decode().partition("goroutine ")[0]
    return ended.code, out, [_error_line(line, ids) for line in err.splitlines() if line]


def _out(ended: Ended, command: str, output_format: str, ids: Ids) -> Any:
    if output_format == "protobuf" and ended.code == 0 and (kind := _MESSAGES.get(command.split()[0])):
        try:
            return message(kind.FromString(ended.out), ids)
        except DecodeError:
            return ended.out
    text = ended.out.decode("utf-8", "surrogateescape")
    by_format = {"json": _json, "fields": _fields, "table": _table}
    return by_format.get(output_format, _simple)(text, ids)


def _json(text: str, ids: Ids) -> Any:
    try:
        values = [json_value(json.loads(line), ids) for line in text.splitlines()]
    except ValueError:
        return _simple(text, ids)
    return [_without_ttl(value) for value in values]


def _without_ttl(value: Any) -> Any:
    """A lease as ``timetolive`` prints it has the time that is left under "ttl", in lower case."""
    return {**value, "ttl": "<ttl>"} if isinstance(value, dict) and value.get("ttl", -1) > 0 else value


def _fields(text: str, ids: Ids) -> list[str]:
    shown = []
    in_key = False
    is_lease = '"GrantedTTL"' in text
    for line in text.splitlines():
        match = _FIELD.fullmatch(line)
        in_key = in_key or bool(match and match[1] in ("Key", "PrevKey"))
        hidden = match and (match[1] in OWN_FIELDS or (match[1] == "TTL" and is_lease))
        counts_writes = match and match[1] == "Version" and in_key
        shown.append(f'"{match[1]}" : <own>' if match and hidden and not counts_writes else named(line, ids))
    return shown


def _table(text: str, ids: Ids) -> Any:
    """The rows of a table by the names of its columns; the widths follow from what the cells hold."""
    if not text.startswith("+"):
        return _simple(text, ids)
    lines = [line for line in text.splitlines() if not line.startswith("+")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [_row(rows[0], row, ids) for row in rows[1:]]


def _row(names: list[str] | tuple[str, ...], cells: list[str], ids: Ids) -> dict[str, str]:
    pairs = zip(names, cells, strict=True)
    return {name: f"<{name}>" if name in _OWN_COLUMNS else named(cell, ids) for name, cell in pairs}


def _simple(text: str, ids: Ids) -> Any:
    if text.count("\n") == 1 and text.count(", ") == len(_STATUS_NAMES) - 1:
        return _row(_STATUS_NAMES, text.rstrip("\n").split(", "), ids)
    if re.fullmatch(r"127\.0\.0\.1:\d+, \d+\n", text):
        return _row(("ENDPOINT", "HASH"), text.strip().split(", "), ids)
    text = _TOOK.sub("took <time>", named(text, ids))
    return _REMAINING.sub("remaining(<time>)", text).splitlines(keepends=True)


def _error_line(line: str, ids: Ids) -> Any:
    if line.startswith("{"):
        logged = json.loads(line)
        return json_value({name: value for name, value in logged.items() if name not in _LOG_NOISE}, ids)
    return _TOOK.sub("took <time>", named(line, ids))
