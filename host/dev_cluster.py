"""`oarlock dev-cluster`: a whole cluster on this machine, in one terminal, with keys that make its members fail."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import termios
import tty
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, TextIO

from oarlock.host.dev_keys import Action, Keys, Quit
from oarlock.host.dev_member import DevMember
from oarlock.host.dev_plan import MemberPlan, Reservation, load_or_make, settings_of
from oarlock.wire.errors import ConfigurationError

_COLOURS: Final = (36, 33, 35, 32, 34, 31, 37)
"""ANSI colours, one a member."""
_READY: Final = "server ready"
"""In the line that a member logs when it serves."""
EXIT_FAILED: Final = 1


class Options(NamedTuple):
    """What the command line asks for.

    Attributes:
        members: how many, from 1 to ``dev_plan.MOST_MEMBERS``.
        directory: where the data go; None for a temporary one that is removed at the end.
        base_port: native port of the first member; 0 for any free ports.
        workers: of each member.
        log_level: of each member.
    """

    members: int
    directory: Path | None
    base_port: int
    workers: int
    log_level: str


def run(options: Options, output: TextIO | None = None) -> int:
    """Runs a cluster until it is told to stop, by SIGINT, SIGTERM, SIGHUP or a key.

    Args:
        options: what to run.
        output: where everything is said; standard output by default. Coloured if it is a terminal.

    Returns:
        The exit code: 1 where a member could not be started at all.

    Raises:
        ConfigurationError: a directory or ports that cannot be used.
    """
    with _directory(options.directory) as directory:
        members = load_or_make(directory, options.members, options.base_port)
        reservation = Reservation(members)
        try:
            return asyncio.run(_run(DevCluster(members, directory, options, output or sys.stdout)))
        finally:
            reservation.release()


async def _run(cluster: DevCluster) -> int:
    return await cluster.run()


@contextlib.contextmanager
def _directory(given: Path | None) -> Iterator[Path]:
    if given is None:
        path = Path(tempfile.mkdtemp(prefix="oarlock-dev-"))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
        return
    try:
        given.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise ConfigurationError(f"data-dir {given} cannot be used: {problem.strerror}") from problem
    yield given.resolve()


class DevCluster:
    """The members, the keys, and the one place where all of them write.

    Invariants:
    1. When `run` returns, no process of a member is left.
    2. At most one action is under way for a member: a second one waits for it.
    """

    def __init__(self, plans: list[MemberPlan], directory: Path, options: Options, output: TextIO) -> None:
        self._plans = plans
        self._directory = directory
        self._temporary = options.directory is None
        self._output = output
        self._coloured = output.isatty()
        self._keys = Keys(len(plans))
        self._stop = asyncio.Event()
        self._awaited = {plan.name for plan in plans}
        self._failed = False
        self._actions: set[asyncio.Task[None]] = set()
        self._locks = [asyncio.Lock() for _ in plans]
        self._members = [self._member(number, plan, options) for number, plan in enumerate(plans)]

    def _member(self, number: int, plan: MemberPlan, options: Options) -> DevMember:
        settings = settings_of(plan, self._plans, self._directory, workers=options.workers, log_level=options.log_level)
        return DevMember(settings, self._said_by(number), self._ended_by(number))

    async def run(self) -> int:
        """Starts the members, does what keys say, and ends them."""
        self._handle_signals()
        with self._listening():
            try:
                await asyncio.gather(*(member.start() for member in self._members))
                await self._stop.wait()
            finally:
                await self._end()
        return EXIT_FAILED if self._failed else 0

    async def _end(self) -> None:
        for action in self._actions:
            action.cancel()
        await asyncio.gather(*self._actions, return_exceptions=True)
        self._stop.clear()  # a second signal kills
        stopping = asyncio.gather(*(member.stop() for member in self._members))
        impatience = asyncio.create_task(self._stop.wait())
        await asyncio.wait((stopping, impatience), return_when=asyncio.FIRST_COMPLETED)
        impatience.cancel()
        await asyncio.gather(*(member.kill() for member in self._members))
        await stopping

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._stop.set)

    # What is said

    def _say(self, text: str) -> None:
        try:
            print(text, file=self._output, flush=True)
        except OSError:  # nobody reads any more
            self._stop.set()

    def _paint(self, colour: int, text: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._coloured else text

    def _said_by(self, number: int) -> Callable[[str], None]:
        name = self._plans[number].name
        prefix = self._paint(_COLOURS[number % len(_COLOURS)], f"{name} |")

        def said(line: str) -> None:
            self._say(f"{prefix} {line}")
            if name in self._awaited and _READY in line:
                self._awaited.remove(name)
                if not self._awaited:
                    self._say(self._banner())

        return said

    def _ended_by(self, number: int) -> Callable[[str], None]:
        name = self._plans[number].name

        def ended(reason: str) -> None:
            self._announce(f"{name} has ended by itself ({reason})")
            if name in self._awaited:  # it has never run: better to say so at once than to run without it
                self._failed = True
                self._stop.set()

        return ended

    def _announce(self, text: str) -> None:
        self._say(self._paint(1, f"== {text}"))

    def _banner(self) -> str:
        endpoints = ",".join(plan.endpoint for plan in self._plans)
        clients = ",".join(plan.client_url.removeprefix("http://") for plan in self._plans if plan.client_url)
        kept = "removed at the end" if self._temporary else "kept"
        lines = [
            "",
            self._paint(1, f"A cluster of {len(self._plans)} is ready. Data: {self._directory} ({kept})"),
            *(f"  {plan.name}  {plan.endpoint}" for plan in self._plans),
            "Try it in another terminal:",
            f"  export OARLOCK_ENDPOINTS={endpoints}",
            "  oarlock endpoint status --cluster -w table",
            "  oarlock put greeting hello",
            *([f"  etcdctl --endpoints {clients} get greeting"] if clients else []),
            f"Keys: {self._keys.help}" if sys.stdin.isatty() else "Stop it with Ctrl-C.",
            "",
        ]
        return "\n".join(lines)

    # Keys

    @contextlib.contextmanager
    def _listening(self) -> Iterator[None]:
        """Takes single keys from the terminal, where there is one."""
        if not sys.stdin.isatty():
            yield
            return
        descriptor = sys.stdin.fileno()
        before = termios.tcgetattr(descriptor)
        loop = asyncio.get_running_loop()
        tty.setcbreak(descriptor)
        loop.add_reader(descriptor, self._on_keys, descriptor)
        try:
            yield
        finally:
            loop.remove_reader(descriptor)
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)

    def _on_keys(self, descriptor: int) -> None:
        try:
            keys = os.read(descriptor, 64).decode(errors="replace")
        except OSError:
            keys = ""
        if not keys:  # the terminal is gone
            self._stop.set()
        for key in keys:
            meaning = self._keys.press(key)
            if isinstance(meaning, Quit):
                self._stop.set()
            elif isinstance(meaning, str):
                self._announce(meaning)
            else:
                self._spawn(self._act(meaning[0] - 1, meaning[1]))

    def _spawn(self, action: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(action)
        self._actions.add(task)
        task.add_done_callback(self._actions.discard)

    async def _act(self, number: int, action: Action) -> None:
        member = self._members[number]
        async with self._locks[number]:
            if action is Action.RESTART:
                self._announce(f"{member.name} is started" + (" again" if member.running else ""))
                await member.stop()
                await member.start()
            elif not member.running:
                self._announce(f"{member.name} does not run: r starts it")
            elif action is Action.STOP:
                await member.stop()
                self._announce(f"{member.name} is stopped")
            elif action is Action.KILL:
                await member.kill()
                self._announce(f"{member.name} is killed")
            elif action is Action.FREEZE:
                member.freeze()
                self._announce(f"{member.name} is frozen")
            else:
                member.thaw()
                self._announce(f"{member.name} goes on")
