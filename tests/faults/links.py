"""What is wrong with the links between members, as one picture that is put in force whenever it changes.

In namespaces packets are lost, so that TCP breaks as it does between real machines. On loopback, where there are no
namespaces, the members themselves lose frames (``oarlock.coordinator.peer_faults``): a cut is one of messages then,
and connections stay.
"""

from __future__ import annotations

from collections.abc import Iterable

from tests.cluster.harness import ClusterOfServers

from .namespaces import HostNetwork, can_impair


class Links:
    """The links of a cluster.

    Args:
        cluster: whose.
        network: in which its members are; None on loopback.
    """

    def __init__(self, cluster: ClusterOfServers, network: HostNetwork | None) -> None:
        self._cluster = cluster
        self.network = network
        self._cut: set[tuple[int, int]] = set()
        self._unplugged: set[int] = set()
        self._delay_ms = 0.0
        self._loss = 0.0
        self._are_packets_impaired = network is not None and can_impair()

    def cut(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Cuts exactly these links, each in one direction, (sender, receiver); all others are whole."""
        wanted = set(pairs)
        if self.network is not None:
            for pair in self._cut - wanted:
                self.network.mend(*pair)
            for pair in wanted - self._cut:
                self.network.cut(*pair)
        self._cut = wanted
        self._tell_members()

    def separate(self, group: Iterable[int]) -> None:
        """Cuts all links between a group and the others, both ways."""
        inside = set(group)
        everyone = range(len(self._cluster.servers))
        self.cut((a, b) for a in everyone for b in everyone if (a in inside) != (b in inside))

    def impair(self, delay_ms: float, loss: float) -> None:
        """Delays what any member sends to another by ``delay_ms``, and loses a part ``loss`` of it (0 to 1)."""
        self._delay_ms, self._loss = delay_ms, loss
        if self.network is not None and self._are_packets_impaired:
            for number in range(len(self._cluster.servers)):
                self.network.impair(number, delay_ms, loss)
        self._tell_members()

    def unplug(self, number: int) -> None:
        """Nobody reaches this member any more. In namespaces only."""
        assert self.network is not None
        self._unplugged.add(number)
        self.network.plug(number, False)

    def mend(self) -> None:
        """All is well again."""
        if self._cut:
            self.cut(())
        if self._delay_ms or self._loss:
            self.impair(0, 0)
        for number in self._unplugged:
            assert self.network is not None
            self.network.plug(number, True)
        self._unplugged.clear()

    def _tell_members(self) -> None:
        """What packets cannot do for us, the members do."""
        for number in range(len(self._cluster.servers)):
            faults: dict[str, object] = {}
            if self.network is None:
                faults["drop_to"] = [self._cluster.servers[b].peer_url for a, b in self._cut if a == number]
            if not self._are_packets_impaired and (self._delay_ms or self._loss):
                faults |= {"delay_ms": self._delay_ms, "loss": self._loss}
            self._cluster.faults(number, **faults)
