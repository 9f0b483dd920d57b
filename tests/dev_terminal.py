"""`oarlock dev-cluster` on a terminal of its own, with somebody who reads and presses keys: for tests."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil

from tests.server import wait_until

READY_TIMEOUT_S = 60.0
SAID_TIMEOUT_S = 60.0
END_TIMEOUT_S = 40.0


class DevTerminal:
    """A development cluster on free ports, its data in ``directory``.

    Args:
        directory: also its working directory.
        arguments: further flags.
        terminal: whether it has one; otherwise its output is a file, and nobody presses keys.
    """

    def __init__(self, directory: Path, *arguments: str, terminal: bool = True) -> None:
        self._master = -1
        self._text = b""
        self._read_up_to = 0
        command = [sys.executable, "-m", "oarlock.cli.main", "dev-cluster", "--base-port", "0", *arguments]
        if terminal:
            self._master, slave = pty.openpty()
            self.process = subprocess.Popen(
                command, cwd=directory, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
            )
            os.close(slave)
        else:
            reader, writer = os.pipe()
            self._master = reader
            self.process = subprocess.Popen(
                command, cwd=directory, stdin=subprocess.DEVNULL, stdout=writer, stderr=writer, start_new_session=True
            )
            os.close(writer)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._master, 65536)
            except OSError:  # the other end of a terminal is closed
                return
            if not data:
                return
            self._text += data

    @property
    def text(self) -> str:
        """Everything that was said, without colours."""
        return re.sub(r"\x1b\[\d+m", "", self._text.decode(errors="replace")).replace("\r\n", "\n")

    @property
    def raw(self) -> str:
        """Everything that was said, as it came."""
        return self._text.decode(errors="replace")

    @property
    def endpoints(self) -> list[str]:
        """Of the members, in their order; once it is ready."""
        return self.text.split("export OARLOCK_ENDPOINTS=")[1].split("\n")[0].strip().split(",")

    def wait_until_ready(self) -> DevTerminal:
        """Waits for the words that follow when all members serve."""
        wait_until(
            lambda: "Try it in another" in self.text or self._ended(), READY_TIMEOUT_S, "a cluster that is ready"
        )
        self.wait_for("(?m)^(Keys: |Stop it)")
        return self

    def wait_for(self, pattern: str) -> None:
        """Waits until something is said that was not awaited before."""

        def look() -> bool:
            match = re.compile(pattern).search(self.text, self._read_up_to)
            if match:
                self._read_up_to = match.end()
            return bool(match) or self._ended()

        wait_until(look, SAID_TIMEOUT_S, f"{pattern!r} on the terminal")

    def _ended(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"it ended with {self.process.returncode}:\n{self.text[-3000:]}")
        return False

    def press(self, keys: str) -> None:
        """Presses keys; blanks between them are for the eye."""
        os.write(self._master, keys.replace(" ", "").encode())

    def processes(self) -> list[psutil.Process]:
        """All its processes, itself included."""
        try:
            own = psutil.Process(self.process.pid)
            return [own, *own.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Sends a signal and waits until it is gone; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(END_TIMEOUT_S)

    def close(self) -> None:
        """Ends it for good; in good order where it can be, so that no temporary directory stays."""
        doomed = self.processes()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(END_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        psutil.wait_procs(doomed, END_TIMEOUT_S)
        self._reader.join(END_TIMEOUT_S)
        os.close(self._master)
