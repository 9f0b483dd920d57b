"""Who this member is, and with whom the cluster began: decided once, and kept beside the log.

``identity.json`` holds the two ids and ``initial``, the members as of log index 0, which is the same on every member
of the cluster for ever: a log without a snapshot has its first membership from there.

A cluster whose members are named on the command line derives its ids from that line, as etcd does, so that members
that were told the same thing agree without a word: the id of a member is the hash of its peer URLs and the cluster's
token, the id of the cluster that of its members' ids.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from hashlib import sha1
from pathlib import Path
from typing import Any, NamedTuple

from oarlock.storage.disk import RealDisk
from oarlock.storage.log import Identity
from oarlock.wire.errors import ConfigurationError, DamageError, ProtocolError
from oarlock.wire.identifiers import new_id
from oarlock.wire.members import Attributes, initial_from_value, initial_to_value

FILE_NAME = "identity.json"


class LocalIdentity(NamedTuple):
    """What ``identity.json`` holds.

    Attributes:
        cluster_id, member_id: positive, below 2^64.
        initial: the members at the beginning of the log; this one is not among them if it came later.
    """

    cluster_id: int
    member_id: int
    initial: dict[int, Attributes]

    @property
    def of_log(self) -> Identity:
        """The ids as the log's files carry them."""
        return Identity(self.cluster_id, self.member_id)


def derive_member_id(peer_urls: Iterable[str], token: str) -> int:
    """The id of a member that a new cluster begins with (etcd: first 8 bytes of SHA-1 over sorted URLs and token)."""
    text = "".join(sorted(normal_url(url) for url in peer_urls)) + token
    return _first_8_bytes(text.encode())


def derive_cluster_id(member_ids: Iterable[int]) -> int:
    """The id of a cluster that begins with these members (etcd: first 8 bytes of SHA-1 over the sorted ids)."""
    return _first_8_bytes(b"".join(member_id.to_bytes(8, "big") for member_id in sorted(member_ids)))


def normal_url(url: str) -> str:
    """A peer URL as it is compared and hashed: ``http://`` and ``tcp://`` are the same place."""
    return "tcp://" + url.removeprefix("https://").removeprefix("http://").removeprefix("tcp://").rstrip("/")


def _first_8_bytes(data: bytes) -> int:
    digest = sha1(data, usedforsecurity=False).digest()
    return int.from_bytes(digest[:8], "big") or 1


def named_members(initial_cluster: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The peer URLs of each name in ``name=url`` pairs."""
    members: dict[str, tuple[str, ...]] = {}
    for pair in initial_cluster:
        name, _, url = pair.partition("=")
        members[name] = (*members.get(name, ()), normal_url(url))
    return members


def of_new_cluster(settings: Mapping[str, Any]) -> LocalIdentity:
    """The identity of a member that begins a cluster.

    Args:
        settings: of the server; ``initial_cluster`` empty means: alone, with ids that are drawn.

    Raises:
        ConfigurationError: this member is not in ``initial_cluster``, or under other URLs; says what to change.
    """
    own_urls = advertised_urls(settings)
    if not settings["initial_cluster"]:
        member_id = new_id()
        return LocalIdentity(new_id(), member_id, {member_id: Attributes(settings["name"], own_urls)})
    members = named_members(settings["initial_cluster"])
    _check_own_urls(settings, members, own_urls)
    token = settings["initial_cluster_token"]
    initial = {derive_member_id(urls, token): Attributes(name, urls) for name, urls in members.items()}
    if len(initial) < len(members):
        raise ConfigurationError("initial-cluster: two members have the same URLs: each needs its own")
    return LocalIdentity(derive_cluster_id(initial), derive_member_id(own_urls, token), initial)


def advertised_urls(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """How other members reach this one."""
    urls = settings["initial_advertise_peer_urls"] or settings["listen_peer_urls"]
    return tuple(normal_url(url) for url in urls)


def _check_own_urls(
    settings: Mapping[str, Any], members: Mapping[str, tuple[str, ...]], own_urls: tuple[str, ...]
) -> None:
    name = settings["name"]
    if name not in members:
        raise ConfigurationError(
            f"initial-cluster names {', '.join(sorted(members))}, but not this member, whose --name is {name}"
        )
    if set(members[name]) != set(own_urls):
        raise ConfigurationError(
            f"initial-cluster says that {name} is at {', '.join(members[name])}, but --initial-advertise-peer-urls "
            f"says {', '.join(own_urls)}: they must be the same"
        )


def check_settings(identity: LocalIdentity, settings: Mapping[str, Any]) -> None:
    """Refuses to go on with data of another cluster than the one that the flags describe.

    Only ``--initial-cluster-state new`` describes one from its beginning; ``existing`` says nothing about ids.

    Raises:
        ConfigurationError: the ids differ; says what to do.
    """
    if not settings["initial_cluster"] or settings["initial_cluster_state"] != "new":
        return
    told = of_new_cluster(settings)
    if (told.cluster_id, told.member_id) != (identity.cluster_id, identity.member_id):
        raise ConfigurationError(
            f"data-dir {settings['data_dir']} holds the data of member {identity.member_id:x} of cluster "
            f"{identity.cluster_id:x}, but --initial-cluster and --initial-cluster-token describe member "
            f"{told.member_id:x} of cluster {told.cluster_id:x}: to go on with this data, start without them; "
            "to begin anew, use an empty directory"
        )


def load(data_dir: Path, *, log_exists: bool) -> LocalIdentity | None:
    """What an earlier start has decided; None at the first start.

    Args:
        data_dir: the data directory.
        log_exists: whether there is a log already; its ids must then be known.

    Raises:
        DamageError: the file is not what was written.
        ConfigurationError: there is a log, but nobody knows whose.
    """
    path = data_dir / FILE_NAME
    try:
        text = path.read_text(encoding="ascii")
    except FileNotFoundError:
        if log_exists:
            raise ConfigurationError(
                f"data-dir {data_dir}: {FILE_NAME} is missing beside a log: restore it, or use another directory"
            ) from None
        return None
    except (OSError, ValueError) as problem:
        raise DamageError(path, 0, str(problem)) from problem
    try:
        fields = json.loads(text)
        member_id = int(fields["member_id"], 16)
        initial = initial_from_value([[int(each, 16), name, urls] for each, (name, urls) in fields["initial"].items()])
        return LocalIdentity(int(fields["cluster_id"], 16), member_id, initial)
    except (ValueError, KeyError, TypeError, AttributeError, ProtocolError) as problem:
        raise DamageError(path, 0, f"not an identity: {problem!r}") from problem


def save(data_dir: Path, identity: LocalIdentity) -> None:
    """Writes the identity, whole or not at all; durable when this returns.

    Raises:
        OSError: the disk refused.
    """
    path = data_dir / FILE_NAME
    part = path.with_suffix(".part")
    value = {
        "cluster_id": f"{identity.cluster_id:x}",
        "member_id": f"{identity.member_id:x}",
        "initial": {f"{each:x}": [name, urls] for each, name, urls in initial_to_value(identity.initial)},
    }
    with part.open("w", encoding="ascii") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    RealDisk().sync_directory(path.parent)
