from __future__ import annotations

import select
from collections.abc import Iterator, Sequence

import pytest

from oarlock.coordinator import log_writer
from oarlock.coordinator.log_writer import Job, LogWrite, LogWriter


class Disk:
    def __init__(self) -> None:
        self.written: list[Job] = []
        self.failure: Exception | None = None

    def write(self, jobs: Sequence[Job]) -> None:
        if self.failure is not None:
            raise self.failure
        self.written += jobs


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def writer(disk: Disk) -> Iterator[LogWriter]:
    made = LogWriter(disk.write)
    yield made
    made.close(10.0)


def job(number: int) -> LogWrite:
    return LogWrite(number, (), None, None)


def next_finished(writer: LogWriter) -> list[Job]:
    assert select.select([writer.fileno()], [], [], 10.0)[0]
    return writer.finished()


def test_everything_submitted_comes_back_in_order_when_it_is_durable(disk: Disk, writer: LogWriter) -> None:
    jobs: list[Job] = [job(number) for number in range(1, 500)]
    for each in jobs:
        writer.submit(each)
    done: list[Job] = []
    while len(done) < len(jobs):
        done += next_finished(writer)
    assert done == jobs == disk.written


def test_a_failed_write_is_raised_to_the_owner(disk: Disk, writer: LogWriter) -> None:
    disk.failure = OSError("disk on fire")
    writer.submit(job(1))
    with pytest.raises(OSError, match="disk on fire"):
        next_finished(writer)


def test_closing_writes_what_was_submitted(disk: Disk) -> None:
    writer = LogWriter(disk.write)
    for number in range(1, 10):
        writer.submit(job(number))
    writer.close(10.0)
    assert len(disk.written) == 9


def test_an_idle_writer_may_write_at_once(disk: Disk, writer: LogWriter) -> None:
    writer.inline = True
    assert writer.submit(job(1))
    assert disk.written == [job(1)]
    assert writer.finished() == []


def test_what_the_thread_has_goes_before_what_comes_later(disk: Disk, writer: LogWriter) -> None:
    writer.submit(job(1))
    writer.inline = True
    assert not writer.submit(job(2))
    done: list[Job] = []
    while len(done) < 2:
        done += next_finished(writer)
    writer.submit(job(3))
    assert disk.written == [job(1), job(2), job(3)]


def test_the_order_stands_where_members_come_and_go(disk: Disk, writer: LogWriter) -> None:
    jobs: list[Job] = [job(number) for number in range(1, 200)]
    done: list[Job] = []
    for number, each in enumerate(jobs):
        writer.inline = number % 7 < 3
        if writer.submit(each):
            done.append(each)
        if number % 5 == 0:
            done += writer.finished()
    while len(done) < len(jobs):
        done += next_finished(writer)
    assert disk.written == jobs
    assert done == jobs


def test_a_slow_disk_is_left_to_the_thread(disk: Disk, writer: LogWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 2.0, 2.0])
    monkeypatch.setattr(log_writer.time, "monotonic", lambda: next(clock))
    writer.inline = True
    assert writer.submit(job(1))
    assert not writer.submit(job(2))
    assert next_finished(writer) == [job(2)]
