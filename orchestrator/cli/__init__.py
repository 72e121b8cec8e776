"""What a person types. A command lives for a second or less, so what its start would be spent on is avoided here,
before anything heavy is imported: looking for garbage among modules that all stay (a third of the time), and
looking for plugins of pydantic among all installed packages."""

import gc
import os

gc.set_threshold(200_000, 20, 20)
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
