from __future__ import annotations

from oarlock.coordinator.commit_marks import CommitMarks
from oarlock.coordinator.raft import Ready
from oarlock.wire import commit_word
from oarlock.wire.commit_word import ASK, mark_of
from oarlock.wire.entries import Entry

from ..raft.one import lead, member, proposal


class Leader:
    """It has a write to do, of one entry."""

    def __init__(self, voters: int) -> None:
        self.member = lead(member(voters))
        self.word = commit_word.private()
        self.marks = CommitMarks(self.word, self.member.raft)
        self.member.raft.propose([proposal()])
        ready = self.member.raft.ready()
        assert ready is not None
        self.ready: Ready = ready
        self.entry: Entry = ready.entries[-1]
        self.marks.ready(ready.committed)

    def write(self) -> None:
        self.member.raft.persisted(self.ready.write)
        self.marks.written(self.ready.entries)


def test_a_write_of_a_member_alone_is_seen_as_soon_as_it_is_durable() -> None:
    leader = Leader(voters=1)
    assert not leader.word.look_for(mark_of(leader.entry))
    assert leader.word.look() == leader.entry.index - 1
    leader.write()
    assert leader.word.look_for(mark_of(leader.entry))
    assert leader.word.look() == leader.entry.index


def test_a_write_of_a_member_among_others_is_not() -> None:
    leader = Leader(voters=3)
    leader.write()
    assert not leader.word.look_for(mark_of(leader.entry))
    assert leader.word.look() == ASK


def test_an_earlier_entry_does_not_take_the_place_of_a_later_one() -> None:
    leader = Leader(voters=1)
    leader.write()
    leader.marks.ready([leader.entry._replace(index=leader.entry.index - 1)])
    assert leader.word.look_for(mark_of(leader.entry))


def test_a_write_of_no_entries_is_none() -> None:
    leader = Leader(voters=1)
    leader.marks.written(())
    assert leader.word.look() == leader.entry.index - 1
