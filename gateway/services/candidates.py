"""Those who want a name, in the order in which they came: what a lock and an election have in common.

A candidate is a key below the name, bound to a lease: ``name/`` and the lease's id in hexadecimal. The oldest one has
the name; each other waits until all older ones are gone. These are the keys of etcd's ``clientv3/concurrency``, so that
its users, ``etcdctl lock`` and ``elect``, and the services here wait in one queue.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from oarlock.gateway.grpc.status import Status
from oarlock.gateway.service import Backend, Exchange, is_error
from oarlock.gateway.services.follower import Follower
from oarlock.gateway.services.recipes import (
    Room,
    created_at,
    ensure_lease,
    plain_error,
    while_created_at,
)
from oarlock.wire.errors import Code, OarlockError
from oarlock.wire.operations import Event, Op, RangeFlag, SortOrder, SortTarget, WatchFlag, prefix_end

_QUIET: Final = int(RangeFlag.NO_COUNT | RangeFlag.KEYS_ONLY)
"""Whether a key is there, and since when, is all that is asked of a queue."""
WITHDRAWAL_TRIES: Final = 5
WITHDRAWAL_PAUSE_S: Final = 2.0
"""A candidate whose caller is gone keeps others waiting while its lease lives. A removal that fails is tried again for
longer than an election of the cluster's leader takes; then the lease has to end it."""


class Candidate:
    """One call's candidate, from the moment it asks for the name until it has it or gives up.

    A caller that goes away before it has the name leaves no key behind.

    Invariants:
    1. ``create_revision`` is 0 until the key is known to be there; from then until the end, it is withdrawn or had.
    2. The call counts in the room until the end.

    Attributes:
        lease: that the key is bound to.
        key: of the candidate.
        create_revision: of the key.
        entered_revision: of the store after the key was written, or found.

    Args:
        backend, room: of the service.
        exchange: the call; owned from now on, but for its reply.
        name, value: the key's.
        expired: the error of a candidate whose key has gone while it waited.

    Raises:
        OverloadedError: too many wait.
    """

    def __init__(
        self, backend: Backend, room: Room, exchange: Exchange, name: bytes, value: bytes, *, expired: str
    ) -> None:
        self._backend = backend
        self._room = room
        self._exchange = exchange
        self._prefix = name + b"/"
        self._value = value
        self._expired = expired
        self._entered: Callable[[bytes], None] = _nothing
        self._won: Callable[[int], None] = _nothing
        self._follower: Follower | None = None
        self._is_alone = False
        self._is_ended = False
        self.lease = 0
        self.key = b""
        self.create_revision = 0
        self.entered_revision = 0
        room.enter()
        exchange.on_ended = self._abandon

    # Entering

    def enter(self, lease: int, entered: Callable[[bytes], None]) -> None:
        """Joins the queue, or finds its lease there already.

        Args:
            lease: 0 for a new one.
            entered: called with the key's value, which is not the candidate's if the key was there before.
        """
        self._entered = entered
        ensure_lease(self._backend, lease, self._put_key, self.fail)

    def _put_key(self, lease: int) -> None:
        if self._is_ended:
            return
        self.lease = lease
        self.key = key = self._prefix + b"%x" % lease
        put, get = [int(Op.PUT), key, self._value, lease], [int(Op.RANGE), key]
        # Every worker runs this, so it does not sort the queue, as etcd does, but only sees whether there is one.
        some = [int(Op.RANGE), self._prefix, _QUIET, prefix_end(self._prefix), 2]
        self._backend.submit([int(Op.TXN), [created_at(key, 0)], [put, some], [get, some]], self._take_place)

    def _take_place(self, item: Any) -> None:
        if is_error(item):
            self.fail(item[2])
            return
        is_new, (own, some) = item[2]
        self.entered_revision = item[1]
        self.create_revision = item[1] if is_new else own[2][0][0][2]
        self._is_alone = len(some[2][0]) == 1
        if not self._is_ended:
            self._entered(self._value if is_new else own[2][0][0][1])
        elif is_new:  # else it is another call's, which has the name or waits
            self._withdraw()

    # Waiting

    def wait(self, won: Callable[[int], None]) -> None:
        """Waits for the name.

        Args:
            won: called with the revision of the store at which the candidate was seen to have it. The call ends then.
        """
        self._won = won
        if self._is_alone:
            self._win(self.entered_revision)
        else:
            self._find_older()

    def _find_older(self) -> None:
        """Asks for the youngest of the older ones (when that is gone, most likely all are), and for the own key."""
        flags, end, before = _QUIET, prefix_end(self._prefix), self.create_revision - 1
        order, target = int(SortOrder.DESCEND), int(SortTarget.CREATE)
        older = [int(Op.RANGE), self._prefix, flags, end, 1, 0, order, target, 0, 0, 0, before]
        self._backend.submit([int(Op.TXN), [], [older, [int(Op.RANGE), self.key]], []], self._judge)

    def _judge(self, item: Any) -> None:
        """The name is the candidate's if nobody is older, and if its key has outlived the wait."""
        if self._is_ended:
            return
        if is_error(item):
            self.fail(item[2])
            return
        older, own = [response[2][0] for response in item[2][1]]
        if not own or own[0][2] != self.create_revision:
            self.fail(self._expired)
        elif older:
            self._follow(older[0][0], item[1] + 1)
        else:
            self._win(item[1])

    def _follow(self, older: bytes, revision: int) -> None:
        try:
            only_deletions = int(WatchFlag.NO_PUT)
            follower = Follower(self._backend, older, b"", only_deletions, revision, self._move_up, self._lose)
        except OarlockError as problem:
            self.fail(problem.message)
            return
        self._follower = follower
        follower.start()

    def _move_up(self, revision: int, event: Event) -> None:
        """The one before is gone."""
        self._stop_following()
        self._find_older()

    def _lose(self, item: Any) -> None:
        """History is gone too; what is there now tells as much."""
        self._follower = None
        if item[1] == -Code.OUT_OF_RANGE:
            self._find_older()
        else:
            self.fail(item[2])

    # Ends

    def _win(self, revision: int) -> None:
        self._end()
        self._won(revision)

    def fail(self, text: str) -> None:
        """Gives up, and ends the call with an error."""
        if not self._is_ended:
            self._abandon()
            self._exchange.finish(plain_error(text))

    def _abandon(self, status: Status | None = None) -> None:
        """The caller is gone, perhaps before it could be told of its luck, or is about to hear of an error."""
        self._end()
        if self.create_revision:
            self._withdraw()

    def _end(self) -> None:
        if not self._is_ended:
            self._is_ended = True
            self._stop_following()
            self._room.leave()

    def _stop_following(self) -> None:
        if self._follower is not None:
            self._follower.close()
            self._follower = None

    def _withdraw(self, tries: int = WITHDRAWAL_TRIES) -> None:
        def done(item: Any) -> None:
            if is_error(item) and tries > 1:
                self._backend.call_later(WITHDRAWAL_PAUSE_S, lambda: self._withdraw(tries - 1))

        removal = while_created_at(self.key, self.create_revision, [int(Op.DELETE), self.key])
        self._backend.submit(removal, done)


def _nothing(result: object) -> None:
    pass
