"""The replica: a multi-version key-value store on LMDB, the state machine's memory."""

from .compaction import Compactor
from .errors import ReadExpiredError, ReplicaFailedError, ReplicaFullError, ReplicaUntrustedError
from .hashing import KvHash
from .layout import Meta
from .read import ReadView
from .replica import Replica
from .scrub import Scrubber
from .write import WriteView

__all__ = [
    "Compactor",
    "KvHash",
    "Meta",
    "ReadExpiredError",
    "ReadView",
    "Replica",
    "ReplicaFailedError",
    "ReplicaFullError",
    "ReplicaUntrustedError",
    "Scrubber",
    "WriteView",
]
