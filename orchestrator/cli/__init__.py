"""What a person types. A command lives for a second or less, so what its start and its end would be spent on is avoided
here, before anything heavy is imported: looking for garbage among modules that all stay (at the start a third of the
time, at the end a sixth), and looking for plugins of pydantic among all installed packages."""

import atexit
import gc
import os

gc.set_threshold(200_000, 20, 20)
# What closes something at the end does so by itself, with `weakref.finalize`.
atexit.register(gc.freeze)
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
