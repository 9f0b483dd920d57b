"""``oarlock del``."""

from __future__ import annotations

from typing import Any

from oarlock.cli.groups import client_command
from oarlock.cli.invocation import Invocation
from oarlock.cli.options import words
from oarlock.cli.requests import DELETE_FLAGS, DeleteRequest


@client_command("del", [*DELETE_FLAGS, words("KEY [RANGE_END]")])
def delete(invocation: Invocation, words: tuple[bytes, ...], **flags: Any) -> None:
    """Remove the key or a range of keys.

    With RANGE_END, the keys from KEY on and before RANGE_END. Prints how many were removed.
    """
    request = DeleteRequest.parse(words, **flags)
    printer = invocation.printer("delete")
    with invocation.client() as client:
        if request.range_end:
            result = client.delete_range(request.key, request.range_end, prev_kv=request.prev_kv)
        else:
            result = client.delete(request.key, prev_kv=request.prev_kv)
    printer.delete(result)
