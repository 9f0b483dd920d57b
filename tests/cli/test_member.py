"""member, move-leader, and endpoint --cluster."""

from __future__ import annotations

import json
from typing import Any

import pytest

from oarlock import ConnectionFailedError
from oarlock.wire.operations import Op
from tests.cli.conftest import Run
from tests.cli.stand_in import CLUSTER, MEMBER, NEW_MEMBER, OTHER_MEMBER

M1 = "abcdef0123, started, m1, tcp://127.0.0.1:2380, http://127.0.0.1:2379, false\n"
M2 = "bcdef01234, started, m2, tcp://127.0.0.1:2390, http://127.0.0.1:2389, false\n"
URLS = "--peer-urls=http://127.0.0.1:2400"
TABLE = """\
+------------+---------+------+----------------------+-----------------------+------------+----------------------+
|     ID     | STATUS  | NAME |      PEER ADDRS      |     CLIENT ADDRS      | IS LEARNER |     NATIVE ADDRS     |
+------------+---------+------+----------------------+-----------------------+------------+----------------------+
| abcdef0123 | started |   m1 | tcp://127.0.0.1:2380 | http://127.0.0.1:2379 |      false | tcp://127.0.0.1:2378 |
| bcdef01234 | started |   m2 | tcp://127.0.0.1:2390 | http://127.0.0.1:2389 |      false | tcp://127.0.0.1:2388 |
+------------+---------+------+----------------------+-----------------------+------------+----------------------+
"""


def test_members_in_simple_columns(oarlock: Run) -> None:
    assert oarlock("member", "list").out.decode() == M1 + M2


def test_a_member_that_has_not_started_has_neither_name_nor_client_address(oarlock: Run) -> None:
    oarlock("member", "add", "m3", URLS, "--learner")
    unstarted = "cdef012345, unstarted, , http://127.0.0.1:2400, , true\n"
    assert oarlock("member", "list").out.decode() == M1 + M2 + unstarted


def test_members_as_a_table(oarlock: Run) -> None:
    assert oarlock("member", "list", "-w", "table").out.decode() == TABLE


def test_members_in_fields(oarlock: Run) -> None:
    assert (
        oarlock("member", "list", "-w", "fields")
        .out.decode()
        .startswith(
            f'"ClusterID" : {CLUSTER}\n"MemberID" : {MEMBER}\n"RaftTerm" : 2\n'
            f'"ID" : {MEMBER}\n"Name" : "m1"\n"PeerURL" : "tcp://127.0.0.1:2380"\n'
            '"ClientURL" : "http://127.0.0.1:2379"\n"IsLearner" : false\n'
            '"NativeURL" : "tcp://127.0.0.1:2378"\n\n"ID" : '
        )
    )


def test_members_in_json_with_ids_as_numbers_or_hexadecimal(oarlock: Run) -> None:
    listed = json.loads(oarlock("member", "list", "-w", "json").out)
    assert listed["header"] == {"cluster_id": CLUSTER, "member_id": MEMBER, "raft_term": 2}
    assert listed["members"][1] == {
        "ID": OTHER_MEMBER,
        "name": "m2",
        "peerURLs": ["tcp://127.0.0.1:2390"],
        "clientURLs": ["http://127.0.0.1:2389"],
        "nativeURLs": ["tcp://127.0.0.1:2388"],
    }
    listed = json.loads(oarlock("member", "list", "-w", "json", "--hex").out)
    assert (listed["header"]["cluster_id"], listed["members"][1]["ID"]) == ("c1", "bcdef01234")


@pytest.mark.parametrize(("flags", "linearizable"), [((), True), (("--consistency", "s"), False)])
def test_a_list_is_linearizable_unless_told_otherwise(
    oarlock: Run, client: Any, flags: tuple[str, ...], linearizable: bool
) -> None:
    oarlock("member", "list", *flags)
    assert client.sent == [(Op.MEMBER_LIST, linearizable)]


def test_adding_prints_the_settings_of_the_new_member(oarlock: Run, client: Any) -> None:
    assert oarlock("member", "add", "m3", URLS).out.decode() == (
        "Member       cdef012345 added to cluster               c1\n\n"
        'OARLOCK_NAME="m3"\n'
        'OARLOCK_INITIAL_CLUSTER="m1=tcp://127.0.0.1:2380,m2=tcp://127.0.0.1:2390,m3=http://127.0.0.1:2400"\n'
        'OARLOCK_INITIAL_ADVERTISE_PEER_URLS="http://127.0.0.1:2400"\n'
        'OARLOCK_INITIAL_CLUSTER_STATE="existing"\n'
    )
    assert client.sent == [(Op.MEMBER_ADD, "m3", ["http://127.0.0.1:2400"], False)]


def test_adding_a_learner_says_so(oarlock: Run) -> None:
    first_line = oarlock("member", "add", "m3", URLS, "--learner").out.decode().splitlines()[0]
    assert first_line == "Member       cdef012345 added as learner to cluster               c1"
    added = json.loads(oarlock("member", "add", "m3", URLS, "--learner", "-w", "json").out)
    assert added["member"] == {"ID": NEW_MEMBER, "peerURLs": ["http://127.0.0.1:2400"], "isLearner": True}
    assert added["members"][2] == added["member"]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("remove", "bcdef01234"), b"Member       bcdef01234 removed from cluster               c1\n"),
        (("update", "bcdef01234", URLS), b"Member       bcdef01234 updated in cluster               c1\n"),
        (("promote", "bcdef01234"), b"Member       bcdef01234 promoted in cluster               c1\n"),
    ],
    ids=lambda value: value[0],
)
def test_changes(oarlock: Run, command: tuple[str, ...], said: bytes) -> None:
    assert oarlock("member", *command).out == said


def test_a_change_in_json_lists_the_members(oarlock: Run) -> None:
    left = json.loads(oarlock("member", "remove", "bcdef01234", "-w", "json").out)
    assert [member["name"] for member in left["members"]] == ["m1"]


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (("add",), 128, "member name not provided"),
        (("add", "a", "b", URLS), 128, "too many arguments"),
        (("add", "a"), 128, "member peer urls not provided"),
        (("remove",), 128, "member ID is not provided"),
        (
            ("remove", "xy"),
            128,
            'bad member ID arg (strconv.ParseUint: parsing "xy": invalid syntax), expecting ID in Hex',
        ),
        (("update", "5"), 128, "member peer urls not provided"),
        (("promote", "5"), 1, "etcdserver: member not found"),
        (("list", "x"), 128, "member list command needs no arguments"),
        (("list", "--consistency", "q"), 4, 'unknown consistency flag "q"'),
        (("remove", "5", "-w", "table"), 4, "table not supported as output format"),
        (("add", "a", URLS, "-w", "fields"), 4, "fields not supported as output format"),
    ],
)
def test_refusals(oarlock: Run, command: tuple[str, ...], code: int, said: str) -> None:
    assert oarlock("member", *command) == (code, b"", f"Error: {said}\n")


def test_leadership_is_moved_by_the_endpoint_that_leads(oarlock: Run, client: Any) -> None:
    client.failures.append(ConnectionFailedError())  # the first endpoint is not there
    result = oarlock("move-leader", "bcdef01234", "--endpoints", "a:1,b:2")
    assert result == (0, b"Leadership transferred from abcdef0123 to bcdef01234\n", "")
    assert client.connected[0] == ("b:2",)
    assert client.sent[-1] == (Op.MOVE_LEADER, OTHER_MEMBER)


def test_leadership_is_not_moved_without_the_leader(oarlock: Run, client: Any) -> None:
    client.failures += [ConnectionFailedError(), ConnectionFailedError()]
    result = oarlock("move-leader", "bcdef01234", "--endpoints", "a:1,b:2")
    assert result == (128, b"", "Error: no leader endpoint given at [a:1 b:2]\n")


@pytest.mark.parametrize("command", ["status", "hashkv", "health"])
def test_a_whole_cluster_is_asked(oarlock: Run, client: Any, command: str) -> None:
    lines = oarlock("endpoint", command, "--cluster").out.decode().splitlines()
    assert [line[:20] for line in lines] == ["tcp://127.0.0.1:2378", "tcp://127.0.0.1:2388"]
    assert client.sent[0] == (Op.MEMBER_LIST, False)
