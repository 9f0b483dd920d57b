"""Why a watch was not made, in the words that etcd's clients know."""

from __future__ import annotations

from oarlock.wire.errors import CompactedError, OarlockError, RequestError, WatcherRangeEmptyError


class DuplicateWatchError(RequestError):
    """The id is one of a watch that is active on the stream."""

    text = "mvcc: duplicate watch ID provided on the WatchStream"


def cancel_reason(problem: OarlockError) -> str:
    """The reason in the answer: what etcd's store says is told as it is, anything else as the status of a call."""
    if isinstance(problem, WatcherRangeEmptyError | DuplicateWatchError | CompactedError):
        return problem.message
    code = problem.code.name.title().replace("_", "")  # as Go prints it
    return f"rpc error: code = {code} desc = {problem.message}"
