"""What can happen to the files of a server that does not run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from oarlock.coordinator import identity
from oarlock.storage.log import Identity

Harm = Callable[[Path], object]
"""Takes the directory of a replica."""


def log_paths(data_dir: Path) -> list[Path]:
    """The segments of the log, oldest first."""
    return sorted((data_dir / "log").glob("*.log"))


def log_identity(data_dir: Path) -> Identity:
    """Whose log it is."""
    kept = identity.load(data_dir, log_exists=True)
    assert kept is not None
    return kept.of_log


def flip_bit(path: Path, offset: int) -> None:
    """Changes one bit."""
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x10]))


def overwrite(path: Path, offset: int, length: int) -> None:
    """Writes garbage over a part of a file."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(bytes(number * 37 % 251 for number in range(length)))


def _data(replica: Path) -> Path:
    return replica / "data.mdb"


def _size(replica: Path) -> int:
    return _data(replica).stat().st_size


def _truncate(replica: Path, length: int) -> None:
    with _data(replica).open("r+b") as file:
        file.truncate(length)


def _machine_went_down(replica: Path) -> None:
    mark = json.loads((replica / "mark.json").read_text())
    (replica / "mark.json").write_text(json.dumps({**mark, "boot_id": "another boot", "clean": False}))


def _other_cluster(replica: Path) -> None:
    path = replica.parent / "identity.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "cluster_id": 1}))


HARMS: dict[str, Harm] = {
    "deleted": lambda replica: _data(replica).unlink(),
    "emptied": lambda replica: _truncate(replica, 0),
    "cut inside the first page": lambda replica: _truncate(replica, 1000),
    "cut after the meta pages": lambda replica: _truncate(replica, 8192),
    "cut in the middle": lambda replica: _truncate(replica, _size(replica) // 2 // 4096 * 4096),
    "cut by a byte": lambda replica: _truncate(replica, _size(replica) - 1),
    "garbage at the start": lambda replica: overwrite(_data(replica), 0, 8192),
    "garbage in the middle": lambda replica: overwrite(_data(replica), 8192, _size(replica) - 8192),
    "garbage all over": lambda replica: overwrite(_data(replica), 0, _size(replica)),
    "without its mark": lambda replica: (replica / "mark.json").unlink(),
    "with a mark that says nothing": lambda replica: (replica / "mark.json").write_text("{"),
    "in use when the machine went down": _machine_went_down,
    "of another cluster": _other_cluster,
}
"""Everything that is done to replicas, by name."""
