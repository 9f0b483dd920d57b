"""endpoint and alarm."""

from __future__ import annotations

from typing import Any

import pytest

from oarlock import ConnectionFailedError
from oarlock.cli.output.table import render
from tests.cli.conftest import Run
from tests.cli.stand_in import MEMBER


def test_status_in_simple_columns(oarlock: Run) -> None:
    assert oarlock("endpoint", "status").out == b"127.0.0.1:2378, abcdef0123, 0.1.0, 20 kB, true, false, 2, 40, 40, \n"


def test_status_as_a_table_breaks_long_errors(oarlock: Run, client: Any) -> None:
    client.model.alarms.add((12507645167704905465, 1))
    rows = oarlock("endpoint", "status", "-w", "table").out.decode().splitlines()
    assert rows[1].endswith("| RAFT APPLIED INDEX |             ERRORS             |")
    assert rows[3].endswith("|                 40 |  memberID:12507645167704905465 |")
    assert rows[4].endswith("|                    |                 alarm:NOSPACE  |")


def test_status_in_json_and_fields(oarlock: Run) -> None:
    header = '"header":{"cluster_id":193,"member_id":737894400291,"revision":1,"raft_term":2}'
    assert oarlock("endpoint", "status", "-w", "json").out.decode() == (
        f'[{{"Endpoint":"127.0.0.1:2378","Status":{{{header},"version":"0.1.0","dbSize":20480,"leader":{MEMBER},'
        '"raftIndex":40,"raftTerm":2,"raftAppliedIndex":40,"dbSizeInUse":16384}}]\n'
    )
    fields = oarlock("endpoint", "status", "-w", "fields").out.decode()
    assert fields.endswith('"RaftAppliedIndex" : 40\n"Errors" : []\n"Endpoint" : "127.0.0.1:2378"\n\n')


def test_an_unreachable_endpoint_does_not_hide_the_others(oarlock: Run, client: Any) -> None:
    client.failures.append(ConnectionFailedError())
    result = oarlock("endpoint", "status", "--endpoints", "a:1,b:2")
    assert result.code == 1
    assert len(result.out.splitlines()) == 1
    assert result.err.startswith("Failed to get the status of endpoint ")
    assert result.err.endswith(" (oarlock: no endpoint could be reached)\n")


def test_hashkv_in_every_format(oarlock: Run) -> None:
    assert oarlock("endpoint", "hashkv").out == b"127.0.0.1:2378, 3709723930\n"
    assert oarlock("endpoint", "hash", "-w", "json").out.endswith(b',"hash":3709723930,"hash_revision":1}}]\n')
    assert oarlock("endpoint", "hashkv", "-w", "fields").out.endswith(b'"Hash" : 3709723930\n\n')
    assert b"| 127.0.0.1:2378 | 3709723930 |" in oarlock("endpoint", "hashkv", "-w", "table").out


def test_hashkv_that_fails(oarlock: Run, client: Any) -> None:
    client.failures.append(ConnectionFailedError())
    result = oarlock("endpoint", "hashkv")
    assert (result.code, result.out) == (1, b"")
    assert result.err.endswith("\nError: oarlock: no endpoint could be reached\n")


@pytest.mark.parametrize("format", ["simple", "json", "fields", "table"])
def test_an_alarm_makes_an_endpoint_unhealthy(oarlock: Run, client: Any, format: str) -> None:
    client.model.alarms.add((MEMBER, 1))
    result = oarlock("endpoint", "health", "-w", format)
    assert result.code == 1
    assert "Active Alarm(s): NOSPACE " in result.out.decode() + result.err
    assert result.err.endswith("Error: unhealthy cluster\n")


def test_an_unreachable_endpoint_is_unhealthy(oarlock: Run, client: Any) -> None:
    client.failures.append(ConnectionFailedError())
    result = oarlock("endpoint", "health")
    assert (result.code, result.out) == (1, b"")
    assert result.err.splitlines() == [
        "127.0.0.1:2378 is unhealthy: failed to commit proposal: oarlock: no endpoint could be reached",
        "Error: unhealthy cluster",
    ]


def test_alarms_are_listed_and_disarmed(oarlock: Run, client: Any) -> None:
    client.model.alarms |= {(5, 1), (6, 2)}
    both = b"memberID:5 alarm:NOSPACE \nmemberID:6 alarm:CORRUPT \n"
    assert oarlock("alarm", "list").out == both
    assert oarlock("alarm", "list", "-w", "json").out.endswith(
        b'"alarms":[{"memberID":5,"alarm":1},{"memberID":6,"alarm":2}]}\n'
    )
    assert oarlock("alarm", "list", "-w", "fields").out.endswith(b'"MemberID" : 6\n"AlarmType" : CORRUPT\n\n')
    assert oarlock("alarm", "disarm").out == both
    assert oarlock("alarm", "list").out == b""


def test_a_table_without_rows_is_its_head() -> None:
    assert render(["hash_kv"], []) == "+---------+\n| HASH KV |\n+---------+\n"


def test_a_word_wider_than_the_limit_widens_its_column() -> None:
    word = "x" * 40
    assert render(["error"], [[f"short {word}"]]).splitlines()[3:5] == [f"| {'short':>40} |", f"| {word} |"]
