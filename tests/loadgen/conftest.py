"""A server for the tests that need one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.loadgen.load_server import LoadServer


@pytest.fixture
def server() -> Iterator[LoadServer]:
    with LoadServer() as running:
        yield running
