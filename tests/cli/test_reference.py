"""docs/cli.md: every command is in it, with its help as it is and an example that runs.

After a change of help: OARLOCK_UPDATE_DOCS=1 pytest tests/cli/test_reference.py
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from oarlock.cli.groups import Lazy
from oarlock.cli.main import COMMANDS, command
from tests.cli.conftest import Run

GUIDE = Path(__file__).parents[2] / "docs" / "cli.md"
ELSEWHERE = {"serve", "bench"}
"""Commands of other packages, which have their own pages."""
HELP_BLOCK = re.compile(r"(?<=<!-- help: )([a-z -]+)( -->\n)(.*?)(?=<!-- /help -->)", re.DOTALL)


def leaves(group: click.Group, names: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    with click.Context(group) as ctx:
        for name in group.list_commands(ctx):
            if not names and name in ELSEWHERE:
                continue
            found = group.get_command(ctx, name)
            if isinstance(found, click.Group):
                yield from leaves(found, (*names, name))
            elif found is not None:
                yield (*names, name), found


LEAVES = dict(leaves(command))


def help_block(name: str) -> str:
    words = () if name == "oarlock" else tuple(name.split())
    target = LEAVES[words] if words else command
    ctx = click.Context(target, info_name=" ".join(("oarlock", *words)), terminal_width=100, max_content_width=100)
    ctx.help_option_names = ["-h", "--help"]
    return f"\n```text\n{target.get_help(ctx)}\n```\n\n"


def test_the_help_in_the_guide_is_the_help_of_the_commands() -> None:
    text = GUIDE.read_text()
    current = HELP_BLOCK.sub(lambda match: match[1] + match[2] + help_block(match[1]), text)
    if os.environ.get("OARLOCK_UPDATE_DOCS"):
        GUIDE.write_text(current)
        text = current
    assert current == text


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_every_command_has_help_and_is_in_the_guide(words: tuple[str, ...]) -> None:
    name, text = " ".join(words), GUIDE.read_text()
    assert LEAVES[words].help
    assert all(option.help for option in LEAVES[words].params if isinstance(option, click.Option))
    assert f"<!-- help: {name} -->" in text
    assert f"\n### {name}\n" in text
    assert f"oarlock {name}" in text


@pytest.mark.parametrize("name", sorted(ELSEWHERE))
def test_commands_of_other_packages_are_mentioned(name: str) -> None:
    assert f"`oarlock {name}" in GUIDE.read_text()


@pytest.mark.parametrize(
    "entry", [entry for entry in COMMANDS if entry.name not in ELSEWHERE], ids=lambda e: str(e.name)
)
def test_the_overview_says_what_the_command_says(entry: Lazy) -> None:
    loaded = entry.load()
    assert entry.help == (loaded.help or "").split("\n")[0]
    assert entry.name == loaded.name


@pytest.mark.parametrize("name", sorted(ELSEWHERE))
def test_commands_of_other_packages_are_there(name: str) -> None:
    entry = next(entry for entry in COMMANDS if entry.name == name)
    assert entry.load().name == name


def examples() -> Iterator[tuple[str, str]]:
    for block in re.findall(r"```console\n(.*?)```", GUIDE.read_text(), re.DOTALL):
        for example in re.split(r"(?m)^\$ ", block)[1:]:
            line, _, output = example.partition("\n")
            yield line, output


def without_times(text: str) -> str:
    return re.sub(r"took = \S+", "took = TIME", text)


def test_the_examples_of_the_guide_run(oarlock: Run) -> None:
    for line, output in examples():
        feed, _, own = line.rpartition(" | ")
        stdin = subprocess.run(["sh", "-c", feed], capture_output=True, check=True, timeout=30).stdout if feed else b""
        program, *arguments = shlex.split(own)
        assert program == "oarlock"
        result = oarlock(*arguments, stdin=stdin)
        assert without_times(result.out.decode() + result.err) == without_times(output), line
