"""How the text of a setting is understood: each function returns the value, or raises ValueError with the rule.

The rule is worded to follow "must be".
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Final

DEFAULT_QUOTA_BYTES: Final = 2 << 30
"""etcd's default quota: what 0 stands for."""
MOST_WORKERS: Final = 256
"""Far more than cores pay: every worker applies every write."""


def name(text: str) -> str:
    """A member's name, which is written in lists of ``name=url``."""
    if not re.fullmatch(r"[^\s/,=\x00-\x1f\x7f]{1,128}", text) or text in (".", ".."):
        raise ValueError("1 to 128 characters without blanks, '/', ',' and '='")
    return text


def directory(text: str) -> str:
    """A path, made absolute."""
    if not text or "\0" in text:
        raise ValueError("a path")
    return os.path.abspath(os.path.expanduser(text))


def number(least: int, most: int) -> Callable[[str], int]:
    """A whole number within these bounds."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,19}", text) or not least <= int(text) <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return int(text)

    return parse


_UNITS_S: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION_PART: Final = r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)"


def seconds(text: str) -> float:
    """A time as Go writes it, ``1h15m30.5s``, in seconds.

    Raises:
        ValueError: it is none.
    """
    if text == "0":
        return 0.0
    if len(text) > 64 or not re.fullmatch(rf"(?:{_DURATION_PART})+", text):
        raise ValueError("a time as in 1h15m30s or 500ms")
    return sum(float(count) * _UNITS_S[unit] for count, unit in re.findall(_DURATION_PART, text))


def duration(least_s: float, most_s: float) -> Callable[[str], float]:
    """A time within these bounds, in seconds."""

    def parse(text: str) -> float:
        found_s = seconds(text)
        if not least_s <= found_s <= most_s:
            raise ValueError(f"a time from {least_s:g}s to {most_s:.0f}s")
        return found_s

    return parse


def retention(text: str) -> str:
    """How much history is kept: a bare number (hours or revisions, by the mode), or a time, written in seconds."""
    if re.fullmatch(r"[0-9]{1,18}", text):
        return text
    try:
        return f"{seconds(text):g}s"
    except ValueError:
        raise ValueError("a whole number, or a time as in 1h15m30s") from None


def quota(text: str) -> int:
    """Bytes, the default filled in for 0."""
    return number(0, 1 << 62)(text) or DEFAULT_QUOTA_BYTES


def choice(*choices: str) -> Callable[[str], str]:
    """One of these words."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError("one of " + ", ".join(choices))
        return text

    return parse


def file(text: str) -> str:
    """The path of a file, made absolute; empty for none."""
    return directory(text) if text else ""


def words(text: str) -> tuple[str, ...]:
    """Words separated by commas, each once."""
    return tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def _url_pattern(scheme: str) -> re.Pattern[str]:
    return re.compile(rf"{scheme}://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{{1,5}})")


def urls(scheme: str, *, least: int) -> Callable[[str], tuple[str, ...]]:
    """At least so many URLs, separated by commas; a scheme ``https?`` is either."""
    pattern = _url_pattern(scheme)

    def parse(text: str) -> tuple[str, ...]:
        found = tuple(url.strip() for url in text.split(",") if url.strip())
        matches = [pattern.fullmatch(url) for url in found]
        if len(found) < least or not all(match and 1 <= int(match[1]) <= 65535 for match in matches):
            form = scheme.replace("?", "(s)")
            raise ValueError(f"URLs of the form {form}://host:port, port from 1 to 65535, separated by commas")
        if len(set(found)) < len(found):
            raise ValueError("URLs that differ from each other")
        return found

    return parse


client_urls: Final = urls("https?", least=0)
"""Where etcd's clients are served, or nowhere."""


def peer_urls(*, least: int) -> Callable[[str], tuple[str, ...]]:
    """Peer URLs, which etcd's users write ``http://``: the same place, and one spelling from here on."""
    parse = urls("tcp", least=least)
    return lambda text: parse(text.replace("http://", "tcp://"))


def initial_cluster(text: str) -> tuple[str, ...]:
    """``name=url`` pairs; a name may come several times, once for each of its URLs."""
    members = tuple(each.strip().replace("=http://", "=tcp://") for each in text.split(",") if each.strip())
    pattern = _url_pattern("tcp")
    for member in members:
        name, _, url = member.partition("=")
        match = pattern.fullmatch(url)
        if not name or not match or not 1 <= int(match[1]) <= 65535:
            raise ValueError("name=http://host:port for each member, separated by commas")
    if len(set(members)) < len(members):
        raise ValueError("members that differ from each other")
    return members


def endpoints(text: str) -> tuple[str, ...]:
    """``host:port`` each, as clients name servers; ``tcp://`` in front is understood."""
    try:
        found = urls("tcp", least=0)(
            ",".join(f"tcp://{each.strip().removeprefix('tcp://')}" for each in text.split(",") if each.strip())
        )
    except ValueError:
        raise ValueError("host:port, port from 1 to 65535, separated by commas") from None
    return tuple(url.removeprefix("tcp://") for url in found)


def flag(text: str) -> bool:
    """A yes or a no."""
    if text not in ("true", "false"):
        raise ValueError("true or false")
    return text == "true"


def default_workers() -> str:
    """One worker for each core that this process may use but one, which the coordinator takes: every worker applies every
    write, so that one too many costs writes more than it gives reads (measured: docs/performance.md)."""
    return str(min(max(1, len(os.sched_getaffinity(0)) - 1), MOST_WORKERS))
