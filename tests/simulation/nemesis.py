"""What goes wrong: each fault by its name, as often as the profile says."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .cluster import SimCluster
    from .host import SimHost

STEP_S: Final = 0.1


class Nemesis:
    """Harms a cluster until ``end``, and then lets it be."""

    def __init__(self, cluster: SimCluster) -> None:
        self.cluster = cluster
        self.world = cluster.world
        self._rng = cluster.world.rng
        self._step()

    def _step(self) -> None:
        if self.world.calm:
            return
        for name, probability in self.cluster.profile.faults.items():
            if self._rng.random() < probability:
                self.world.note("fault:", name)
                getattr(self, f"_{name}")()
        self.world.after(STEP_S, self._step)

    def end(self) -> None:
        """Everything works again."""
        self.world.calm = True
        self.cluster.network.heal()
        for host in self.cluster.hosts:
            host.slow_disk_s = 0.0
            host.disk.failing_syncs = host.disk.failing_writes = 0
            if host.coordinator is not None:
                host.coordinator.resume()
            for worker in host.workers.values():
                worker.resume()
            host.power_on()

    # --- whom it hits

    def _any_host(self) -> SimHost | None:
        hosts = [host for host in self.cluster.hosts if host.powered]
        return self._rng.choice(hosts) if hosts else None

    def _leading_host(self) -> SimHost | None:
        leader = self.cluster.leader()
        return leader.host if leader is not None else None

    # --- processes and machines

    def _kill_leader(self) -> None:
        self._kill(self._leading_host())

    def _kill(self, host: SimHost | None) -> None:
        if host is None:
            return
        if self._rng.random() < 0.5:
            host.coordinator_died(self._rng.uniform(0.05, 2.0))
        else:
            self._switch_off(host)

    def _switch_off(self, host: SimHost) -> None:
        host.power_off()
        self.world.after(self._rng.uniform(0.1, 3.0), host.power_on)

    def _power_off(self) -> None:
        host = self._any_host()
        if host is not None:
            self._switch_off(host)

    def _kill_coordinator(self) -> None:
        host = self._any_host()
        if host is not None:
            host.coordinator_died(self._rng.uniform(0.05, 2.0))

    def _kill_worker(self) -> None:
        host = self._any_host()
        if host is not None and host.workers:
            host.worker_died(self._rng.choice(list(host.workers)), self._rng.uniform(0.05, 1.0))

    def _pause_coordinator(self) -> None:
        self._pause(self._any_host())

    def _pause_leader(self) -> None:
        self._pause(self._leading_host())

    def _pause(self, host: SimHost | None) -> None:
        if host is not None and host.coordinator is not None:
            host.coordinator.pause(self._rng.choice((0.3, 1.0, 3.0)) * self._rng.random())

    def _pause_worker(self) -> None:
        host = self._any_host()
        if host is not None and host.workers:
            host.workers[self._rng.choice(list(host.workers))].pause(self._rng.uniform(0.1, 2.0))

    # --- the network

    def _ids(self) -> list[int]:
        return [host.member_id for host in self.cluster.hosts if host.member_id]

    def _links_of(self, members: list[int]) -> list[tuple[int, int]]:
        """The directed links between these members and all others, or only those of one direction."""
        others = [each for each in self._ids() if each not in members]
        inward = [(one, other) for one in others for other in members]
        outward = [(other, one) for one, other in inward]
        return self._rng.choice((inward + outward, inward + outward, inward, outward))

    def _isolate_leader(self) -> None:
        host = self._leading_host()
        if host is not None:
            self._cut(self._links_of([host.member_id]))

    def _strand_leader(self) -> None:
        """The leader is cut off from everybody but its clients, for longer than leases live."""
        host = self._leading_host()
        if host is not None:
            self._cut_off(host.member_id, 5.0)

    def _hand_over(self) -> None:
        """The leader hands over, and hears nothing of its success."""
        leader = self.cluster.leader()
        if leader is not None:
            leader.transfer(self._rng.choice(self._ids()))
            self.world.after(
                self._rng.uniform(0.0, 0.01), lambda: self._cut_off(leader.member_id, self._rng.uniform(0.5, 3.0))
            )

    def _cut_off(self, member_id: int, duration_s: float) -> None:
        if self.world.calm:
            return
        others = [each for each in self._ids() if each != member_id]
        links = {(member_id, other) for other in others} | {(other, member_id) for other in others}
        self.cluster.network.cuts |= links
        self.world.after(duration_s, lambda: self.cluster.network.cuts.difference_update(links))

    def _split(self) -> None:
        ids = self._ids()
        self._cut(self._links_of(self._rng.sample(ids, self._rng.randint(1, max(1, len(ids) // 2)))))

    def _cut(self, links: list[tuple[int, int]]) -> None:
        """Cuts links; they are joined one by one, in another order."""
        cuts = self.cluster.network.cuts
        for link in links:
            cuts.add(link)
            self.world.after(self._rng.uniform(0.2, 3.0), partial(cuts.discard, link))

    def _cut_link(self) -> None:
        ids = self._ids()
        if len(ids) > 1:
            self.cluster.network.cuts.add(tuple(self._rng.sample(ids, 2)))  # type: ignore[arg-type]

    def _join_link(self) -> None:
        network = self.cluster.network
        if network.cuts:
            network.cuts.discard(self._rng.choice(sorted(network.cuts)))

    def _slow_link(self) -> None:
        ids = self._ids()
        if len(ids) > 1:
            one, other = self._rng.sample(ids, 2)
            self._slow_down((one, other), self._rng.uniform(0.02, 1.0))

    def _slow_leader(self) -> None:
        """What the leader says to one member arrives late; its heartbeats come late, and steadily. To one only, so that
        all others go on: what that member then answers is old."""
        host = self._leading_host()
        if host is not None and not any(self.cluster.network.slow.values()):
            followers = [member_id for member_id in self._ids() if member_id != host.member_id]
            if followers:
                self._slow_down((host.member_id, self._rng.choice(followers)), self._rng.uniform(0.8, 1.6), 5.0)

    def _slow_down(self, link: tuple[int, int], by_s: float, max_duration_s: float = 3.0) -> None:
        slow = self.cluster.network.slow
        slow[link] = by_s
        self.world.after(self._rng.uniform(0.5, 1.0) * max_duration_s, lambda: slow.update({link: 0.0}))

    # --- disks and clocks

    def _slow_disk(self) -> None:
        host = self._any_host()
        if host is not None:
            host.slow_disk_s = self._rng.choice((0.0, 0.02, 0.1, 0.5))

    def _fail_disk(self) -> None:
        host = self._any_host()
        if host is not None:
            if self._rng.random() < 0.5:
                host.disk.failing_syncs = 1
            else:
                host.disk.failing_writes = 1

    def _jump_clock(self) -> None:
        host = self._any_host()
        if host is not None and host.coordinator is not None:
            host.coordinator.jump(self._rng.randint(-10, 25))

    def _flip_bit(self) -> None:
        host = self._any_host()
        members = self.cluster.judge.members_at(self.cluster.judge.last_committed)
        if host is None or self.cluster.operator.is_replacing or host.member_id not in members.voters:
            return
        host.power_off()
        host.flip_a_bit()
        self.world.after(self._rng.uniform(0.1, 1.0), host.power_on)

    # --- people

    def _transfer(self) -> None:
        leader = self.cluster.leader()
        if leader is not None:
            leader.transfer(self._rng.choice(self._ids()))

    def _suspect_leader(self) -> None:
        host = self._any_host()
        if host is not None and host.coordinator is not None:
            host.coordinator.take(host.coordinator.raft.suspect_leader)

    def _lose_client(self) -> None:
        client = self._rng.choice(self.cluster.clients)
        if client.connection is not None:
            if self._rng.random() < 0.5:
                client.connection.fall_silent()
            else:
                client.connection.reset()

    def _join_member(self) -> None:
        self.cluster.operator.join()

    def _leave_member(self) -> None:
        self.cluster.operator.leave(self._rng.choice(self.cluster.hosts))
