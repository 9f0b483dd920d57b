"""How etcd's command line, variables and file are read; where the real etcd is installed, compared with it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from oarlock.host.etcd_command_line import UsageError, gather, parse
from oarlock.host.etcd_flag_table import FLAGS, GROUPS
from oarlock.host.etcd_flags import canonical
from oarlock.host.settings import SETTINGS
from oarlock.loadgen.own_etcd import find_etcd
from oarlock.wire.errors import ConfigurationError


def real_etcd() -> Path | None:
    try:
        return find_etcd()
    except RuntimeError:
        return None


ETCD = real_etcd()
needs_etcd = pytest.mark.skipif(ETCD is None, reason="etcd is not installed")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--name", "m1", "--pre-vote"],
        ["-name=m1", "-pre-vote=true"],
        ["--name=x", "--name=m1", "--pre-vote=T"],
        ["--name", "m1", "--pre-vote=1", "--"],
    ],
)
def test_flags_are_written_as_in_go(arguments: list[str]) -> None:
    assert parse(arguments) == {"name": "m1", "pre-vote": "true"}


@pytest.mark.parametrize(
    ("text", "number"), [("10", "10"), ("0x10", "16"), ("010", "8"), ("0b11", "3"), ("1_000", "1000"), ("0", "0")]
)
def test_numbers_may_have_another_base(text: str, number: str) -> None:
    assert parse([f"--max-txn-ops={text}"]) == {"max-txn-ops": number}


BAD_LINES = [
    ["--foo"],
    ["-foo=bar"],
    ["---name=x"],
    ["--=x"],
    ["--name"],
    ["--max-txn-ops=abc"],
    ["--max-txn-ops=-1"],
    ["--max-txn-ops=99999999999999999999"],
    ["--pre-vote=maybe"],
    ["--grpc-keepalive-timeout=5"],
]


@pytest.mark.parametrize("arguments", BAD_LINES, ids=" ".join)
def test_a_bad_line_is_an_error(arguments: list[str]) -> None:
    with pytest.raises(UsageError):
        parse(arguments)


@needs_etcd
@pytest.mark.parametrize("arguments", BAD_LINES, ids=" ".join)
def test_bad_lines_are_refused_in_the_words_of_etcd(arguments: list[str]) -> None:
    real = subprocess.run([str(ETCD), *arguments], capture_output=True, text=True, timeout=60, check=False)
    with pytest.raises(UsageError) as raised:
        parse(arguments)
    assert (real.returncode, real.stderr.splitlines()[0]) == (2, raised.value.message)


def test_a_word_that_is_no_flag_is_refused_as_etcd_does() -> None:
    with pytest.raises(ConfigurationError, match=r"^'gateway' is not a valid flag$"):
        parse(["--name", "x", "gateway"])


@needs_etcd
def test_every_flag_of_the_real_etcd_is_known() -> None:
    said = subprocess.run([str(ETCD), "--help"], capture_output=True, text=True, timeout=60, check=True)
    names = set(re.findall(r"^  --([a-z0-9-]+)", said.stdout, re.MULTILINE))
    assert len(names) > 80
    assert names - {"config-file", "version"} <= FLAGS.keys()


def test_every_flag_is_listed_once_and_every_default_is_a_value() -> None:
    flags = [flag for group in GROUPS.values() for flag in group]
    assert len({flag.name for flag in flags}) == len(flags)
    assert all(canonical(flag, flag.default) == flag.default for flag in flags)


def test_what_a_flag_stands_for_exists() -> None:
    ours = {setting.flag for setting in SETTINGS} | {"log-outputs"}
    assert {flag.setting for flag in FLAGS.values() if flag.setting} <= ours


def test_variables_count_where_there_is_no_flag() -> None:
    environment = {"ETCD_NAME": "m2", "ETCD_PRE_VOTE": "0", "ETCD_DATA_DIR": "", "HOME": "/", "ETCDCTL_API": "3"}
    given = gather({"max-txn-ops": "5"}, environment)
    assert given == ({"max-txn-ops": "5", "name": "m2", "pre-vote": "false"}, [])


def test_a_flag_and_its_variable_conflict() -> None:
    with pytest.raises(ConfigurationError, match="conflicting environment variable ETCD_NAME is shadowed"):
        gather({"name": "m1"}, {"ETCD_NAME": "m2"})


def test_an_unknown_variable_is_told() -> None:
    assert gather({}, {"ETCD_NAEM": "m2", "ETCD_VERSION": "v3.5.0"}).unknown == ["ETCD_NAEM"]


def test_a_bad_value_of_a_variable_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r'invalid value "abc" for max-txn-ops \(from ETCD_MAX_TXN_OPS\)'):
        gather({}, {"ETCD_MAX_TXN_OPS": "abc"})


FILE = """
name: m3
quota-backend-bytes: 0x10
strict-reconfig-check: false
grpc-keepalive-min-time: 3000000000
log-outputs: [stderr]
initial-cluster:
client-transport-security:
  cert-file: c.pem
  client-cert-auth: true
  allowed-hostname: h
peer-transport-security:
  cert-file: p.pem
  allowed-cn: cn
no-such-key: 1
"""


@pytest.mark.parametrize("by_variable", [False, True])
def test_a_file_counts_alone(tmp_path: Path, by_variable: bool) -> None:
    path = tmp_path / "etcd.yml"
    path.write_text(FILE)
    environment = {"ETCD_SNAPSHOT_COUNT": "7"} | ({"ETCD_CONFIG_FILE": str(path)} if by_variable else {})
    flags = {"name": "m1"} | ({} if by_variable else {"config-file": str(path)})
    given = gather(flags, environment)
    assert given.unknown == ["no-such-key"]
    assert given.values == {
        "name": "m3",
        "quota-backend-bytes": "16",
        "strict-reconfig-check": "false",
        "grpc-keepalive-min-time": "3000000000ns",
        "log-outputs": "stderr",
        "cert-file": "c.pem",
        "client-cert-auth": "true",
        "client-cert-allowed-hostname": "h",
        "peer-cert-file": "p.pem",
        "peer-cert-allowed-cn": "cn",
    }


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (": :", "is not YAML"),
        ("- a", "must hold keys and values"),
        ("name: {a: 1}", "name must be a plain value"),
        ("max-txn-ops: many", 'invalid value "many" for max-txn-ops'),
        ("!!python/object/apply:os.getpid []", "is not YAML"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, content: str, complaint: str) -> None:
    path = tmp_path / "etcd.yml"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=complaint) as raised:
        gather({"config-file": str(path)}, {})
    assert str(path) in raised.value.message


def test_a_missing_file_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="cannot read config-file /nowhere: No such file"):
        gather({"config-file": "/nowhere"}, {})


def test_the_command_starts_without_what_only_a_server_needs() -> None:
    code = "import sys; import oarlock.host.etcd_launcher; print(*{'zmq', 'lmdb', 'aiohttp'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "\n"
