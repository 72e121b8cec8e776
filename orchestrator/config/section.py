"""What all sections of deploy.toml have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Frozen, strict, and no unknown keys."""

    # Values may be passwords, so pydantic's own errors must not quote them in the trace of a bug either.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)
