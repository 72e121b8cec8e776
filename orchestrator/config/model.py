"""[model]: weights that are kept out of the image."""

from __future__ import annotations

from pydantic import Field

from orchestrator.config.section import Section
from orchestrator.config.types import ContainerPath, Text


class Model(Section):
    """Weights that are kept out of the image; each version's snapshot is mounted read-only."""

    path: Text = Field(description="Folder with the weights.")
    mount: ContainerPath = Field(default="/model", description="Path of the folder in the container.")
