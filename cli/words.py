"""How a line of a transaction or of an interactive watch falls into words.

Words are parted by blanks. ``'...'`` is literal, ``"..."`` is a Go string (``\\n``, ``\\x00``, ``\\u00e9``). Quotes
inside a word are part of it, and a quoted word ends with its quote:

>>> split_words(b"put 'a b' \\"c\\\\td\\" e\\"f")
[b'put', b'a b', b'c\\td', b'e"f']
"""

from __future__ import annotations

import re
from typing import Final

from oarlock.cli.errors import InvalidInputError
from oarlock.cli.gotext import quote, unquote

_WORD: Final = re.compile(
    rb"""\s*(?:'(?P<literal>[^']*)'|"(?P<string>(?:[^"\\]|\\.)*)"|(?P<plain>[^'"\s]\S*))(?=\s|$)""", re.DOTALL
)


def split_words(line: bytes) -> list[bytes]:
    """The words of a line.

    Raises:
        InvalidInputError: a quote that does not end, or an escape that there is not.
    """
    words: list[bytes] = []
    position, end = 0, len(line.rstrip())
    while position < end:
        match = _WORD.match(line, position, end)
        if match is None:
            raise InvalidInputError(f"invalid quoting in {quote(line)}: {_problem(line[position:end].lstrip())}")
        kind = str(match.lastgroup)
        words.append(unquoted(match[kind]) if kind == "string" else match[kind])
        position = match.end()
    return words


def _problem(rest: bytes) -> str:
    mark = chr(rest[0])
    return f"a blank must follow the word that {mark} ends" if rest.count(rest[:1]) > 1 else f"no closing {mark}"


def unquoted(inner: bytes) -> bytes:
    """What stands between double quotes, with its escapes resolved.

    Raises:
        InvalidInputError: an escape that there is not.
    """
    try:
        return unquote(inner)
    except ValueError as problem:
        raise InvalidInputError(f'invalid string "{inner.decode(errors="replace")}": {problem}') from None
