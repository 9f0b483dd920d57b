"""Output formats: one printer a format, each a plain function of the results that the commands produce."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from oarlock.cli.output.printer import Printer

PRINTERS: Final = {
    "simple": "oarlock.cli.output.simple:SimplePrinter",
    "json": "oarlock.cli.output.json_format:JsonPrinter",
    "fields": "oarlock.cli.output.fields:FieldsPrinter",
    "table": "oarlock.cli.output.table:TablePrinter",
}


def printer_class(name: str) -> type[Printer]:
    """The printer of a format, imported now and not before (a command needs one of four).

    Raises:
        KeyError: there is no such format.
    """
    module, attribute = PRINTERS[name].split(":")
    printer: type[Printer] = getattr(import_module(module), attribute)
    return printer
