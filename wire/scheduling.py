"""What this process asks of the kernel's scheduler."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
from typing import Final

SHORT_SLICE_S: Final = 0.0001
"""The least that Linux grants. A turn of ours for a lone request takes about as long."""

_CALLS: Final = {"x86_64": (314, 315), "aarch64": (274, 275)}
"""The numbers of sched_setattr and sched_getattr; the C library has no functions for them before glibc 2.41."""
_ATTRIBUTES: Final = struct.Struct("=IIQiIQQQ")
"""sched_setattr(2): size, policy, flags, nice, priority, runtime, deadline, period."""
_FAIR: Final = (os.SCHED_OTHER, os.SCHED_BATCH) if sys.platform == "linux" else ()


def take_short_turns() -> bool:
    """Asks for short slices of the processor, for this thread and those that it starts.

    A write passes three processes, each of which works for some 50 µs when it is woken. Where the processors have other
    work to do, the scheduler lets that go on until its slice ends, unless the woken one wants less: a lone put
    beside programs that never rest takes 0.5 ms with short slices, and 3.9 ms without (2 cores). The share of the
    processor that a process gets is the same. Linux has it since 6.12 (EEVDF), for anybody; other systems, and who runs
    under another policy, are left as they are.

    Returns:
        Whether it was granted, as far as can be told: an older Linux takes note and does nothing.
    """
    calls = _CALLS.get(platform.machine())
    if sys.platform != "linux" or calls is None:
        return False
    set_attributes, get_attributes = calls
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        buffer = ctypes.create_string_buffer(_ATTRIBUTES.size)
        if libc.syscall(get_attributes, 0, buffer, _ATTRIBUTES.size, 0) != 0:
            return False
        _, policy, flags, nice, priority, *_ = _ATTRIBUTES.unpack(buffer.raw)
        if policy not in _FAIR:
            return False
        slice_ns = int(SHORT_SLICE_S * 1e9)
        wanted = _ATTRIBUTES.pack(_ATTRIBUTES.size, policy, flags, nice, priority, slice_ns, 0, 0)
        return bool(libc.syscall(set_attributes, 0, wanted, 0) == 0)
    except (OSError, AttributeError):
        return False
