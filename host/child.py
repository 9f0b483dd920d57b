"""The main program of a child process: runs the ``main`` of the module that it is told.

Before that it turns the garbage collector off: what is imported is no garbage, and to look for some takes a tenth of a
start. The child turns it on again when it is ready, as far as it wants it.
"""

from __future__ import annotations

import gc
import sys
from importlib import import_module

if __name__ == "__main__":
    gc.disable()
    sys.exit(import_module(sys.argv[1]).main())
