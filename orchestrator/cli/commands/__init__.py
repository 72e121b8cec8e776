"""One file for each command or group; each has an `app`. See `orchestrator/cli/table.py`."""
