"""The same commands to etcdctl (with a real etcd) and to oarlock: the same bytes, the same exit codes."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from oarlock.cli.gotext import hex_bytes
from tests.cli.conftest import Result, Run
from tests.server import Server

BIN = Path(sys.executable).parent
TXN = b"""ver("a") > "0"
val("b") != "x y"

get a b
put new "tab\\tend" --prev-kv
put 'two words' x
del b --prev-kv
get nothing

put never 1

"""
ELSE = b'mod("a") < "1"\n\nput never 1\n\nget a --keys-only\ndel nothing\nput a 4 --prev-kv\n\n'

SCRIPT: list[tuple[str, bytes]] = [
    (line, b"")
    for line in """
put a 1
put a 2 --prev-kv
-w fields put a 3 --prev-kv
put -w=json a 4 --prev-kv=true
put b 5 --prev-kv -w json
put a --ignore-value
put c 1 --ignore-lease
put nokey --ignore-value
put x 1 --ignore-value
put a 1 --lease zz
put a 1 --lease 123
put -- -dash -value
get -- -dash
get a
get a --hex
get nothing
get nothing -w json
get nothing -w fields
get a c
get a -w json
get a c -w fields
get --prefix= a
get a --prefix --keys-only
get a --from-key --limit=1 -w json
get a --from-key --limit 0x1 -w fields
get a --count-only -w fields
get a --count-only
get a --count-only --keys-only
get a --print-value-only
get a --print-value-only --hex
get a --print-value-only -w json
get a b --prefix
get a --prefix --from-key
get a --order=DESC
get a --from-key --order=descend
get a --from-key --sort-by version --order ASCEND -w json
get a --sort-by x
get a --consistency x
get a --consistency s
get a --rev 3
get a --rev 100
get a --rev -1
get a -w bad
get
lease grant 100
lease list
lease list -w json
lease list -w fields
lease timetolive LEASE
put leased 1 --lease LEASE
lease timetolive LEASE --keys
lease timetolive LEASE --keys -w json
lease timetolive LEASE -w json
lease timetolive LEASE --keys -w fields
lease timetolive 123
lease timetolive 123 -w json
lease timetolive zz
lease timetolive
lease keep-alive --once LEASE
lease keep-alive --once LEASE -w json
lease keep-alive --once LEASE -w fields
lease keep-alive 123
lease keep-alive 123 --once
get leased -w json
get leased -w fields
lease revoke LEASE
lease revoke 123
lease revoke zz
lease revoke
lease grant
lease grant x
lease grant 99999999999
leas li
lease grant 5 -w table
del
del a b --prefix
del nothing
del nothing -w json
del c --prev-kv
del x --from-key --prev-kv -w json
del -w fields b --prev-kv
put b 6
compaction
compaction x
compaction 3
compact 3
compaction 1000
get a --rev 2
watch
watch a b --prefix
watch --nope
watch a --
watch a --rev 2
txn extra
alarm list
alarm list -w json
alarm list -w fields
alarm list -w table
alarm disarm
alarm disarm -w json
get --bad
--command-timeout=x get a
endpoint health -w table
endpoint health
endpoint health -w json
endpoint health -w fields
""".strip().splitlines()
] + [
    ("put stdin", b"from\nstdin \xff\n"),
    ("get stdin", b""),
    ("get stdin -w fields", b""),
    ("get stdin -w json", b""),
    ("get stdin --hex", b""),
    ("txn", TXN),
    ("txn -w json", ELSE),
    ("txn -w fields", ELSE),
    ("txn -i", ELSE),
    ("txn", b'foo("a") = "1"\n\n\n\n'),
    ("txn", b'ver("a") = 1\n\n\n\n'),
    ("txn", b"\nput a 1\n"),
    ("txn", b"\nfoo a b\n\n\n"),
    ("txn", b"\nget a --order=x\n\n\n"),
    ("txn", b"\nput a 1\nput a 2\n\n\n"),
    ("txn -w table", b"\n\n\n"),
]

SAME_TEXT_NOT_EXPECTED = (
    "unknown flag", "invalid argument", "unsupported output format", "malformed comparison", "invalid txn request",
    "EOF", "sort",
)  # fmt: skip
"""Of these errors only the kind is the same: etcdctl prints its whole help too, or says less."""


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    client, peer = _free_ports(2)
    urls = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
    flags = {
        "data-dir": str(tmp_path_factory.mktemp("etcd") / "data"),
        "listen-client-urls": urls[0],
        "advertise-client-urls": urls[0],
        "listen-peer-urls": urls[1],
        "initial-advertise-peer-urls": urls[1],
        "initial-cluster": f"default={urls[1]}",
        "unsafe-no-fsync": "true",
        "log-level": "error",
    }
    arguments = [f"--{name}={value}" for name, value in flags.items()]
    with subprocess.Popen([BIN / "etcd", *arguments], stderr=subprocess.DEVNULL) as server:
        try:
            endpoint = f"127.0.0.1:{client}"
            assert _etcdctl(endpoint, "endpoint health --command-timeout 20s").code == 0
            yield endpoint
        finally:
            server.kill()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def _etcdctl(endpoint: str, line: str, stdin: bytes = b"") -> Result:
    environment = {"PATH": os.environ["PATH"], "ETCDCTL_API": "3", "ETCDCTL_ENDPOINTS": endpoint}
    done = subprocess.run(
        [BIN / "etcdctl", *line.split()], env=environment, input=stdin, capture_output=True, timeout=30, check=False
    )
    return Result(done.returncode, done.stdout, done.stderr.decode())


def _normal(result: Result, endpoint: str, ids: tuple[int, int], lease: str) -> tuple[int, str, str]:
    """Without what differs by nature: ids, times, the log lines of the Go client, the reason of a cut-off help."""
    out, err = result.out.decode("utf-8", "surrogateescape"), result.err
    for number, name in ((ids[0], "CLUSTER"), (ids[1], "MEMBER"), (int(lease or "f" * 16, 16), "LEASE")):
        out = out.replace(str(number), name).replace(f"{number:016x}", name)
    out = out.replace(endpoint, "ENDPOINT")
    out = re.sub(r"\d+(\.\d+)?(ms|µs|s)\b", "TIME", out)
    out = re.sub(r'("ttl":|remaining\(|"TTL" : |"?raft_?term"?\W+)\d+', r"\1N", out, flags=re.IGNORECASE)
    out = re.sub(r"([-+| ]){2,}", r"\1", out) if "ENDPOINT" in out else out
    errors = [line for line in err.splitlines() if line and not line.startswith("{")]
    kind = next((text for text in SAME_TEXT_NOT_EXPECTED if text in err), None)
    if kind:
        return result.code, "", kind
    return result.code, out, "\n".join(errors)


@pytest.mark.slow
def test_same_output_and_exit_codes_as_etcdctl(etcd: str, served: Run, server: Server) -> None:
    ids = _ids(_etcdctl(etcd, "endpoint status -w fields"))
    our_ids = _ids(served("endpoint", "status", "-w", "fields"))
    theirs = ours = ""
    differences = []
    for line, stdin in SCRIPT:
        expected = _etcdctl(etcd, line.replace("LEASE", theirs), stdin)
        got = served(*line.replace("LEASE", ours).split(), stdin=stdin)
        if line == "lease grant 100":
            theirs, ours = (r.out.split()[1].decode() for r in (expected, got))
        if _normal(got, server.native_endpoint, our_ids, ours) != _normal(expected, etcd, ids, theirs):
            differences.append(f"{line!r}\n{expected}\n{got}")
    assert not differences, "\n\n".join(differences)


def _ids(status: Result) -> tuple[int, int]:
    cluster, member = re.findall(r'"(?:ClusterID|MemberID)" : (\d+)', status.out.decode())
    return int(cluster), int(member)


WATCHED = (("put KEY v1", b"v1"), ("put KEY v2", b"v2"), ("del KEY", None))


@pytest.mark.parametrize("flags", ["", "-w json", "-w fields", "--prev-kv", "--prefix --hex", "-w fields --prev-kv"])
def test_same_watch_output_as_etcdctl(etcd: str, oarlock: Run, flags: str) -> None:
    key = "w" + re.sub(r"\W", "", flags)
    for line, _ in WATCHED:
        assert oarlock(*line.replace("KEY", key).split()).code == 0
    got = oarlock("watch", key, "--rev", "2", *flags.split()).out
    assert _shape(got) == _shape(_watch_live(etcd, key, flags))


def _watch_live(endpoint: str, key: str, flags: str) -> bytes:
    """What etcdctl prints when each change comes alone: the next is made when the one before has been printed."""
    first = _etcdctl(endpoint, "put other 1 -w json").out
    revision = int(re.findall(rb'"revision":(\d+)', first)[0]) + 1
    line = f"watch {key} --rev {revision} {flags}"
    environment = {"PATH": os.environ["PATH"], "ETCDCTL_API": "3", "ETCDCTL_ENDPOINTS": endpoint}
    with subprocess.Popen([BIN / "etcdctl", *line.split()], env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        out = b""
        for command, value in WATCHED:
            assert _etcdctl(endpoint, command.replace("KEY", key)).code == 0
            marks = (value, b64encode(value), hex_bytes(value)) if value else (b"DELETE", b'"type":1')
            while not any(mark in out for mark in marks):
                out += process.stdout.readline()
        process.kill()
    return out


def _shape(out: bytes) -> list[bytes]:
    """Without ids and revisions, and only up to the deletion, where the reading of the other one ends."""
    text = re.sub(rb'(Revision"|ID"|Term"|_id"|revision"|_term")( : |:)\d+', rb"\1N", out)
    return text.split(b"DELETE")[0].split(b'"type":1')[0].splitlines()
