"""Fixtures for all tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.server import Server, running

settings.register_profile("oarlock", deadline=None)  # a busy machine is no failure of the code
settings.load_profile("oarlock")


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for all tests of one test process that keep to keys of their own and do it no harm."""
    with running(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own, with empty data, which it may kill."""
    with running(tmp_path) as own:
        yield own
