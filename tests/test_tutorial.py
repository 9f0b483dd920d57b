"""docs/tutorial.md: every line of it, typed into two terminals."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import oarlock
from tests.dev_terminal import END_TIMEOUT_S, DevTerminal
from tests.server import wait_until

TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorial.md"
DOCUMENTED = ["127.0.0.1:2378", "127.0.0.1:2388", "127.0.0.1:2398"]
END = "--- end of output ---"


class Step(NamedTuple):
    """A command with its output, or keys (then without)."""

    kind: str
    text: str
    output: str = ""


def steps() -> Iterator[Step]:
    for kind, block in re.findall(r"```(console|keys)\n(.*?)```", TUTORIAL.read_text(), re.DOTALL):
        if kind == "keys":
            yield from (Step(kind, line) for line in block.splitlines())
        for command in re.split(r"(?m)^\$ ", block)[1:] if kind == "console" else ():
            line, _, output = command.partition("\n")
            yield Step(kind, line, output)


class Shell:
    """A shell that remembers variables, as the reader's does."""

    def __init__(self, directory: Path) -> None:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        self._process = subprocess.Popen(
            ["bash"],
            cwd=directory,
            env={**os.environ, "PATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, command: str) -> str:
        """What a command prints, both streams."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{command}\necho '{END}'\n")
        self._process.stdin.flush()
        lines = []
        while (line := self._process.stdout.readline()) not in ("", f"{END}\n"):
            lines.append(line)
        return "".join(lines)

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def normal(text: str) -> str:
    """Output without what is another one each time: ids, numbers of Raft, hashes, sizes, times, who leads, widths."""
    for pattern, instead in (
        (r"\b[0-9a-f]{13,16}\b", "ID"),
        (r"\b[0-9.]+(ms|µs|s)\b", "TIME"),
        (r"\b[0-9.]+ [kM]?B\b", "SIZE"),
        (r":2[34][0-9]0\b", ":PEER"),
        (r"http://127\.0\.0\.1:[0-9]+", "http://127.0.0.1:CLIENT"),
        (r"(?<=, )[0-9]+(?=,|$)|(?<= )[0-9]+(?= \|)", "N"),
        (r"\b(true|false)\b", "BOOL"),
        (r"remaining\(\w+\)", "remaining"),
        (r"-+", "-"),
        (r" +", " "),
    ):
        text = re.sub(pattern, instead, text, flags=re.MULTILINE)
    return "\n".join(sorted(text.splitlines()) if text.count(", started, ") else text.splitlines())


def settle(endpoints: list[str]) -> None:
    """Waits for what is long past when a reader has typed a command: every member has published its addresses."""
    with oarlock.connect(endpoints, timeout_s=30) as client:
        wait_until(lambda: all(member.native_urls for member in client.member_list()), 60.0, "published addresses")


def lead(endpoints: list[str], number: int) -> None:
    """Sees to it that a member leads, as the tutorial has it."""
    with oarlock.connect(endpoints[number], timeout_s=30) as client:
        target = client.status().member_id
    for endpoint in endpoints:
        with oarlock.connect(endpoint, timeout_s=30) as client:
            status = client.status()
            if status.leader == status.member_id != target:
                client.move_leader(target)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[DevTerminal]:
    terminal = DevTerminal(tmp_path, "--members", "3")
    yield terminal
    terminal.close()


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path)
    yield shell
    shell.close()


def press(terminal: DevTerminal, keys: str) -> None:
    """Presses keys, and waits until what they mean has been done."""
    terminal.press(keys)
    if keys == "q":
        assert terminal.process.wait(END_TIMEOUT_S) == 0
        return
    member, action = keys.split()
    done = {"k": f"== m{member} is killed", "s": f"== m{member} is stopped", "r": rf"m{member} \| .*server ready"}
    terminal.wait_for(done[action])


def test_the_tutorial(terminal: DevTerminal, shell: Shell) -> None:
    first, *others = steps()
    assert first == Step("console", "oarlock dev-cluster --members 3")
    endpoints = terminal.wait_until_ready().endpoints
    settle(endpoints)
    lead(endpoints, 0)
    for step in others:
        if step.kind == "keys":
            press(terminal, step.text)
            continue
        command, expected = step.text, step.output
        for documented, real in zip(DOCUMENTED, endpoints, strict=True):
            command = command.replace(documented, real)
        output = shell.run(command)
        for documented, real in zip(DOCUMENTED, endpoints, strict=True):
            output = output.replace(real, documented)
        output = re.sub(r"tcp://127.0.0.1:(?!23[789]8\b)[0-9]+", "tcp://127.0.0.1:2380", output)
        assert normal(output) == normal(expected), command
        if "hashkv" in command:
            assert len({line.split(", ")[1] for line in output.splitlines()}) == 1
        if "status" in command:
            assert len(re.findall(r"\btrue\b", output)) == 1


def test_the_shown_outputs_are_not_all_alike() -> None:
    shown = [normal(step.output) for step in steps() if step.output]
    assert len(set(shown)) > 12
