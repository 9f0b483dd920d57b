from __future__ import annotations

import doctest
from types import ModuleType

import pytest

from oarlock.cli import gotext, options, words
from oarlock.cli.output import table


@pytest.mark.parametrize("module", [gotext, options, words, table], ids=lambda module: str(module.__name__))
def test_the_examples_in_docstrings_hold(module: ModuleType) -> None:
    failed, tried = doctest.testmod(module)
    assert tried
    assert not failed
