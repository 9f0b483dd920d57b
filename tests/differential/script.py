"""Scripts of etcdctl commands: how they are written, and how one runs against one server.

A line is a command. Before it may stand, in this order:

- ``NAME =``: what the command prints tells of a lease; ``{NAME}`` is its id from then on.
- ``*`` or ``[json fields]``: the command runs once in each of `FORMATS`, or in these; otherwise in the simple one.
- ``3>``: it does not end by itself: it is interrupted once it has printed that many lines.

After it may stand ``<<``: the lines up to one that is a single ``.`` are its standard input. ``{REV}``, ``{REV+2}``
are revisions, counted from that of the store when the script begins; ``{MEMBER}`` is the member's id, ``{DIR}`` a
directory. ``#`` begins a comment. Words are split as a shell does.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from oarlock.loadgen.own_etcd import find_etcd
from tests.differential.servers import Side

FORMATS: Final = ("simple", "json", "fields", "protobuf")
"""Those that most commands have; a table is asked for by name."""
ENDS_S: Final = 60.0
"""How long a command may take on a busy machine."""
_LINE: Final = re.compile(r"(?:(\w+) = )?(?:(\*)|\[([\w ]+)\])? *(?:(\d+)>)? *(.*)")
_LEASE: Final = re.compile(r"lease ([0-9a-f]{16}) granted|/([0-9a-f]+)\n")
"""A lease in what is printed: one that was granted, or that of the key of a lock or a candidate."""


class Line(NamedTuple):
    """A command of a script, with the number of its line."""

    number: int
    variable: str
    formats: tuple[str, ...]
    stops_after: int
    command: str
    stdin: str


class Ended(NamedTuple):
    """What a command did."""

    code: int
    out: bytes
    err: bytes


def parsed(text: str) -> list[Line]:
    """The commands of a script."""
    found = []
    lines = iter(enumerate(text.splitlines(), 1))
    for number, line in lines:
        if not line or line.startswith("#"):
            continue
        stdin = ""
        if line.endswith(" <<"):
            line = line.removesuffix(" <<")
            stdin = "".join(_here(lines))
        match = _LINE.fullmatch(line)
        assert match, line
        variable, star, listed, stops_after, command = match.groups()
        formats = FORMATS if star else tuple(listed.split()) if listed else ("simple",)
        found.append(Line(number, variable or "", formats, int(stops_after or 0), command, stdin))
    return found


def _here(lines: Iterator[tuple[int, str]]) -> Iterator[str]:
    for _, line in lines:
        if line == ".":
            return
        yield line + "\n"


@dataclass
class Session:
    """The run of a script against one server.

    Attributes:
        revision: of the store when it begins.
        directory: for files.
        other: address of the other server.
    """

    side: Side
    revision: int
    directory: Path
    other: str = ""
    _variables: dict[str, str] = field(default_factory=dict)
    ids: dict[str | int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ids = dict(self.side.ids) | {str(self.directory): "<directory>"}
        self._variables = {"MEMBER": f"{self.side.member_id:x}", "OTHER": self.other}
        self._variables["DIR"] = str(self.directory)

    def run(self, line: Line, output_format: str) -> Ended:
        """Runs a command, and remembers what it grants."""
        words = shlex.split(self._filled(line.command))
        ended = self._etcdctl(["-w", output_format, *words], line._replace(stdin=self._filled(line.stdin)))
        if line.variable:
            lease = _LEASE.search(ended.out.decode())
            assert lease, f"{line.command} told of no lease: {ended}"
            self._name_lease(line.variable, int(lease[1] or lease[2], 16))
        return ended

    def _name_lease(self, name: str, lease: int) -> None:
        """Calls a lease by a name from now on."""
        self._variables[name] = f"{lease:x}"
        self.ids |= {lease: f"<{name}>", f"{lease:016x}": f"<{name}>", f"{lease:x}": f"<{name}>"}

    def start(self, command: str, output_format: str = "simple") -> subprocess.Popen[bytes]:
        """Starts a command that goes on until it is interrupted."""
        return self._started(["-w", output_format, *shlex.split(self._filled(command))])

    def _started(self, words: list[str]) -> subprocess.Popen[bytes]:
        environment = {"PATH": os.environ["PATH"], "ETCDCTL_API": "3"} | {
            variable: value
            for flag, variable, value in (
                ("--endpoints", "ETCDCTL_ENDPOINTS", self.side.endpoint),
                ("--command-timeout", "ETCDCTL_COMMAND_TIMEOUT", f"{ENDS_S:.0f}s"),
                ("--dial-timeout", "ETCDCTL_DIAL_TIMEOUT", f"{ENDS_S:.0f}s"),
            )
            if not any(word.startswith(flag) for word in words)  # both are an error
        }
        pipe = subprocess.PIPE
        command = [str(etcdctl()), *words]
        return subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0)

    def _filled(self, text: str) -> str:
        text = re.sub(r"\{REV(?:([+-]\d+))?\}", lambda match: str(self.revision + int(match[1] or 0)), text)
        return re.sub(r"\{([A-Z]\w*)\}", lambda match: self._variables[match[1]], text)

    def _etcdctl(self, words: list[str], line: Line) -> Ended:
        with self._started(words) as process:
            watchdog = threading.Timer(ENDS_S, process.kill)
            watchdog.start()
            try:
                printed = _until_printed(process, line) if line.stops_after else b""
                rest, err = process.communicate(None if line.stops_after else line.stdin.encode())
                return Ended(process.returncode, printed + rest, err)
            finally:
                watchdog.cancel()
                process.kill()


def _until_printed(process: subprocess.Popen[bytes], line: Line) -> bytes:
    """Waits for the lines that the command has to print, then interrupts it."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(line.stdin.encode())
    printed = b"".join(process.stdout.readline() for _ in range(line.stops_after))
    process.send_signal(signal.SIGINT)
    process.wait()  # before its standard input ends, which is another reason to end
    return printed


def etcdctl() -> Path:
    """The program itself, beside the server's: the script of the package would start it through Python."""
    return find_etcd().with_name("etcdctl")
