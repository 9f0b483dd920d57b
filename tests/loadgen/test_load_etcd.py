"""The other side of a comparison: finding etcd, starting it, and the program that presses it."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from oarlock.loadgen import etcd_client
from oarlock.loadgen.etcd_client import build_etcd_load, client_version, run_etcd_load
from oarlock.loadgen.own_etcd import etcd_version, find_etcd, own_etcd


def program(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_the_etcd_of_the_package_is_found() -> None:
    assert etcd_version(find_etcd()).startswith("3.")


def test_an_etcd_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="nowhere"):
        find_etcd(tmp_path / "nowhere")


def test_three_members_start_with_a_leader_and_end(tmp_path: Path) -> None:
    async def members() -> list[int | None]:
        async with own_etcd(tmp_path, 3, find_etcd()) as etcd:
            assert etcd.leader() in etcd.endpoints
            assert etcd.cpu_s() > 0
        return [member.process.poll() for member in etcd.members]

    assert None not in asyncio.run(members())


def test_an_etcd_that_ends_at_once_is_reported_with_its_words(tmp_path: Path) -> None:
    async def start() -> None:
        async with own_etcd(tmp_path, 1, program(tmp_path / "etcd", "echo no such flag; exit 3")):
            pytest.fail("it cannot have started")

    with pytest.raises(RuntimeError, match=r"ended with 3\nno such flag"):
        asyncio.run(start())


def test_figures_come_from_the_load_program(tmp_path: Path) -> None:
    load = program(tmp_path / "load", """echo "{\\"errors\\": {}, \\"flags\\": \\"$*\\"}" """)
    figures = asyncio.run(run_etcd_load(load, 0.5, "-random"))
    assert figures["flags"] == "-seconds 0.5 -random"


@pytest.mark.parametrize(
    ("script", "reason"),
    [("echo broken >&2; exit 1", "broken"), ("""echo '{"errors": {"no space": 3}}'""", "no space")],
)
def test_a_load_that_fails_is_an_error(tmp_path: Path, script: str, reason: str) -> None:
    with pytest.raises(RuntimeError, match=reason):
        asyncio.run(run_etcd_load(program(tmp_path / "load", script), 0.5))


def test_without_go_it_is_said_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(RuntimeError, match="--no-etcd"):
        build_etcd_load(tmp_path / "load")


def test_a_program_newer_than_its_source_is_not_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "main.go").write_text("package main")
    monkeypatch.setattr(etcd_client, "SOURCE", source)
    target = tmp_path / "load"
    target.touch()
    assert build_etcd_load(target) == target


def test_the_version_of_the_client_is_that_of_its_module() -> None:
    assert client_version().startswith("v3.")
