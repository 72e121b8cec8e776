"""The base class of all sections of deploy.toml."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Frozen, strict, and no unknown keys."""

    # Values may be passwords, so pydantic's errors must not quote them, not even in a traceback.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)
