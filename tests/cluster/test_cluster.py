"""Three real members: writes go on when the leader goes, members come and go, snapshots catch up who is behind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import oarlock
from oarlock.storage.replica import Replica
from tests.cluster.harness import ClusterOfServers
from tests.server import wait_until

TIMEOUT_S = 30.0


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ClusterOfServers]:
    with ClusterOfServers(tmp_path).running() as running:
        running.wait_for_leader()
        yield running


class Writers:
    """Clients that put one key after the other until told to stop; all that were acknowledged, and every error."""

    def __init__(self, cluster: ClusterOfServers, count: int = 4) -> None:
        self.errors: list[Exception] = []
        self.acknowledged: list[bytes] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(cluster, number)) for number in range(count)]
        for thread in self._threads:
            thread.start()

    def _write(self, cluster: ClusterOfServers, number: int) -> None:
        with cluster.client(timeout_s=TIMEOUT_S) as client:
            for count in range(1_000_000):
                if self._stop.is_set():
                    return
                key = b"%d/%d" % (number, count)
                try:
                    result = client.transaction([oarlock.version(key) == 0], [oarlock.ops.put(key, b"")])
                    assert result.succeeded, f"{key!r} was written twice"
                    self.acknowledged.append(key)
                except (oarlock.OarlockError, AssertionError) as problem:
                    self.errors.append(problem)

    def wait_for_more(self, count: int) -> None:
        """Waits until so many more writes are acknowledged."""
        target = len(self.acknowledged) + count
        wait_until(lambda: len(self.acknowledged) >= target, TIMEOUT_S, f"{count} more writes")

    def end(self, cluster: ClusterOfServers) -> None:
        """Stops; no write failed, none is lost."""
        self._stop.set()
        for thread in self._threads:
            thread.join(TIMEOUT_S)
        assert not self.errors
        with cluster.client(timeout_s=TIMEOUT_S) as client:
            kept = {kv.key for kv in client.get_all(keys_only=True)}
        assert kept.issuperset(self.acknowledged)


def test_writes_survive_a_killed_leader_and_the_leader_its_return(cluster: ClusterOfServers) -> None:
    writers = Writers(cluster)
    leader = cluster.wait_for_leader()
    writers.wait_for_more(50)
    cluster.kill(leader)
    writers.wait_for_more(50)
    assert cluster.wait_for_leader() != leader
    cluster.start([leader])
    writers.end(cluster)
    assert hashes(cluster) == 1


def test_writes_survive_a_leader_that_is_stopped(cluster: ClusterOfServers) -> None:
    writers = Writers(cluster)
    leader = cluster.wait_for_leader()
    writers.wait_for_more(50)
    assert cluster.servers[leader].stop() == 0
    assert "handing leadership over" in cluster.servers[leader].log_text()
    writers.wait_for_more(50)
    writers.end(cluster)


def test_writes_survive_a_leader_that_is_cut_off(cluster: ClusterOfServers) -> None:
    writers = Writers(cluster)
    leader = cluster.wait_for_leader()
    others = [number for number in range(3) if number != leader]
    cluster.partition([leader], others)
    with cluster.client(others[0], timeout_s=TIMEOUT_S) as client:
        client.put(b"while", b"cut off")
    cluster.heal()
    with cluster.client(leader, timeout_s=TIMEOUT_S) as client:
        assert client.get(b"while") is not None
    writers.end(cluster)


def test_two_of_three_down_refuses_writes_and_one_back_takes_them(cluster: ClusterOfServers) -> None:
    with cluster.client(0, timeout_s=TIMEOUT_S) as client:
        client.put(b"k", b"v")
        wait_until(lambda: client.get(b"k", serializable=True) is not None, TIMEOUT_S, "the write everywhere")
        cluster.kill(1)
        cluster.kill(2)
        with pytest.raises(oarlock.OarlockError):
            client.put(b"k", b"w", timeout_s=1.0)
        assert client.get(b"k", serializable=True) is not None
        cluster.start([2])
        client.put(b"k", b"x")


def test_every_member_renews_leases(cluster: ClusterOfServers) -> None:
    with cluster.client(timeout_s=TIMEOUT_S) as client:
        lease_id = client.lease(60).id
    for number in range(3):
        with cluster.client(number, timeout_s=TIMEOUT_S) as client:
            assert client.refresh_lease(lease_id).ttl_s == 60
            assert client.lease_time_to_live(lease_id).granted_ttl_s == 60


def test_a_member_is_added_promoted_and_removed(cluster: ClusterOfServers) -> None:
    with cluster.client(timeout_s=TIMEOUT_S) as client:
        client.put(b"before", b"")
        initial = ",".join(f"m{number}={server.peer_url}" for number, server in enumerate(cluster.servers))
        number = cluster.add_server("--initial-cluster-state", "existing", "--initial-cluster", initial)
        added = client.member_add(cluster.servers[number].peer_url, learner=True)
        assert added.member.is_learner
        cluster.start([number])
        assert cluster.member_id(number) == added.member.id
        check_that_a_learner_answers_little(cluster, number)
        until(lambda: client.member_promote(added.member.id), "the learner is promoted")
        until(lambda: assert_equal(started(client), 4), "the new member has published its name")
        with cluster.client(number, timeout_s=TIMEOUT_S) as newcomer:
            until(lambda: newcomer.get(b"before"), "the new member has heard of its promotion")
            assert newcomer.get(b"before") is not None
            assert not newcomer.status().is_learner
        until(lambda: client.member_remove(added.member.id), "the member is removed")
    wait_until(lambda: not cluster.is_running(number), TIMEOUT_S, "the removed member stops")
    assert "was removed from the cluster" in cluster.servers[number].log_text()


def check_that_a_learner_answers_little(cluster: ClusterOfServers, number: int) -> None:
    with cluster.client(number, timeout_s=TIMEOUT_S) as learner:
        wait_until(lambda: learner.status().is_learner, TIMEOUT_S, "the learner to know what it is")
        assert learner.get(b"before", serializable=True) is not None
        assert learner.member_list().members
        with pytest.raises(oarlock.LearnerRefusesError):
            learner.get(b"before")
        with pytest.raises(oarlock.LearnerRefusesError):
            learner.put(b"before", b"")
    for _ in range(4):  # a client begins at either endpoint
        with oarlock.connect(cluster.endpoints[number], cluster.endpoints[0], timeout_s=TIMEOUT_S) as client:
            client.put(b"elsewhere", b"")


def test_a_member_that_is_far_behind_gets_a_snapshot(tmp_path: Path) -> None:
    flags = ("--snapshot-count", "40", "--snapshot-catchup-entries", "5")
    with ClusterOfServers(tmp_path, arguments=flags).running() as cluster:
        leader = cluster.wait_for_leader()
        behind = next(number for number in range(3) if number != leader)
        cluster.kill(behind)
        with cluster.client(leader, timeout_s=TIMEOUT_S) as client:
            for count in range(1_000_000):
                client.put(b"%d" % (count % 100), b"v")
                if cluster.servers[leader].log_text().count("snapshot taken") >= 3:
                    break  # the log has forgotten what the first of them holds
        cluster.start([behind])
        with cluster.client(behind, timeout_s=TIMEOUT_S) as client:
            assert client.get(b"0") is not None
        assert "replica begins from a snapshot" in cluster.servers[behind].log_text()
        assert hashes(cluster) == 1


def started(client: oarlock.Client) -> int:
    return sum(bool(member.name) for member in client.member_list().members)


def assert_equal(left: object, right: object) -> None:
    if left != right:
        raise oarlock.OarlockError(f"{left} is not {right}")


def until(action: Callable[[], object], what: str) -> None:
    """Does it again until it is not refused."""

    def done() -> bool:
        try:
            action()
        except oarlock.OarlockError:
            return False
        return True

    wait_until(done, TIMEOUT_S, what)


def hashes(cluster: ClusterOfServers) -> int:
    """How many different stores the members have, at the revision that all of them have reached."""
    with cluster.client(timeout_s=TIMEOUT_S) as client:
        revision = client.put(b"last", b"").header.revision
    found = set()
    for number in range(len(cluster.servers)):
        with cluster.client(number, timeout_s=TIMEOUT_S) as client:
            client.get(b"last")
            found.add(client.hash_kv(revision).hash)
    return len(found)


def test_a_member_whose_replica_differs_is_named_and_stops_serving(cluster: ClusterOfServers) -> None:
    leader = cluster.wait_for_leader()
    wrong = next(number for number in range(3) if number != leader)
    assert cluster.servers[wrong].stop() == 0
    falsify(cluster.servers[wrong].data_dir / "workers" / "0" / "replica")
    cluster.start([wrong])
    wait_until(
        lambda: "replicas differ from the other members'" in cluster.servers[wrong].log_text(), TIMEOUT_S, "a verdict"
    )
    with cluster.client(leader, timeout_s=TIMEOUT_S) as client:
        until(lambda: assert_equal([alarm.member_id for alarm in client.alarms()], [cluster.member_id(wrong)]), "alarm")
        with pytest.raises(oarlock.CorruptError):
            client.put(b"k", b"v")
    with pytest.raises(oarlock.OarlockError), cluster.client(wrong, timeout_s=1.0) as client:
        client.get(b"k", serializable=True)
    check_that_it_serves_when_the_alarm_is_disarmed(cluster, wrong, leader)


def check_that_it_serves_when_the_alarm_is_disarmed(cluster: ClusterOfServers, wrong: int, other: int) -> None:
    alarm = f"memberID:{cluster.member_id(wrong)} alarm:CORRUPT "
    assert cluster.servers[wrong].stop() == 0
    starting = threading.Thread(target=cluster.start, args=([wrong],))
    starting.start()
    log_text = cluster.servers[wrong].log_text
    wait_until(lambda: "not serving: this member was found to differ" in log_text(), TIMEOUT_S, "closed doors")
    with pytest.raises(oarlock.OarlockError), cluster.client(wrong, timeout_s=1.0) as client:
        client.get(b"k", serializable=True)
    with cluster.client(other, timeout_s=TIMEOUT_S) as client:
        # With one of three stopped, the leader may step down for a moment where the machine stands still.
        until(lambda: assert_equal(client.status().errors, [alarm]), "the alarm alone")
        client.disarm_alarm(oarlock.Alarm.CORRUPT, cluster.member_id(wrong))
        until(lambda: assert_equal(client.status().errors, []), "no alarm")
    starting.join(TIMEOUT_S)
    assert not starting.is_alive()
    assert hashes(cluster) == 1


def falsify(directory: Path) -> None:
    """Writes to a replica what is not in the log."""
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    replica = Replica.open(directory, boot_id=boot_id)
    meta = replica.meta
    with replica.write() as view:
        view.put(b"not in the log", b"", 0)
        view.finish_operation()
        view.applied_index -= 1  # the entry ends a second time, with another effect
        view.end_entry(meta.applied_index, meta.applied_term, meta.position)
    replica.close()


def test_a_wrong_token_is_refused_with_a_message_that_says_so(cluster: ClusterOfServers) -> None:
    stranger = cluster.add_server("--initial-cluster-token", "wrong")
    server = cluster.servers[stranger]
    # It takes the place of m2, whose data it lacks.
    cluster.kill(2)
    initial = ",".join(f"m{number}={cluster.servers[number].peer_url}" for number in (0, 1))
    server.arguments += ("--initial-cluster", f"{initial},m{stranger}={server.peer_url}")
    with pytest.raises(AssertionError, match="--initial-cluster-token must be the same"):
        cluster.start([stranger])


def test_a_member_that_was_removed_while_it_was_down_does_not_start_again(cluster: ClusterOfServers) -> None:
    down = next(number for number in range(3) if number != cluster.wait_for_leader())
    cluster.kill(down)
    with cluster.client(timeout_s=TIMEOUT_S) as client:
        until(lambda: client.member_remove(cluster.member_id(down)), "the member is removed")
    with pytest.raises(AssertionError, match="was removed from the cluster"):
        cluster.start([down])


def test_data_of_another_cluster_are_refused_and_a_member_that_nobody_added_as_well(cluster: ClusterOfServers) -> None:
    server = cluster.servers[2]
    assert server.stop() == 0
    server.arguments += ("--initial-cluster-token", "other")
    with pytest.raises(AssertionError, match="to go on with this data, start without them"):
        cluster.start([2])
    initial = ",".join(f"m{number}={cluster.servers[number].peer_url}" for number in (0, 1))
    stranger = cluster.add_server("--initial-cluster-state", "existing", "--initial-cluster", initial)
    with pytest.raises(AssertionError, match="add it first with `oarlock member add"):
        cluster.start([stranger])


def test_leadership_moves_where_it_is_told_to(cluster: ClusterOfServers) -> None:
    leader = cluster.wait_for_leader()
    target = (leader + 1) % 3
    with cluster.client(leader, timeout_s=TIMEOUT_S) as client:
        client.move_leader(cluster.member_id(target))
        assert client.status().leader == cluster.member_id(target)
        with pytest.raises(oarlock.NotLeaderError):
            client.move_leader(cluster.member_id(leader))
