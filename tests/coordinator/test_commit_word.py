"""A coordinator that is alone tells its commit index by the commit word, before it tells anybody of the commit."""

from __future__ import annotations

import json
import mmap
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from select import select
from typing import Any

import pytest
import zmq

from oarlock.coordinator.assembly import assemble
from oarlock.coordinator.bootstrap import load_or_begin
from oarlock.coordinator.coordinator import Coordinator
from oarlock.host import config
from oarlock.storage.disk import RealDisk
from oarlock.storage.log import Log
from oarlock.wire import commit_word
from oarlock.wire.channel import Channel
from oarlock.wire.commit_word import ASK, CommitWord, mark_of
from oarlock.wire.entries import Entry, EntryKind
from oarlock.wire.internal import Internal, coordinator_socket, make_run_directory
from tests.server import ReservedPort

TIMEOUT_S = 20.0


class Worker:
    """A worker's end of the connection."""

    def __init__(self, data_dir: Path) -> None:
        stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        stream.connect(str(coordinator_socket(data_dir)))
        self.channel = Channel(stream)
        self.heard: list[list[Any]] = []

    def hear(self, is_awaited: Callable[[list[Any]], bool]) -> list[Any]:
        """The first message, of those that have not been looked at, which is awaited."""
        while True:
            while self.heard:
                if is_awaited(message := self.heard.pop(0)):
                    return message
            assert select([self.channel], [], [], TIMEOUT_S)[0], "nothing comes"
            self.heard += self.channel.receive()


@contextmanager
def coordinator_with(word: CommitWord, data_dir: Path) -> Iterator[Coordinator]:
    """The coordinator of a new cluster of one member."""
    port = ReservedPort()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
    flags = {"data-dir": str(data_dir), "listen-peer-urls": f"tcp://127.0.0.1:{port.number}"}
    settings = json.loads(config.load(flags, {}).to_json())
    make_run_directory(data_dir)
    identity = load_or_begin(data_dir, settings, context, log_exists=False)
    log = Log.create(data_dir / "log", RealDisk(), identity.of_log)
    parts = assemble(settings, identity, log, None, context, word)
    try:
        yield parts.coordinator
    finally:
        parts.close(TIMEOUT_S)
        log.close()
        context.term()
        port.release()


@contextmanager
def worker_of(data_dir: Path) -> Iterator[Worker]:
    worker = Worker(data_dir)
    try:
        yield worker
    finally:
        worker.channel.close()


@pytest.fixture
def word() -> CommitWord:
    return commit_word.private()


@pytest.fixture
def worker(tmp_path: Path, word: CommitWord) -> Iterator[Worker]:
    """A worker of a coordinator that runs."""
    with coordinator_with(word, tmp_path) as coordinator, worker_of(tmp_path) as found:
        running = threading.Thread(target=coordinator.run)
        running.start()
        try:
            yield found
        finally:
            coordinator.stop()
            running.join(TIMEOUT_S)


def test_who_hears_of_a_commit_finds_it_in_the_word(worker: Worker, word: CommitWord) -> None:
    for batch in range(1, 101):
        worker.channel.send([Internal.PROPOSE, 7, [(batch, EntryKind.BATCH, b"")], 0, False])
        _, _, _, _, commit_index, entries = worker.hear(
            lambda heard, batch=batch: heard[0] == Internal.COMMITTED and any(each[4] == batch for each in heard[5])
        )
        assert word.look() >= commit_index
        last = Entry(*entries[-1])
        assert word.look_for(mark_of(last)) or word.look() > last.index  # a member tells of itself now and then


def test_nobody_hears_of_a_commit_that_the_word_cannot_tell(tmp_path: Path) -> None:
    read_only = CommitWord(mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ))
    with coordinator_with(read_only, tmp_path) as coordinator, worker_of(tmp_path) as worker:
        with pytest.raises(TypeError):
            coordinator.run()
        heard = [message for message in worker.channel.receive() if message[0] == Internal.COMMITTED]
        assert all(commit_index == 0 for _, _, _, _, commit_index, _ in heard)


def test_reads_ask_when_another_member_is_added(worker: Worker, word: CommitWord) -> None:
    worker.hear(lambda heard: heard[0] == Internal.COMMITTED and heard[4] > 0)
    assert word.look() != ASK
    worker.channel.send([Internal.MEMBERS, 1, "add", ["", ["tcp://127.0.0.1:1"], True]])
    worker.hear(lambda heard: heard[0] == Internal.MEMBERS)
    assert word.look() == ASK


def test_reads_ask_when_the_coordinator_has_stopped(tmp_path: Path, word: CommitWord) -> None:
    with coordinator_with(word, tmp_path):
        word.publish(7)
    assert word.look() == ASK
