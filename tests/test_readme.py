"""The README's tour, run line by line against a live server: every line works, and shows what it says."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

README = Path(__file__).parents[1] / "README.md"
COMMANDS_TIMEOUT_S = 60


class Step(NamedTuple):
    """One command of the tour, and what the README says that it prints; ``...`` stands for anything in a line."""

    command: str
    output: list[str]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README.read_text(), flags=re.MULTILINE | re.DOTALL)


def steps() -> list[Step]:
    found: list[Step] = []
    for line in "".join(blocks("console")).splitlines():
        if line.startswith("$ "):
            found.append(Step(line[2:], []))
        elif line == ">" or line.startswith("> "):
            found[-1] = found[-1]._replace(command=f"{found[-1].command}\n{line[2:]}")
        else:
            found[-1].output.append(line)
    return found


def environment(server: Any) -> dict[str, str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, **server.env, "PATH": path}


def matches(expected: list[str], actual: list[str]) -> bool:
    patterns = [re.escape(line).replace(r"\.\.\.", ".*") for line in expected]
    return len(patterns) == len(actual) and all(map(re.fullmatch, patterns, actual))


def run(step: Step, server: Any) -> list[str]:
    """The lines that the command prints. A watch is ended once it has printed as many as it should."""
    arguments = ["bash", "-c", step.command]
    with subprocess.Popen(
        arguments, env=environment(server), stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        if " watch " in step.command:
            lines = [process.stdout.readline() for _ in step.output]
            os.killpg(process.pid, signal.SIGTERM)
            return [line.rstrip("\n") for line in lines]
        output, _ = process.communicate(timeout=COMMANDS_TIMEOUT_S)
        assert process.returncode == 0, step.command
        return output.splitlines()


def test_every_line_of_the_tour_works(server: Any) -> None:
    assert len(steps()) > 15
    for step in steps():
        output = run(step, server)
        assert matches(step.output, output), f"$ {step.command}\n" + "\n".join(output)


def test_the_python_example_prints_what_its_comments_say(server: Any) -> None:
    (example,) = blocks("python")
    expected = re.findall(r"^\s*print\(.*\)  # (.*)$", example, flags=re.MULTILINE)
    code = example.replace("oarlock.connect()", f"oarlock.connect({server.native_endpoint!r})")
    output = subprocess.check_output([sys.executable, "-c", code], text=True, timeout=COMMANDS_TIMEOUT_S)
    assert output.splitlines() == expected
