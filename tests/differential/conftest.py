"""One etcd and one Oarlock for all tests of a test process.

With ``OARLOCK_DIFFERENTIAL=twin`` in the environment the second is an etcd as well: whatever differs then is a mistake
of these tests.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.differential.pair import Pair
from tests.differential.servers import NAME, Side, running_etcd, side_of
from tests.server import running


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with contextlib.ExitStack() as stack:
        etcd = stack.enter_context(_etcd("etcd", tmp_path_factory.mktemp("etcd")))
        twin = os.environ.get("OARLOCK_DIFFERENTIAL") == "twin"
        second = (_etcd if twin else _oarlock)("oarlock", tmp_path_factory.mktemp("second"))
        yield Pair(etcd, stack.enter_context(second))


@contextlib.contextmanager
def _etcd(name: str, directory: Path) -> Iterator[Side]:
    with running_etcd(directory) as endpoint, contextlib.closing(side_of(name, endpoint)) as side:
        yield side


@contextlib.contextmanager
def _oarlock(name: str, directory: Path) -> Iterator[Side]:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(running(directory, workers=1, arguments=("--name", NAME)))
        yield stack.enter_context(contextlib.closing(side_of(name, server.client_endpoint)))
