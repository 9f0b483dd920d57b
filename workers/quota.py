"""The space quota, as a worker sees it: writes that need space are refused before it is used up."""

from __future__ import annotations

from typing import Any, Final

from oarlock.wire.operations import Op

RESUME_SHARE: Final = 0.9
"""Writes are admitted again below this share of the quota, so that the alarm does not come and go with every write."""


class Quota:
    """Compares the space in use with the quota, and says when the alarm should change.

    Deletes, compactions and revokes are always admitted, for they give space back.

    Args:
        quota_bytes: of the database in use.
    """

    def __init__(self, quota_bytes: int) -> None:
        self.quota_bytes = quota_bytes
        self.is_exceeded = False

    def measure(self, in_use_bytes: int) -> bool:
        """Takes the space in use now; True if ``is_exceeded`` has changed."""
        limit = self.quota_bytes * (RESUME_SHARE if self.is_exceeded else 1.0)
        exceeded = in_use_bytes >= limit
        changed = exceeded != self.is_exceeded
        self.is_exceeded = exceeded
        return changed

    def costs(self, request: list[Any]) -> bool:
        """Whether a write needs space (etcd, quota.go: a put, a transaction with one in either branch, a grant)."""
        operation = request[1]
        if operation == Op.TXN:
            return _has_put(request[3]) or _has_put(request[4])
        return operation in (Op.PUT, Op.LEASE_GRANT)


def _has_put(branch: list[Any]) -> bool:
    return any(step[0] == Op.PUT or (step[0] == Op.TXN and (_has_put(step[2]) or _has_put(step[3]))) for step in branch)
