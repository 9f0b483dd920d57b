"""Messages between the workers and the coordinator of one host (msgpack arrays on a ``Channel``).

Both ends belong to one release, so the shapes may change from release to release.

==============  ==============================================  ================================================
kind            worker to coordinator                           coordinator to worker
==============  ==============================================  ================================================
HELLO           [0, number, incarnation, applied_index]         [0, coordinator incarnation, cluster_id, member_id,
                                                                 first_index, last_index, snapshot path or None,
                                                                 initial members]
PROPOSE         [1, incarnation, [[batch, kind, payload], ..],  [1, first refused batch, code, message, pause_ms]
                taken_index, is_looked_for]
READ_INDEX      [2, context]                                    [2, context, index] or
                                                                [2, context, -code, message, detail]
FETCH           [3, first_index]                                [3, commit_index, entries, snapshot path or None]
KEEPALIVE       [4, context, [lease, ..]]                       [4, context, [[lease, ttl_s], ..]] (maybe in parts)
TIME_TO_LIVE    [5, context, [lease, ..]]                       [5, context, [[lease, ttl_s, granted_ttl_s], ..]]
REPORT          [6, applied_index, state_hash]                  (none)
SNAPSHOT        [7, path or None, problem]                      [7, directory]
STATUS          [8, context]                                    [8, context, {field: value}]
MEMBERS         [9, context, action, arguments]                 [9, context, result] or
                                                                [9, context, -code, message, detail]
COMMITTED                                                       [10, coordinator incarnation, term, leader,
                                                                 commit_index, entries]
CORRUPT                                                         [11]: the host's replicas are not what the other
                                                                members' are: serve nobody any more
==============  ==============================================  ================================================

Actions of MEMBERS, with their arguments and results (``members`` is ``[[id, name, peer_urls, native_urls, is_learner,
client_urls], ...]`` in the order of ids):

- ``list`` [linearizable]: members
- ``add`` [name, peer_urls, is_learner]: [member, members, [cluster_id, initial members]]
- ``remove`` [id], ``update`` [id, peer_urls], ``promote`` [id]: members
- ``move_leader`` [id]: None

Initial members are ``[[id, name, peer_urls], ...]``, as of the beginning of the log.

In PROPOSE, ``taken_index`` is up to where the worker has taken entries, and ``is_looked_for`` whether it looks for the
one batch's entry in the commit word without sleep; see ``coordinator.publishing``. Before it, a knock may come: a frame
of no bytes.

COMMITTED goes to all workers, also without entries as a heartbeat; a worker is sent one behind the answer to its HELLO,
so that it knows who leads before it serves. It is not sent to a worker that is far behind with reading: it notices by
the index of the next one, and fetches. An entry is ``[index, term, kind, incarnation, batch, payload]``.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from enum import IntEnum
from pathlib import Path

from oarlock.wire.errors import ConfigurationError


class Internal(IntEnum):
    """Message kinds."""

    HELLO = 0
    PROPOSE = 1
    READ_INDEX = 2
    FETCH = 3
    KEEPALIVE = 4
    TIME_TO_LIVE = 5
    REPORT = 6
    SNAPSHOT = 7
    STATUS = 8
    MEMBERS = 9
    COMMITTED = 10
    CORRUPT = 11


PUBLISH_INTERVAL_S = 0.25
"""A heartbeat of the commit stream: the longest that a last message that was not sent goes unnoticed."""
FETCH_MAX_BYTES = 1024 * 1024
"""What one FETCH returns at most: some tens of milliseconds of applying, so that a worker stays alive meanwhile."""


MAX_RUN_DIRECTORY_BYTES = 80
"""Leaves room for the names of sockets in the 107 bytes that the path of a unix socket may have."""


def coordinator_socket(data_dir: Path) -> Path:
    """The unix socket on which the coordinator listens for its workers."""
    return run_directory(data_dir) / "coordinator.sock"


def run_directory(data_dir: Path) -> Path:
    """The directory of sockets and other things that mean nothing after a stop.

    A unix socket's path has at most 107 bytes; where the data directory leaves too little of them, the directory is in
    the system's folder for temporary files, under a name that only this data directory has.
    """
    inside = data_dir.resolve() / "run"
    if len(os.fsencode(inside)) <= MAX_RUN_DIRECTORY_BYTES:
        return inside
    digest = hashlib.blake2b(os.fsencode(inside), digest_size=8).hexdigest()
    return Path(tempfile.gettempdir()) / f"oarlock-{os.getuid()}-{digest}"


def make_run_directory(data_dir: Path) -> Path:
    """Creates the run directory, for its owner alone.

    Raises:
        ConfigurationError: somebody else owns a directory of that name.
    """
    directory = run_directory(data_dir)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if directory.stat().st_uid != os.getuid():
        raise ConfigurationError(f"data-dir {data_dir}: {directory} belongs to another user")
    return directory
