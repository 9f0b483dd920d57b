"""What a ready server says."""

from __future__ import annotations

import io

from oarlock.host import announce, config
from oarlock.host.settings import Settings


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def message(settings: Settings) -> str:
    terminal = Terminal()
    announce.ready(settings, terminal)
    return terminal.getvalue()


def test_a_person_is_told_what_to_try() -> None:
    text = message(config.load({"workers": "1"}, {}))
    assert "oarlock put greeting hello" in text
    assert "1 worker," in text


def test_the_command_names_the_endpoint_where_it_must() -> None:
    assert "oarlock --endpoints 10.0.0.1:5 put" in message(config.load({"listen-native-urls": "tcp://10.0.0.1:5"}, {}))


def test_an_address_for_all_interfaces_becomes_one_to_connect_to() -> None:
    assert "oarlock put greeting hello" in message(config.load({"listen-native-urls": "tcp://0.0.0.0:2378"}, {}))
    assert "--endpoints [::1]:2378 put" in message(config.load({"listen-native-urls": "tcp://[::]:2378"}, {}))


def test_a_log_collector_is_spared_the_message() -> None:
    stream = io.StringIO()
    announce.ready(config.load({}, {}), stream)
    assert stream.getvalue() == ""
