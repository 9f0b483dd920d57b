from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from oarlock.cli.invocation import Invocation
from oarlock.cli.main import main
from tests.cli.stand_in import ModelClient
from tests.model.kv_model import KvModel
from tests.server import Server


class Result(NamedTuple):
    code: int
    out: bytes
    err: str


Run = Callable[..., Result]


@pytest.fixture
def client() -> ModelClient:
    return ModelClient(KvModel())


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def served(server: Server, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Runs a command line against a real server of the test's own."""
    monkeypatch.setenv("OARLOCK_ENDPOINTS", server.native_endpoint)
    return lambda *arguments, stdin=b"": _run(arguments, stdin, Invocation(), monkeypatch, capfdbinary)


@pytest.fixture
def oarlock(
    client: ModelClient, waits: list[float], monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> Run:
    """Runs a command line against the model; ``connected`` of the client says with what it was connected."""

    def connect(*endpoints: str, **options: Any) -> ModelClient:
        client.connected = (endpoints, options)  # type: ignore[attr-defined]
        return client

    def run(*arguments: str | bytes, stdin: bytes = b"") -> Result:
        return _run(arguments, stdin, Invocation(connect=connect, wait=waits.append), monkeypatch, capfdbinary)

    return run


def _run(
    arguments: tuple[str | bytes, ...],
    stdin: bytes,
    invocation: Invocation,
    monkeypatch: pytest.MonkeyPatch,
    capture: pytest.CaptureFixture[bytes],
) -> Result:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
    words = [os.fsdecode(argument) for argument in arguments]
    code = main(words, invocation)
    out, err = capture.readouterr()
    return Result(code, out, err.decode())
