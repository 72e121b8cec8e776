"""[registry]: where versions are pushed to."""

from __future__ import annotations

from pydantic import Field

from orchestrator.config.section import Section
from orchestrator.config.types import Repository


class Registry(Section):
    """Where images are kept in addition to the engine. Credentials come from `docker login`, never from this file."""

    push: Repository | None = Field(
        default=None,
        description='Repository to push each version to, such as "registry.example.com:5000/mymodel".',
    )
