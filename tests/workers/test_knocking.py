from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from oarlock.workers.coordinator_link import CoordinatorLink
from oarlock.workers.knocking import Knocking

from .grpc_door import connect, grpc_door


def test_a_client_s_next_bytes_knock_once_where_a_write_is_expected() -> None:
    knocks: list[bool] = []
    door = grpc_door(())
    door.knocking = Knocking(lambda: knocks.append(True))
    peer, _ = connect(door)
    peer.data_received(b"PRI")
    assert not knocks
    door.knocking.is_due = True
    peer.data_received(b" * ")
    peer.data_received(b"HTTP")
    assert len(knocks) == 1


def test_a_coordinator_that_is_away_is_not_knocked_at() -> None:
    link = CoordinatorLink(cast(Any, SimpleNamespace()), Path("/nowhere"))
    link.knock()
