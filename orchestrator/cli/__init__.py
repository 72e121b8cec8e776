"""The command line.

Most commands run for a second or less, so this module shortens their start and end before anything heavy is imported:
no garbage collection of modules, which all stay loaded (a third of the start, a sixth of the end), and no search for
plugins of pydantic in all installed packages.
"""

import atexit
import gc
import os

gc.set_threshold(200_000, 20, 20)
# Objects that must be closed at the end use `weakref.finalize`, which does not need the garbage collector.
atexit.register(gc.freeze)
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
