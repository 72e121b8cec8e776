"""Options and arguments that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

RefOption = Annotated[
    str | None,
    typer.Option("--ref", help="Build a clean checkout of this tag, branch or commit, not the folder."),
]

ImageOption = Annotated[
    str | None,
    typer.Option("--image", help="Release this image, on the engine or in a registry; build nothing."),
]
