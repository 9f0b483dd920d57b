"""Both systems over TLS, with a certificate of the moment."""

from __future__ import annotations

import asyncio
import ssl
import sys
from pathlib import Path

import pytest

from oarlock.loadgen import door_suite
from oarlock.loadgen.certificate import make_certificate
from oarlock.loadgen.comparison import OURS, THEIRS
from oarlock.loadgen.door_suite import TLS_TASKS, DoorSide, door_sides
from oarlock.loadgen.own_etcd import find_etcd


def test_both_are_reached_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setattr(door_suite, "build_benchmark", lambda _: program)

    async def spoken() -> list[str | None]:
        async with door_sides(tmp_path, (), find_etcd(), over_tls=True) as sides:
            trusted = ssl.create_default_context(cafile=str(tmp_path / "certificate.pem"))
            versions = []
            for name in (OURS, THEIRS):
                side = sides[name]
                assert isinstance(side, DoorSide)
                host, _, port = side.endpoint.rpartition(":")
                _, writer = await asyncio.open_connection(host, int(port), ssl=trusted)
                versions.append(writer.get_extra_info("ssl_object").version())
                writer.close()
            return versions

    assert asyncio.run(spoken()) == ["TLSv1.3", "TLSv1.2"]  # etcd 3.5 speaks no newer one


def test_without_the_package_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(RuntimeError, match="install the package cryptography"):
        make_certificate(tmp_path)


def test_the_loads_over_tls_are_some_of_all() -> None:
    assert set(TLS_TASKS) < set(door_suite.TASKS)
    assert {(task.in_flight, task.connections) for task in TLS_TASKS} == {(1, 1), (100, 10), (1000, 10)}
