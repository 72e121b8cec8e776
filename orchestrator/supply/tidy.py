"""Removes files of an app that a crash has left."""

from __future__ import annotations

from orchestrator.supply.model_files import SupplyPorts


def tidy(ports: SupplyPorts, app: str) -> None:
    """Removes unfinished copies of model files, and checkouts that no command uses any more. May be repeated."""
    ports.models.tidy(app)
    ports.source_control.tidy(app)
