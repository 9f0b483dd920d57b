"""Where the members of a development cluster listen, and what their keys mean."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from oarlock.host.dev_keys import Action, Keys, Quit
from oarlock.host.dev_plan import (
    FILE_NAME,
    Reservation,
    at_free_ports,
    at_ports_from,
    load_or_make,
    settings_of,
)
from oarlock.wire.errors import ConfigurationError


def test_the_first_member_is_where_commands_look_without_being_told() -> None:
    members = at_ports_from(2378, 3)
    assert [member.endpoint for member in members] == ["127.0.0.1:2378", "127.0.0.1:2388", "127.0.0.1:2398"]
    assert members[0].ports == (2378, 2377, 2380, 2381, 2379)


@pytest.mark.parametrize(("base_port", "ports"), [(2378, [2379, 22379, 32379, 2409]), (9000, [9001, 9011, 9021, 9031])])
def test_client_ports_are_those_of_etcds_example(base_port: int, ports: list[int]) -> None:
    assert [member.ports.client for member in at_ports_from(base_port, 4)] == ports


def test_a_plan_without_client_ports_still_runs(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text('[["m1", 2378, 2377, 2380, 0]]')
    members = load_or_make(tmp_path, 1, 0)
    assert settings_of(members[0], members, tmp_path, workers=1, log_level="info").listen_client_urls == ()


@pytest.mark.parametrize(("base_port", "count"), [(1, 1), (65533, 1), (65520, 3)])
def test_ports_that_are_none(base_port: int, count: int) -> None:
    with pytest.raises(ConfigurationError, match="base-port must be"):
        at_ports_from(base_port, count)


def test_free_ports_differ() -> None:
    ports = [port for member in at_free_ports(7) for port in member.ports if port]
    assert len(set(ports)) == len(ports) == 28


def test_ports_stay_what_they_are(tmp_path: Path) -> None:
    assert load_or_make(tmp_path, 3, 0) == load_or_make(tmp_path, 3, 2378)


def test_another_number_of_members_is_refused(tmp_path: Path) -> None:
    load_or_make(tmp_path, 3, 2378)
    with pytest.raises(ConfigurationError, match="is of 3 members, not 5"):
        load_or_make(tmp_path, 5, 2378)


def test_a_directory_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    with pytest.raises(ConfigurationError, match="not empty, and no development cluster"):
        load_or_make(tmp_path, 3, 2378)


@pytest.mark.parametrize("text", ["", "{", "[]", '[["m1", 1]]', '["m1"]', '[["m1", "a", 2, 3, 4]]'])
def test_a_damaged_plan_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE_NAME).write_text(text)
    with pytest.raises(ConfigurationError, match="cannot be used"):
        load_or_make(tmp_path, 1, 2378)


def test_every_member_is_told_of_all(tmp_path: Path) -> None:
    members = at_ports_from(2378, 3)
    settings = settings_of(members[1], members, tmp_path, workers=1, log_level="info")
    assert settings.name == "m2"
    assert settings.initial_cluster == (
        "m1=tcp://127.0.0.1:2380",
        "m2=tcp://127.0.0.1:2390",
        "m3=tcp://127.0.0.1:2400",
    )
    assert settings.data_dir == str(tmp_path / "m2")


def test_reserved_ports_are_given_to_nobody_else() -> None:
    members = at_free_ports(1)
    reservation = Reservation(members)
    try:
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", members[0].ports.native))
    finally:
        reservation.release()


def test_a_port_on_which_somebody_listens_is_named() -> None:
    members = at_free_ports(1)
    with socket.socket() as other:
        other.bind(("127.0.0.1", members[0].ports.peer))
        other.listen()
        with pytest.raises(ConfigurationError, match=f"port {members[0].ports.peer} cannot be had"):
            Reservation(members)


def test_a_digit_chooses_and_a_letter_acts() -> None:
    keys = Keys(3)
    assert keys.press("k") == "choose a member first: 1 to 3"
    assert str(keys.press("3")).startswith("m3: s stop")
    assert [keys.press(key) for key in "sftkr"] == [(3, action) for action in Action]
    keys.press("1")
    assert keys.press("k") == (1, Action.KILL)


@pytest.mark.parametrize("key", ["0", "4", "x", "?", "²"])
def test_any_other_key_brings_help(key: str) -> None:
    assert Keys(3).press(key) == Keys(3).help


@pytest.mark.parametrize("key", ["q", "\x04"])
def test_keys_that_end_it(key: str) -> None:
    assert Keys(3).press(key) is Quit.QUIT
