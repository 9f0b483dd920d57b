"""Random operation sequences: the live server, the bare state machine and the model answer alike, errors included."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oarlock.wire.operations import FROM_KEY, Op
from tests.model.strategies import operations
from tests.server import running

from .contract import MAX_TXN_OPS, Trio
from .raw import RawClient, raw_context

steps = st.lists(st.tuples(operations(), st.booleans()), min_size=10, max_size=50)
LIVE = settings(
    deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RawClient]:
    """A connection to a server that nobody else uses, whose store can be emptied and compacted."""
    arguments = ("--max-txn-ops", str(MAX_TXN_OPS))
    with running(tmp_path_factory.mktemp("contract"), arguments=arguments) as server, raw_context() as context:
        yield RawClient(context, server.native_endpoint)


def follow(alone: RawClient, run: list[tuple[list[Any], bool]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        trio = Trio(alone, Path(name) / "replica")
        for operation, is_alone in run:
            trio.issue(operation, alone=is_alone)
        trio.flush()
        for revision in range(max(trio.model.compact_revision, 1), trio.model.revision + 1):
            trio.issue([int(Op.RANGE), b"\0", 0, FROM_KEY, 0, revision])
        trio.close()


@settings(LIVE, max_examples=40)
@given(steps)
def test_a_live_server_follows_the_model(alone: RawClient, run: list[tuple[list[Any], bool]]) -> None:
    follow(alone, run)


@pytest.mark.soak
@settings(LIVE, max_examples=5_000, derandomize=False)
@given(steps)
def test_a_live_server_follows_the_model_for_long(alone: RawClient, run: list[tuple[list[Any], bool]]) -> None:
    follow(alone, run)
