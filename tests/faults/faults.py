"""What is done to a cluster: named faults, each of which knows when it applies, how it begins, and how it ends.

A fault hits a minority, so that the others go on; or it says that it does not, by ``spares_quorum``. It is drawn with
its victim from a seed: "the leader" is whoever leads when it begins.
"""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from pathlib import Path
from random import Random

from .hosts import Hosts

FILL_STEP_BYTES = 4096


class Fault(ABC):
    """Something that is wrong for a while. Begun once, ended once; used for one cluster.

    Args:
        random: where all chance comes from.
    """

    spares_quorum = True

    def __init__(self, random: Random) -> None:
        self._random = random
        self.victim = -1
        """The number of the member that is hit, once it has begun; -1 where it hits all."""

    @property
    def name(self) -> str:
        """For reports."""
        return type(self).__name__ + ("" if self.victim < 0 else f" m{self.victim}")

    def applies(self, cluster: Hosts) -> bool:
        """Whether it can happen to this cluster, on this machine."""
        return True

    @abstractmethod
    def begin(self, cluster: Hosts, leader: int) -> None:
        """Does it; ``leader`` is the number of the member that leads."""

    @abstractmethod
    def end(self, cluster: Hosts) -> None:
        """Undoes it: all members run again, and reach each other."""

    def _choose(self, cluster: Hosts, leader: int) -> int:
        """A victim: the leader, as often as not."""
        others = [number for number in cluster.everyone if number != leader]
        self.victim = self._random.choice((leader, self._random.choice(others)))
        return self.victim


class Kill(Fault):
    """All processes of a member, at once."""

    def begin(self, cluster: Hosts, leader: int) -> None:
        cluster.kill(self._choose(cluster, leader))

    def end(self, cluster: Hosts) -> None:
        cluster.start([self.victim])


class KillLeader(Kill):
    """The same, and always the leader."""

    def _choose(self, cluster: Hosts, leader: int) -> int:
        self.victim = leader
        return leader


class Stop(Kill):
    """An orderly end."""

    def begin(self, cluster: Hosts, leader: int) -> None:
        assert cluster.servers[self._choose(cluster, leader)].stop() == 0


class KillPart(Fault):
    """The coordinator or a worker of a member; its supervisor brings it back."""

    def begin(self, cluster: Hosts, leader: int) -> None:
        part = self._random.choice(("coordinator", "worker 0"))
        cluster.servers[self._choose(cluster, leader)].kill_part(part)

    def end(self, cluster: Hosts) -> None:
        pass


class Freeze(Fault):
    """All processes of a member stand still."""

    def begin(self, cluster: Hosts, leader: int) -> None:
        cluster.freeze(self._choose(cluster, leader))

    def end(self, cluster: Hosts) -> None:
        cluster.thaw(self.victim)


class FreezeCoordinator(Fault):
    """The coordinator of a member stands still, while its workers serve."""

    def begin(self, cluster: Hosts, leader: int) -> None:
        cluster.servers[self._choose(cluster, leader)].kill_part("coordinator", signal.SIGSTOP)

    def end(self, cluster: Hosts) -> None:
        cluster.servers[self.victim].kill_part("coordinator", signal.SIGCONT)


class CutOff(Fault):
    """A member hears no other, and is heard by none; clients reach it."""

    def begin(self, cluster: Hosts, leader: int) -> None:
        cluster.links.separate([self._choose(cluster, leader)])

    def end(self, cluster: Hosts) -> None:
        cluster.links.mend()


class Mute(CutOff):
    """A member hears the others, but is not heard."""

    def begin(self, cluster: Hosts, leader: int) -> None:
        victim = self._choose(cluster, leader)
        cluster.links.cut((victim, other) for other in cluster.everyone if other != victim)


class Deaf(CutOff):
    """A member is heard, but hears nobody."""

    def begin(self, cluster: Hosts, leader: int) -> None:
        victim = self._choose(cluster, leader)
        cluster.links.cut((other, victim) for other in cluster.everyone if other != victim)


class LoseOneLink(CutOff):
    """The leader and one other member cannot talk; all others reach both."""

    def begin(self, cluster: Hosts, leader: int) -> None:
        self.victim = self._random.choice([number for number in cluster.everyone if number != leader])
        cluster.links.cut([(leader, self.victim), (self.victim, leader)])


class Split(Fault):
    """The cluster falls in two, with the leader in the smaller part as often as not."""

    def begin(self, cluster: Hosts, leader: int) -> None:
        others = [number for number in cluster.everyone if number != leader]
        self._random.shuffle(others)
        minority = (len(cluster.everyone) - 1) // 2
        with_leader = self._random.random() < 0.5
        cluster.links.separate([leader, *others[: minority - 1]] if with_leader else others[:minority])

    def end(self, cluster: Hosts) -> None:
        cluster.links.mend()


class Shatter(Split):
    """No member reaches any other: nothing is decided until it ends."""

    spares_quorum = False

    def begin(self, cluster: Hosts, leader: int) -> None:
        cluster.links.cut((a, b) for a in cluster.everyone for b in cluster.everyone if a != b)


class Unplug(CutOff):
    """Nobody reaches a member any more, and nobody is told: clients hear silence."""

    def applies(self, cluster: Hosts) -> bool:
        return cluster.links.network is not None

    def begin(self, cluster: Hosts, leader: int) -> None:
        cluster.links.unplug(self._choose(cluster, leader))


class Delay(Split):
    """All messages between members take longer."""

    def begin(self, cluster: Hosts, leader: int) -> None:
        cluster.links.impair(self._random.choice((5.0, 20.0, 60.0)), 0)


class Lose(Split):
    """A part of all messages between members is lost."""

    def begin(self, cluster: Hosts, leader: int) -> None:
        cluster.links.impair(self._random.choice((0.0, 10.0)), self._random.choice((0.02, 0.1, 0.25)))


class FillDisk(Fault):
    """There is no room any more where a member keeps its data."""

    def applies(self, cluster: Hosts) -> bool:
        return cluster.has_small_disks

    def begin(self, cluster: Hosts, leader: int) -> None:
        fill(self._filler(cluster, self._choose(cluster, leader)))

    def end(self, cluster: Hosts) -> None:
        self._filler(cluster, self.victim).unlink()
        if not cluster.is_running(self.victim):
            cluster.start([self.victim])

    @staticmethod
    def _filler(cluster: Hosts, victim: int) -> Path:
        return cluster.servers[victim].data_dir / "filler"


FAULTS: tuple[type[Fault], ...] = (
    *(KillLeader, Kill, KillPart, Stop, Freeze, FreezeCoordinator),
    *(CutOff, Mute, Deaf, LoseOneLink, Split, Shatter, Unplug, Delay, Lose, FillDisk),
)


def fill(path: Path) -> None:
    """Writes a file until there is no room left."""
    with path.open("ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(FILL_STEP_BYTES))
        except OSError:
            return
