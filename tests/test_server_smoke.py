"""The main job, through a real server."""

from __future__ import annotations

import oarlock
from tests.server import Server


def test_what_was_put_is_got_back_after_everything_was_killed(server: Server) -> None:
    with oarlock.connect(server.native_endpoint) as client:
        before = client.put("greeting", "hello").header.revision
        server.kill()
        server.start()
        found = client.get("greeting")
        assert found is not None
        assert (found.value, found.mod_revision) == (b"hello", before)


def test_it_stops_cleanly_when_asked(server: Server) -> None:
    assert server.stop() == 0
    assert not server.processes()
