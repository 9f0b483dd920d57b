"""Global flags, abbreviations, and how bad ones are refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.conftest import Run


@pytest.mark.parametrize(
    "line",
    [
        "--endpoints a:1,b:2 get k",
        "get --endpoints a:1,b:2 k",
        "get k --endpoints=a:1 --endpoints=b:2",
        "get k --endpoints tcp://a:1,http://b:2/",
    ],
)
def test_endpoints_may_stand_anywhere(oarlock: Run, client: Any, line: str) -> None:
    assert oarlock(*line.split()).code == 0
    assert client.connected[0] == ("a:1", "b:2")


def test_a_deep_global_flag_wins_over_an_outer_one(oarlock: Run) -> None:
    assert oarlock("-w", "json", "lease", "-w=simple", "list").out == b"found 0 leases\n"


def test_timeouts_reach_the_client(oarlock: Run, client: Any) -> None:
    oarlock("get", "k", "--command-timeout", "500ms", "--dial-timeout=1m")
    assert client.connected[1] == {"timeout_s": 0.5, "connect_timeout_s": 60.0}


def test_the_environment_sets_global_flags_and_the_command_line_wins(
    oarlock: Run, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OARLOCK_ENDPOINTS", "env:1,env:2")
    monkeypatch.setenv("OARLOCK_HEX", "true")
    monkeypatch.setenv("OARLOCK_COMMAND_TIMEOUT", "7s")
    oarlock("put", "k", "v")
    assert oarlock("get", "k").out == b"\\x6b\n\\x76\n"
    assert client.connected == (("env:1", "env:2"), {"timeout_s": 7.0, "connect_timeout_s": 2.0})
    assert oarlock("get", "k", "--hex=false", "--endpoints=here:1").out == b"k\nv\n"
    assert client.connected[0] == ("here:1",)


@pytest.mark.parametrize("line", ["compact 1", "comp 1", "leas li", "lea list", "e stat", "alarm l", "vers"])
def test_unambiguous_abbreviations(oarlock: Run, line: str) -> None:
    result = oarlock(*line.replace("comp ", "compa ").split())
    assert (result.code, result.err) == (0, "")


@pytest.mark.parametrize(
    ("line", "code", "error"),
    [
        ("comp 1", 1, 'ambiguous command "comp" for "oarlock": compaction, completion'),
        ("frobnicate", 1, 'unknown command "frobnicate" for "oarlock"'),
        ("lease foo", 1, 'unknown command "foo" for "oarlock lease"'),
        ("get k --bad", 1, "unknown flag: --bad"),
        ("get k -x", 1, "unknown shorthand flag: 'x' in -x"),
        ("get k --rev", 1, "flag needs an argument: --rev"),
        ("get k --rev x", 1, 'invalid argument "x" for "--rev" flag: strconv.ParseInt: parsing "x": invalid syntax'),
        (
            "get k --prefix=2", 1,
            'invalid argument "2" for "--prefix" flag: strconv.ParseBool: parsing "2": invalid syntax',
        ),
        (
            "get k --dial-timeout 5", 1,
            'invalid argument "5" for "--dial-timeout" flag: time: missing unit in duration "5"',
        ),
        ("get k --dial-timeout 0s", 1, 'invalid argument "0s" for "--dial-timeout" flag: must be more than 0'),
        ("get k -w xml", 4, 'unsupported output format "xml": must be one of simple, json, fields, table'),
        ("get k -w table", 4, "table not supported as output format"),
        ("get k --endpoints https://a:1", 1, "endpoint 'https://a:1' must be HOST:PORT, tcp://HOST:PORT or http://HOST:PORT"),
        ("get k --endpoints ,", 1, "--endpoints must name at least one endpoint"),
        ("get", 128, "get command needs one argument as key and an optional argument as range_end"),
        ("completion", 128, "completion needs the name of a shell, one of bash, zsh, fish"),
        ("compaction 1 2", 128, "compaction command needs 1 argument"),
        ("lease list x", 128, "lease list command does not accept arguments"),
        ("endpoint status x", 128, "endpoint status command does not accept arguments: see --endpoints"),
        ("watch -i k", 128, "watch -i takes no arguments: what to watch comes from standard input"),
    ],
)  # fmt: skip
def test_bad_command_lines_are_refused_in_one_line(oarlock: Run, line: str, code: int, error: str) -> None:
    assert oarlock(*line.split()) == (code, b"", f"Error: {error}\n")


def test_an_unsupported_format_is_refused_before_anything_is_sent(oarlock: Run, client: Any) -> None:
    assert oarlock("put", "k", "v", "-w", "table").code == 4
    assert client.sent == []


@pytest.mark.parametrize("line", ["", "-h", "--help", "lease", "lease -h", "get --help", "lease grant -h"])
def test_help_goes_to_standard_output(oarlock: Run, line: str) -> None:
    result = oarlock(*line.split())
    assert result.code == 0
    assert result.out.startswith(b"Usage: oarlock")
    assert result.err == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(oarlock: Run, shell: str) -> None:
    result = oarlock("completion", shell)
    assert result.code == 0
    assert b"_OARLOCK_COMPLETE" in result.out


def test_completion_offers_commands_flags_and_formats(oarlock: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_OARLOCK_COMPLETE", "bash_complete")
    for words, number, offered in (("oarlock le", 1, b"plain,lease\n"), ("oarlock -w js", 2, b"plain,json\n"),
                                   ("oarlock get --keys", 2, b"plain,--keys-only\n")):  # fmt: skip
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(number))
        assert oarlock().out == offered
