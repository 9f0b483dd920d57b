"""The first start of a member: it begins a cluster, or asks the members of one who it is among them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import zmq

from oarlock.coordinator import identity as identities
from oarlock.coordinator import peer_codec
from oarlock.coordinator.identity import LocalIdentity
from oarlock.coordinator.peer_codec import PeerFrame, PeerKind
from oarlock.wire import process
from oarlock.wire.errors import ConfigurationError, ProtocolError
from oarlock.wire.frames import MAX_FRAME_BYTES
from oarlock.wire.members import Members, initial_from_value, initial_to_value

ASK_TIMEOUT_S: Final = 15.0
"""How long a member-to-be asks: as long as a leader election and a restart of a member may take."""
ASK_AGAIN_S: Final = 0.5
"""A question or its answer may get lost, and a member may not know yet that another one was added."""


def load_or_begin(
    data_dir: Path, settings: Mapping[str, Any], context: zmq.Context[zmq.Socket[bytes]], *, log_exists: bool
) -> LocalIdentity:
    """The identity of this member: as kept since the first start, or now decided and kept.

    Args:
        data_dir: the data directory.
        settings: of the server.
        context: for the questions of a member that joins.
        log_exists: whether there is a log already.

    Raises:
        ConfigurationError: flags that contradict each other or the data, or a cluster that does not know this member;
            says what to do.
        DamageError: the identity's file is damaged.
    """
    known = identities.load(data_dir, log_exists=log_exists)
    if known is not None:
        identities.check_settings(known, settings)
        return known
    if settings["initial_cluster_state"] == "existing":
        found = _ask(context, settings)
    else:
        found = identities.of_new_cluster(settings)
    identities.save(data_dir, found)
    return found


def answer(members: Members, initial: Any, peer_urls: Sequence[str]) -> list[Any]:
    """What a member answers to BOOTSTRAP: who has these URLs, and what it needs to know to begin.

    Args:
        members: the members now.
        initial: the members at the beginning of the log.
        peer_urls: how others reach the one who asks.
    """
    wanted = {identities.normal_url(url) for url in peer_urls}
    listed = members.listed()
    member_id = next((each.id for each in listed if set(map(identities.normal_url, each.peer_urls)) == wanted), 0)
    return [member_id, initial_to_value(initial), [[each.id, each.name, each.peer_urls] for each in listed]]


def _ask(context: zmq.Context[zmq.Socket[bytes]], settings: Mapping[str, Any]) -> LocalIdentity:
    own_urls = identities.advertised_urls(settings)
    members = identities.named_members(settings["initial_cluster"])
    others = sorted({url for urls in members.values() for url in urls} - set(own_urls))
    if not others:
        raise ConfigurationError(
            "initial-cluster-state is existing, so initial-cluster must name members of the cluster to join"
        )
    sockets = [_connect(context, url) for url in others]
    try:
        frame = _first_useful_answer(sockets, own_urls)
    finally:
        for each in sockets:
            each.close(0)
    if frame is None:
        raise ConfigurationError(
            f"initial-cluster: no member answered within {ASK_TIMEOUT_S:.0f} s at {', '.join(others)}"
        )
    member_id, initial, _ = frame.payload
    if not member_id:
        raise ConfigurationError(
            f"cluster {frame.cluster_id:x} has no member at {', '.join(own_urls)}: add it first with "
            f"`oarlock member add {settings['name']} --peer-urls={','.join(own_urls)}`, or correct "
            "--initial-advertise-peer-urls"
        )
    return LocalIdentity(frame.cluster_id, member_id, initial_from_value(initial))


def _connect(context: zmq.Context[zmq.Socket[bytes]], url: str) -> zmq.Socket[bytes]:
    dealer = context.socket(zmq.DEALER)
    dealer.setsockopt(zmq.LINGER, 0)
    dealer.setsockopt(zmq.IMMEDIATE, 1)
    dealer.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME_BYTES)
    dealer.connect(url)
    return dealer


def _first_useful_answer(sockets: Sequence[zmq.Socket[bytes]], own_urls: Sequence[str]) -> PeerFrame | None:
    """Asks again and again; the answer that knows us, or when time is over the last one that does not."""
    poller = zmq.Poller()
    for each in sockets:
        poller.register(each, zmq.POLLIN)
    question = peer_codec.encode(0, 0, 0, PeerKind.BOOTSTRAP, [own_urls])
    deadline_s = time.monotonic() + ASK_TIMEOUT_S
    last: PeerFrame | None = None
    while time.monotonic() < deadline_s:
        process.notify_alive()
        for each in sockets:
            try:
                each.send(question, zmq.NOBLOCK)
            except zmq.Again:
                continue  # not connected yet
        for each, _ in poller.poll(int(ASK_AGAIN_S * 1000)):
            frame = _decode(each.recv(zmq.NOBLOCK))
            if frame is not None:
                last = frame
                if frame.payload[0]:
                    return frame
        if last is not None:
            time.sleep(ASK_AGAIN_S)  # it may be about to learn of us: no reason to ask faster
    return last


def _decode(data: bytes) -> PeerFrame | None:
    try:
        frame = peer_codec.decode(data)
    except ProtocolError:
        return None
    return frame if frame.kind == PeerKind.BOOTSTRAP_INFO else None
