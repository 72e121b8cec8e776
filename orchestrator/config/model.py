"""[model]: weights that are kept out of the image."""

from __future__ import annotations

from pydantic import Field

from orchestrator.config.section import Section
from orchestrator.config.types import ContainerPath, IgnorePattern, Text

# What tools write beside the weights: records of the download, folder views, notebooks that were opened.
_LEFT_OUT = ["**/.cache/huggingface", "**/.DS_Store", "**/.ipynb_checkpoints"]


class Model(Section):
    """Weights that are kept out of the image; each version's snapshot is mounted read-only."""

    path: Text = Field(description="Folder with the weights.")
    mount: ContainerPath = Field(default="/model", description="Path of the folder in the container.")
    ignore: list[IgnorePattern] = Field(
        default=_LEFT_OUT,
        description="Patterns, as in .dockerignore, of files in the folder that are no part of a version.",
    )
