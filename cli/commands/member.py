"""``oarlock member add|remove|update|promote|list``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from oarlock.cli.errors import BadArgumentsError, BadFeatureError
from oarlock.cli.gotext import quote
from oarlock.cli.groups import PrefixGroup, client_command
from oarlock.cli.invocation import Invocation
from oarlock.cli.options import flag, text, words
from oarlock.cli.output.results import MemberAdded, MemberChanged

if TYPE_CHECKING:
    from oarlock.calls import Call
    from oarlock.results import MemberList

_PEER_URLS = text("--peer-urls", metavar="URL,…", help="Where the other members reach it, separated by commas.")


@click.group("member", cls=PrefixGroup)
def member() -> None:
    """List, add, remove, update and promote members."""


@client_command("list", [text("--consistency", metavar="l|s", default="l", help="Linearizable, or serializable: as the "
                              "asked member knows it, also without a quorum."), words("")], member)  # fmt: skip
def list_members(invocation: Invocation, words: tuple[bytes, ...], consistency: str) -> None:
    """List the members of the cluster.

    \b
    Columns: ID, status, name, peer addresses, client addresses, is learner
    """
    if words:
        raise BadArgumentsError("member list command needs no arguments")
    if consistency not in ("l", "s"):
        raise BadFeatureError(f"unknown consistency flag {quote(consistency)}")
    printer = invocation.printer("member_list")
    with invocation.client() as client:
        printer.member_list(client.member_list(linearizable=consistency == "l"))


@client_command(
    "add",
    [_PEER_URLS, flag("--learner", help="Let it catch up without a vote; promote it later."), words("NAME")],
    member,
)
def add(invocation: Invocation, words: tuple[bytes, ...], peer_urls: str, learner: bool) -> None:
    """Add a member, and print the settings with which it is to be started."""
    if not words:
        raise BadArgumentsError("member name not provided")
    if len(words) > 1:
        raise BadArgumentsError("too many arguments")
    urls = _urls(peer_urls)
    name = words[0].decode(errors="replace")
    printer = invocation.printer("member_add")
    with invocation.client() as client:
        printer.member_add(MemberAdded(client.member_add(urls, name=name, learner=learner), name))


@client_command("remove", [words("MEMBER_ID")], member)
def remove(invocation: Invocation, words: tuple[bytes, ...]) -> None:
    """Remove a member from the cluster, for ever."""
    from oarlock import calls

    member_id = _member_id(words)
    _change(invocation, "removed", member_id, calls.member_remove(member_id))


@client_command("update", [_PEER_URLS, words("MEMBER_ID")], member)
def update(invocation: Invocation, words: tuple[bytes, ...], peer_urls: str) -> None:
    """Change where the other members reach a member."""
    from oarlock import calls

    member_id = _member_id(words)
    _change(invocation, "updated", member_id, calls.member_update(member_id, _urls(peer_urls)))


@client_command("promote", [words("MEMBER_ID")], member)
def promote(invocation: Invocation, words: tuple[bytes, ...]) -> None:
    """Let a learner vote that has caught up."""
    from oarlock import calls

    member_id = _member_id(words)
    _change(invocation, "promoted", member_id, calls.member_promote(member_id))


def _change(invocation: Invocation, verb: str, member_id: int, call: Call[MemberList]) -> None:
    printer = invocation.printer("member_change")
    with invocation.client() as client:
        printer.member_change(MemberChanged(verb, member_id, client.call(call)))


def _urls(text: str) -> list[str]:
    urls = [url.strip() for url in text.split(",") if url.strip()]
    if not urls:
        raise BadArgumentsError("member peer urls not provided")
    return urls


def _member_id(words: tuple[bytes, ...]) -> int:
    if len(words) != 1:
        raise BadArgumentsError("member ID is not provided")
    return parse_member_id(words[0])


def parse_member_id(word: bytes) -> int:
    """A member's id, in hexadecimal.

    Raises:
        BadArgumentsError: it is none.
    """
    if not re.fullmatch(rb"[0-9A-Fa-f]{1,16}", word):
        raise BadArgumentsError(
            f"bad member ID arg (strconv.ParseUint: parsing {quote(word)}: invalid syntax), expecting ID in Hex"
        )
    return int(word, 16)
