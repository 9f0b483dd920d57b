"""A whole cluster from one seed: machines, network, clients, what goes wrong, and what must be true all the same."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from oarlock.wire.members import Attributes

from .clients import SimClient
from .coordinator import SimCoordinator
from .gateway import Gateway
from .host import SimHost
from .judge import Judge
from .nemesis import Nemesis
from .network import SimNetwork
from .operator import Operator
from .profile import Course, Profile
from .worker import SimWorker
from .world import World

FAULTY_S: Final = 8.0
"""How long things go wrong: some ten election time-outs."""
CONVERGENCE_S: Final = 30.0
"""By then a cluster on which nothing goes wrong any more must be level, and every request over: split votes, catching
up by snapshot, a replacement, requests with four seconds' patience, and leases that end."""
LOOK_S: Final = 0.1
MEMORY: Final = Path("/dev/shm")


class SimCluster:
    """See the module. Everything follows from the seed; files are in ``directory``, at best in memory.

    Args:
        course: what the run is there for.

    Attributes:
        hosts: the machines; their numbers begin with 1.
        initial: the first members.
        attributes: what is known of them.
    """

    def __init__(self, seed: int, directory: Path, course: Course) -> None:
        self.world = World(seed)
        self.profile = Profile(self.world.rng, course)
        self.initial = tuple(range(1, self.profile.voters + 1))
        self.attributes = {member_id: Attributes(f"m{member_id}") for member_id in self.initial}
        self.network = SimNetwork(self.world)
        self.judge = Judge(self.world, self.initial)
        count = self.profile.voters + self.profile.spares
        self.hosts = [SimHost(self, number, directory / f"host{number}") for number in range(1, count + 1)]
        for host in self.hosts:
            drift = self.profile.clock_drift
            host.clock_rate = 1.0 + self.world.rng.uniform(-drift, drift)
        for host, member_id in zip(self.hosts, self.initial, strict=False):
            host.become(member_id)
        self.clients = [SimClient(self, number) for number in range(self.profile.clients)]
        self.gateway = Gateway(self, 0)
        self.operator = Operator(self)

    @property
    def _everybody(self) -> list[SimClient | Gateway]:
        return [*self.clients, self.gateway]

    def leader(self) -> SimCoordinator | None:
        """The leader of the newest term that somebody leads."""
        leaders = [host.coordinator for host in self.hosts if host.coordinator is not None and host.coordinator.leading]
        return max(leaders, key=lambda each: each.raft.term, default=None)

    def worker_at(self, number: int) -> SimWorker | None:
        """A worker of a machine that takes clients, as the kernel would choose one."""
        workers = [each for each in self.hosts[number - 1].workers.values() if each.serving]
        return self.world.rng.choice(workers) if workers else None

    # --- the course of a run

    def run(self) -> None:
        """Faults, then peace; raises AssertionError where a promise is broken."""
        nemesis = Nemesis(self)
        network, profile = self.network, self.profile
        network.loss, network.duplication, network.jitter_s = profile.loss, profile.duplication, profile.jitter_s
        self.world.run_until(FAULTY_S)
        nemesis.end()
        self.world.note("faults end")
        for client in self._everybody:
            client.busy = False
        self._wait_for("everything is level", self._unfinished)
        for client in self.clients:
            client.failures.clear()
            client.put()
            client.get()
        self._wait_for("the last requests are answered", self._unfinished)
        for client in self.clients:
            assert not client.failures, f"a request failed though nothing was wrong: {client.failures}"

    def _wait_for(self, what: str, unfinished: Callable[[], str]) -> None:
        end_s = self.world.now_s + CONVERGENCE_S
        problem = "?"
        while problem and self.world.now_s < end_s:
            self.world.run_until(self.world.now_s + LOOK_S)
            problem = unfinished()
        assert not problem, f"waited {CONVERGENCE_S} s until {what}: {problem}"

    def _unfinished(self) -> str:
        """What is still to come; nothing in the end."""
        judge = self.judge
        if self.operator.is_busy:
            return f"the operator is busy: {[each for host in self.hosts if (each := host.describe())]}"
        leader = self.leader()
        if leader is None:
            return "no leader"
        if not all(client.is_idle for client in self._everybody):
            return "requests are under way"
        if judge.model.leases:
            return f"leases live on: {judge.model.leases}"
        last = leader.raft.status.last_index
        if judge.last_committed != last:
            return f"the leader has {last}, committed is {judge.last_committed}"
        for host in self.hosts:
            if not host.member_id:
                continue
            if host.coordinator is None or host.coordinator.commit_index != last:
                return f"member {host.member_id} is not at {last}"
            for worker in host.workers.values():
                if worker.keeper.meta.applied_index != last or not worker.serving or len(worker.proposals):
                    return (
                        f"worker {worker.number} of member {host.member_id} is not level at {last}: {worker.describe()}"
                    )
        for client in self.clients:
            if client.watch is not None and client.watch.is_behind:
                return f"client {client.number} watches at {judge.model.revision}: {client.watch.describe()}"
        return ""

    @property
    def milestones(self) -> set[str]:
        """The kinds of events that the run has had."""
        return self.world.kinds

    def close(self) -> None:
        """Removes what the run left."""
        for host in self.hosts:
            host.close()


def simulate(seed: int, course: Course = Course.ANY) -> SimCluster:
    """Runs one seed.

    Args:
        course: what the run is there for.

    Returns:
        The cluster after the run.

    Raises:
        AssertionError: a promise was broken. Its notes say how to repeat the run, what was drawn, and what happened
            last.
    """
    base = MEMORY if os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="oarlock-simulation-", dir=base) as directory:
        cluster = SimCluster(seed, Path(directory), course)
        try:
            cluster.run()
        except Exception as problem:
            repeat = f"SIM_SEED={seed} pytest tests/simulation/test_simulation.py -k {course}"
            problem.add_note(f"seed {seed}: repeat it with {repeat}")
            problem.add_note(f"drawn: {cluster.profile}")
            problem.add_note("\n".join(cluster.world.trace))
            raise
        finally:
            cluster.close()
    return cluster
