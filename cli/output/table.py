"""The table format, for lists of endpoints and of members: an ASCII box as etcdctl 3.5 draws it (tablewriter 0.0)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from oarlock.cli.gotext import format_duration
from oarlock.cli.output.printer import Printer
from oarlock.cli.output.results import EndpointHashKv, EndpointHealth, EndpointStatus
from oarlock.cli.output.simple import member_row, status_row
from oarlock.results import MemberList

MAX_COLUMN_WIDTH: Final = 30
"""Longer cells are broken at blanks, so that one long error does not push the other columns off the screen."""

_STATUS_TITLES: Final = (
    "endpoint", "ID", "version", "db size", "is leader", "is learner", "raft term", "raft index",
    "raft applied index", "errors",
)  # fmt: skip


def render(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A box with centred capital titles and cells on the right.

    >>> print(render(["endpoint", "hash"], [["a:1", "77"]]), end="")
    +----------+------+
    | ENDPOINT | HASH |
    +----------+------+
    |      a:1 |   77 |
    +----------+------+
    """
    cells = [[_wrap(cell) for cell in row] for row in rows]
    heads = [title.upper().replace("_", " ") for title in titles]
    widths = [
        max(len(head), *(_width(row[i]) for row in cells)) if cells else len(head) for i, head in enumerate(heads)
    ]
    rule = "+" + "+".join("-" * (width + 2) for width in widths) + "+\n"
    body = "".join(_row(row, widths) for row in cells)
    return (
        rule
        + _line([_centre(head, width) for head, width in zip(heads, widths, strict=True)])
        + rule
        + body
        + (rule if body else "")
    )


def _wrap(cell: str) -> list[str]:
    """The cell in lines of at most MAX_COLUMN_WIDTH, or of its longest word where that is wider."""
    if len(cell) <= MAX_COLUMN_WIDTH:
        return [cell]
    limit = max(MAX_COLUMN_WIDTH, *(len(word) for word in cell.split(" ")))
    lines: list[str] = []
    for word in cell.split(" "):
        if lines and len(lines[-1]) + 1 + len(word) <= limit:
            lines[-1] += " " + word
        else:
            lines.append(word)
    return lines


def _width(lines: Sequence[str]) -> int:
    """A broken cell takes the full column width, whatever its lines need."""
    longest = max(len(line) for line in lines)
    return longest if len(lines) == 1 else max(longest, MAX_COLUMN_WIDTH)


def _centre(text: str, width: int) -> str:
    left = (width - len(text)) // 2
    return " " * left + text + " " * (width - len(text) - left)


def _row(cells: Sequence[Sequence[str]], widths: Sequence[int]) -> str:
    height = max(len(lines) for lines in cells)
    padded = [[*lines, *[""] * (height - len(lines))] for lines in cells]
    return "".join(
        _line([lines[i].rjust(width) for lines, width in zip(padded, widths, strict=True)]) for i in range(height)
    )


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |\n"


class TablePrinter(Printer):
    format = "table"

    def _print(self, titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self.write(render(titles, rows).encode())

    def member_list(self, result: MemberList) -> None:
        titles = ("ID", "Status", "Name", "Peer Addrs", "Client Addrs", "Is Learner", "Native Addrs")
        self._print(titles, [[*member_row(member), ",".join(member.native_urls)] for member in result.members])

    def endpoint_status(self, results: Sequence[EndpointStatus]) -> None:
        self._print(_STATUS_TITLES, [status_row(item) for item in results])

    def endpoint_health(self, results: Sequence[EndpointHealth]) -> None:
        rows = [[i.endpoint, str(i.healthy).lower(), format_duration(i.took_ns), i.error] for i in results]
        self._print(("endpoint", "health", "took", "error"), rows)

    def endpoint_hashkv(self, results: Sequence[EndpointHashKv]) -> None:
        self._print(("endpoint", "hash"), [[item.endpoint, str(item.result.hash)] for item in results])
