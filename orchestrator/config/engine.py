"""[engine]: where the containers run, and their network."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from orchestrator.config.explain import Invalid, describe
from orchestrator.config.section import Section
from orchestrator.config.types import matching


def _fixed_addresses(value: str) -> str:
    """The name of a network in which containers can have fixed addresses."""
    if value in ("bridge", "default", "host", "none"):
        hint = "leave it out, or make one: docker network create --subnet 10.99.0.0/18 models"
        raise Invalid(f"{value!r} is a network of the engine's own, without fixed addresses", hint)
    return value


def _subnet(value: str) -> str:
    """An IPv4 range that is large enough for the addresses of an app."""
    hint = 'write a range that nothing else uses, "10.99.0.0/18"'
    try:
        network = ipaddress.IPv4Network(value)
    except ValueError as error:
        raise Invalid(f"expected an IPv4 range, got {describe(value)}: {describe(str(error))}", hint) from None
    if not 8 <= network.prefixlen <= 24:
        raise Invalid(f"expected a prefix from /8 to /24, got /{network.prefixlen}", hint)
    return str(network)


class Engine(Section):
    """The engine, and the network of the containers."""

    kind: Literal["docker"] = Field(default="docker", description="The engine that runs the containers.")
    network: (
        Annotated[
            str,
            *matching(r"[A-Za-z0-9][A-Za-z0-9_.-]*", "expected the name of a Docker network"),
            AfterValidator(_fixed_addresses),
        ]
        | None
    ) = Field(default=None, description="Name of the network of the containers; one that exists is used as it is.")
    subnet: Annotated[str, AfterValidator(_subnet)] | None = Field(
        default=None, description='IPv4 range of the network, "10.99.0.0/18"; without it, a free one.'
    )
    mtu: Annotated[int, Field(ge=1280, le=65535)] | None = Field(
        default=None,
        description="MTU of the network; without it, that of the engine, or of the interface of the default route.",
    )
