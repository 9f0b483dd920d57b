"""Hundreds of watches of one key, which changes again and again."""

from __future__ import annotations

import queue
from collections import defaultdict
from collections.abc import Iterator

from oarlock.gateway.proto import rpc_pb2

from .calls import Door

WATCHES = 200
"""After each message they have a pause of 5 ms: most puts fall into one."""
PUTS = 20


def test_every_watch_of_a_large_group_gets_every_change_in_order_and_the_last_without_another(
    door: Door, prefix: bytes
) -> None:
    requests: queue.Queue[rpc_pb2.WatchRequest | None] = queue.Queue()
    responses = door.both_ways("Watch/Watch", iter(requests.get, None))
    for _ in range(WATCHES):
        requests.put(rpc_pb2.WatchRequest(create_request={"key": prefix}))
        assert next(responses).created
    wanted = [door.put(prefix, b"%d" % number).header.revision for number in range(PUTS)]
    seen = revisions_of(responses, PUTS * WATCHES)
    assert seen == dict.fromkeys(range(WATCHES), wanted)
    last = door.put(prefix, b"last").header.revision
    requests.put(rpc_pb2.WatchRequest(progress_request={}))
    progress = next(response for response in responses if response.watch_id == -1)
    assert progress.header.revision >= last
    requests.put(None)


def revisions_of(responses: Iterator[rpc_pb2.WatchResponse], events: int) -> dict[int, list[int]]:
    """The revisions that each watch was told of, when all have been told of so many events."""
    seen: defaultdict[int, list[int]] = defaultdict(list)
    while events:
        response = next(responses)
        revisions = [event.kv.mod_revision for event in response.events]
        assert response.header.revision >= revisions[-1]
        seen[response.watch_id] += revisions
        events -= len(revisions)
    return dict(seen)
