from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.client.fake_worker import FakeWorker


@pytest.fixture
def worker() -> Iterator[FakeWorker]:
    with FakeWorker() as worker:
        yield worker
