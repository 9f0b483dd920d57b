"""``oarlock put``."""

from __future__ import annotations

import sys
from typing import Any

from oarlock.cli.groups import client_command
from oarlock.cli.invocation import Invocation
from oarlock.cli.options import words
from oarlock.cli.requests import PUT_FLAGS, PutRequest


@client_command("put", [*PUT_FLAGS, words("KEY [VALUE]")])
def put(invocation: Invocation, words: tuple[bytes, ...], **flags: Any) -> None:
    """Put the given key into the store.

    Without VALUE, the value is all of standard input, its last newline included. A key that begins with a dash goes
    after `--`.
    """
    request = PutRequest.parse(words, **flags)
    printer = invocation.printer("put")
    value = sys.stdin.buffer.read() if request.value is None else request.value
    with invocation.client() as client:
        result = client.put(
            request.key,
            value,
            lease=request.lease,
            prev_kv=request.prev_kv,
            ignore_value=request.ignore_value,
            ignore_lease=request.ignore_lease,
        )
    printer.put(result)
