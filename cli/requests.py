"""What a put, get, del or watch asks for: made of words and flags, whether from a command line or a transaction's line.

The rules about which words and flags go together, and the texts that refuse them, are etcdctl's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from oarlock import prefix_end
from oarlock.cli.errors import BadArgumentsError, BadFeatureError
from oarlock.cli.gotext import parse_int, quote
from oarlock.cli.options import flag, number, text

if TYPE_CHECKING:
    from oarlock import Operation
    from oarlock.calls import RangeOptions

EVERY_KEY: Final = b"\0"
"""As a range_end: every key from the first on. As a key: the first that there can be."""

PUT_FLAGS: Final = (
    text("--lease", default="0", metavar="ID", help="Lease to attach to the key (hexadecimal)."),
    flag("--prev-kv", help="Print the previous key and value."),
    flag("--ignore-value", help="Keep the value, change only the lease."),
    flag("--ignore-lease", help="Keep the lease, change only the value."),
)
GET_FLAGS: Final = (
    text("--consistency", default="l", metavar="l|s", help="Linearizable (l), or serializable (s): fast, maybe stale."),
    text("--order", metavar="ASCEND|DESCEND", help="Order of the results."),
    text("--sort-by", metavar="CREATE|KEY|MODIFY|VALUE|VERSION", help="What to sort by."),
    number("--limit", help="Print at most so many keys; 0 is all."),
    flag("--prefix", help="Get all keys that begin with KEY."),
    flag("--from-key", help="Get all keys from KEY on."),
    number("--rev", help="Read the store as it was at this revision; 0 is now."),
    flag("--keys-only", help="Get only the keys."),
    flag("--count-only", help="Get only the count (with -w fields)."),
    flag("--print-value-only", help="Print only values (simple format)."),
    number("--min-create-rev", help="Leave out keys created before this revision."),
    number("--max-create-rev", help="Leave out keys created after this revision."),
    number("--min-mod-rev", help="Leave out keys changed before this revision."),
    number("--max-mod-rev", help="Leave out keys changed after this revision."),
)
DELETE_FLAGS: Final = (
    flag("--prefix", help="Delete all keys that begin with KEY."),
    flag("--prev-kv", help="Print the deleted keys and values."),
    flag("--from-key", help="Delete all keys from KEY on."),
    flag("--range", help="Say that a range is meant; RANGE_END says as much."),
)
WATCH_FLAGS: Final = (
    flag("--prefix", help="Watch all keys that begin with KEY."),
    number("--rev", help="Start with the events of this revision; 0 is what comes after now."),
    flag("--prev-kv", help="Get the previous key and value with each event."),
)

_ORDERS: Final = {"": "none", "ASCEND": "ascend", "DESCEND": "descend"}
_TARGETS: Final = {
    "": "key", "CREATE": "create", "KEY": "key", "MODIFY": "mod", "VALUE": "value", "VERSION": "version",
}  # fmt: skip


def lease_id(text: str, what: str = "bad lease ID") -> int:
    """A lease's number as people write it, hexadecimal.

    Raises:
        BadArgumentsError: it is not.
    """
    try:
        return parse_int(text, 16)
    except ValueError as problem:
        raise BadArgumentsError(f"{what} ({problem}), expecting ID in Hex") from None


def prefix_range(prefix: bytes) -> tuple[bytes, bytes]:
    """The key and range_end of all keys that begin with ``prefix``; an empty one is every key."""
    return prefix or EVERY_KEY, prefix_end(prefix)


def _key_range(command: str, words: Sequence[bytes], prefix: bool, from_key: bool) -> tuple[bytes, bytes]:
    if not 1 <= len(words) <= 2:
        raise BadArgumentsError(f"{command} command needs one argument as key and an optional argument as range_end")
    if prefix and from_key:
        raise BadArgumentsError("`--prefix` and `--from-key` cannot be set at the same time, choose one")
    if (prefix or from_key) and len(words) == 2:
        raise BadArgumentsError("too many arguments, only accept one argument when `--prefix` or `--from-key` is set")
    if prefix:
        return prefix_range(words[0])
    if from_key:
        return words[0] or EVERY_KEY, EVERY_KEY
    return words[0], words[1] if len(words) == 2 else b""


@dataclass(frozen=True, slots=True)
class PutRequest:
    """``value`` is None where it is to come from standard input."""

    key: bytes
    value: bytes | None
    lease: int
    prev_kv: bool
    ignore_value: bool
    ignore_lease: bool

    @classmethod
    def parse(
        cls, words: Sequence[bytes], *, lease: str, prev_kv: bool, ignore_value: bool, ignore_lease: bool
    ) -> PutRequest:
        """Checks and reads the arguments of a put.

        Raises:
            BadArgumentsError: too few or many of them, or a lease that is no number.
        """
        if ignore_value and len(words) > 1:
            raise BadArgumentsError("put command needs only 1 argument when 'ignore-value' is set")
        if not 1 <= len(words) <= 2:
            raise BadArgumentsError("put command needs 1 argument and input from stdin or 2 arguments")
        value = b"" if ignore_value else words[1] if len(words) == 2 else None
        return cls(words[0], value, lease_id(lease), prev_kv, ignore_value, ignore_lease)

    def operation(self) -> Operation:
        """This put as an operation of a transaction.

        Raises:
            BadArgumentsError: the value is missing: standard input holds the transaction.
        """
        import oarlock

        if self.value is None:
            raise BadArgumentsError("put command needs 2 arguments in a transaction")
        return oarlock.ops.put(
            self.key,
            self.value,
            lease=self.lease,
            prev_kv=self.prev_kv,
            ignore_value=self.ignore_value,
            ignore_lease=self.ignore_lease,
        )


@dataclass(frozen=True, slots=True)
class GetRequest:
    key: bytes
    range_end: bytes
    options: RangeOptions
    values_only: bool = False

    @classmethod
    def parse(
        cls,
        words: Sequence[bytes],
        *,
        consistency: str,
        order: str,
        sort_by: str,
        limit: int,
        prefix: bool,
        from_key: bool,
        rev: int,
        keys_only: bool,
        count_only: bool,
        print_value_only: bool,
        min_create_rev: int,
        max_create_rev: int,
        min_mod_rev: int,
        max_mod_rev: int,
    ) -> GetRequest:
        """Checks and reads the arguments of a get.

        Raises:
            BadArgumentsError: too few or many of them, or flags that exclude each other.
            BadFeatureError: an order, sort target or consistency that there is not.
        """
        if keys_only and count_only:
            raise BadArgumentsError("`--keys-only` and `--count-only` cannot be set at the same time, choose one")
        key, range_end = _key_range("get", words, prefix, from_key)
        if consistency not in ("l", "s"):
            raise BadFeatureError(f"unknown consistency flag {quote(consistency)}")
        if order.upper() not in _ORDERS:
            raise BadFeatureError(f"bad sort order {order}")
        if sort_by.upper() not in _TARGETS:
            raise BadFeatureError(f"bad sort target {sort_by}")
        options: RangeOptions = {
            "revision": rev,
            "limit": limit,
            "sort_order": _ORDERS[order.upper()],
            "sort_target": _TARGETS[sort_by.upper()],
            "keys_only": keys_only,
            "count_only": count_only,
            "serializable": consistency == "s",
            "min_create_revision": min_create_rev,
            "max_create_revision": max_create_rev,
            "min_mod_revision": min_mod_rev,
            "max_mod_revision": max_mod_rev,
        }
        return cls(key, range_end, options, print_value_only)

    def operation(self) -> Operation:
        """This get as an operation of a transaction."""
        import oarlock

        return oarlock.ops.get(self.key, range_end=self.range_end, **self.options)


@dataclass(frozen=True, slots=True)
class DeleteRequest:
    key: bytes
    range_end: bytes
    prev_kv: bool

    @classmethod
    def parse(
        cls, words: Sequence[bytes], *, prefix: bool, prev_kv: bool, from_key: bool, range: bool
    ) -> DeleteRequest:
        """Checks and reads the arguments of a del.

        Raises:
            BadArgumentsError: too few or many of them, or flags that exclude each other.
        """
        key, range_end = _key_range("del", words, prefix, from_key)
        return cls(key, range_end, prev_kv)

    def operation(self) -> Operation:
        """This deletion as an operation of a transaction."""
        import oarlock

        return oarlock.ops.delete(self.key, range_end=self.range_end, prev_kv=self.prev_kv)


@dataclass(frozen=True, slots=True)
class WatchRequest:
    """What to watch, and the command to run for each event (none: empty)."""

    key: bytes
    range_end: bytes
    start_revision: int
    prev_kv: bool
    command: tuple[bytes, ...] = field(default=())
    progress_notify: bool = False

    @classmethod
    def parse(
        cls,
        words: Sequence[bytes],
        command: Sequence[bytes],
        *,
        prefix: bool,
        rev: int,
        prev_kv: bool,
        progress_notify: bool = False,
    ) -> WatchRequest:
        """Checks and reads the arguments of a watch.

        Raises:
            BadArgumentsError: too few or many of them, or a range together with --prefix.
        """
        if not 1 <= len(words) <= 2:
            raise BadArgumentsError("bad number of arguments")
        if prefix and len(words) == 2:
            raise BadArgumentsError("`range_end` and `--prefix` are mutually exclusive")
        key, range_end = prefix_range(words[0]) if prefix else (words[0], words[1] if len(words) == 2 else b"")
        return cls(key, range_end, rev, prev_kv, tuple(command), progress_notify)
