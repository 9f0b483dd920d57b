"""``oarlock get``."""

from __future__ import annotations

from typing import Any

from oarlock.cli.errors import BadArgumentsError
from oarlock.cli.groups import client_command
from oarlock.cli.invocation import Invocation
from oarlock.cli.options import words
from oarlock.cli.requests import GET_FLAGS, GetRequest


@client_command("get", [*GET_FLAGS, words("KEY [RANGE_END]")])
def get(invocation: Invocation, words: tuple[bytes, ...], **flags: Any) -> None:
    """Get the key or a range of keys.

    With RANGE_END, the keys from KEY on and before RANGE_END. An empty KEY with --prefix or --from-key gets all keys.
    """
    request = GetRequest.parse(words, **flags)
    if request.options["count_only"] and invocation.settings.write_out != "fields":
        raise BadArgumentsError("--count-only is only for `--write-out=fields`")
    if request.values_only and invocation.settings.write_out != "simple":
        raise BadArgumentsError("print-value-only is only for `--write-out=simple`")
    printer = invocation.printer("get", values_only=request.values_only)
    with invocation.client() as client:
        result = client.range(request.key, request.range_end, **request.options)
    printer.get(result)
