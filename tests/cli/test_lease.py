from __future__ import annotations

from collections.abc import Callable

import pytest

from oarlock import StoppedError
from oarlock.cli.invocation import Invocation
from oarlock.cli.main import main
from tests.cli.conftest import Run
from tests.cli.stand_in import ModelClient


@pytest.fixture
def lease(oarlock: Run) -> str:
    return oarlock("lease", "grant", "60").out.split()[1].decode()


def keep_alive(client: ModelClient, lease: str, wait: Callable[[float], None]) -> int:
    return main(["lease", "keep-alive", lease], Invocation(connect=lambda *_, **__: client, wait=wait))


def test_ids_are_sixteen_hexadecimal_digits(oarlock: Run) -> None:
    assert oarlock("lease", "grant", "60").out == b"lease 0000000000001001 granted with TTL(60s)\n"


def test_keep_alive_renews_after_each_third_until_the_lease_is_gone(
    client: ModelClient, lease: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            client.model.leases.clear()

    assert keep_alive(client, lease, wait) == 0
    assert waits == [20.0] * 3
    renewed = f"lease {lease} keepalived with TTL(60)\n" * 3
    assert capfdbinary.readouterr().out.decode() == renewed + f"lease {lease} expired or revoked.\n"


def test_keep_alive_tries_again_after_a_failure(client: ModelClient, lease: str) -> None:
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 1:
            client.failures += [StoppedError(), StoppedError()]
        elif len(waits) == 4:
            client.model.leases.clear()

    assert keep_alive(client, lease, wait) == 0
    assert waits == [20.0, 0.5, 0.5, 20.0]


def test_keep_alive_gives_up_when_the_lease_cannot_be_alive_any_more(
    oarlock: Run, client: ModelClient, lease: str
) -> None:
    client.failures += [StoppedError()] * 2
    result = oarlock("lease", "keep-alive", lease, "--command-timeout", "1ns")
    assert result == (0, f"lease {lease} expired or revoked.\n".encode(), "")


def test_the_keys_of_a_lease_go_with_it(oarlock: Run, lease: str) -> None:
    oarlock("put", "k", "v", "--lease", lease)
    assert oarlock("lease", "timetolive", lease, "--keys").out.endswith(b"attached keys([k])\n")
    assert oarlock("lease", "revoke", lease).out == f"lease {lease} revoked\n".encode()
    assert oarlock("get", "k").out == b""


@pytest.mark.parametrize("line", ["lease grant 9999999999999", "lease revoke 77"])
def test_refusals_of_the_server_say_what_failed(oarlock: Run, line: str) -> None:
    result = oarlock(*line.split())
    assert result.code == 1
    assert result.err.startswith(f"Error: failed to {line.split()[1]} lease (etcdserver: ")


def test_lists_in_every_format(oarlock: Run, lease: str) -> None:
    number = int(lease, 16)
    assert oarlock("lease", "list").out == f"found 1 leases\n{lease}\n".encode()
    assert oarlock("lease", "list", "-w", "fields").out.endswith(f'"ID" : {number}\n'.encode())
    assert f'"leases":[{{"id":{number}}}]'.encode() in oarlock("lease", "list", "-w", "json").out
