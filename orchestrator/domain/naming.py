"""Names and addresses, derived and never stored twice. Pure."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from dataclasses import dataclass

from orchestrator.domain.traffic.slot import SLOTS, Slot

DEFAULT_STATE_DIR = "/var/lib/deployctl"
MAX_REPLICAS = 32
NETWORK_PREFIX = 18
VERSION = re.compile(r"v(0|[1-9][0-9]{0,8})")

LABEL_APP = "deployctl.app"
LABEL_VERSION = "deployctl.version"
LABEL_SLOT = "deployctl.slot"
LABEL_DEPLOYMENT = "deployctl.deployment"
LABEL_MANIFEST = "deployctl.manifest"
LABEL_STATE = "deployctl.state"
LABEL_ROLE = "deployctl.role"
LABEL_INDEX = "deployctl.index"
LABEL_CONFIG = "deployctl.config"
LABEL_RECORD = "deployctl.record"


@dataclass(frozen=True)
class Names:
    """What a state folder's things are called on the engine.

    The default folder has the plain names; every other folder carries a digest of its path in all of them,
    so two folders on one engine never meet.
    """

    state_id: str

    @classmethod
    def of(cls, state_dir: str) -> Names:
        if state_dir == DEFAULT_STATE_DIR:
            return cls("default")
        return cls(hashlib.sha256(state_dir.encode()).hexdigest()[:8])

    @property
    def _suffix(self) -> str:
        return "" if self.state_id == "default" else f"-{self.state_id}"

    @property
    def network(self) -> str:
        return f"deployctl{self._suffix}"

    @property
    def proxy(self) -> str:
        return f"deployctl-proxy{self._suffix}"

    def container(self, app: str, version: str, slot: Slot, index: int) -> str:
        return f"{app}-{version}-{slot}-{index}{self._suffix}"


def image(app: str, version: str) -> str:
    """The tag of a version's image."""
    return f"{app}:{version}"


def image_labels(app: str, version: str, manifest: str, state_id: str) -> dict[str, str]:
    """The labels of a version's image."""
    return {LABEL_APP: app, LABEL_VERSION: version, LABEL_MANIFEST: manifest, LABEL_STATE: state_id}


def backend(app: str, slot: Slot) -> str:
    """HAProxy's name for a slot. App names are DNS labels, so the underscore cannot be part of one."""
    return f"{app}_{slot}"


def is_version(text: str) -> bool:
    """True for v0, v1, v2 …"""
    return VERSION.fullmatch(text) is not None


def version_number(name: str) -> int:
    """7 for v7. `name` must be a version."""
    return int(name[1:])


def next_version(existing: list[str]) -> str:
    """The version after the highest one that exists."""
    return f"v{max((version_number(name) for name in existing), default=0) + 1}"


def address(subnet: str, block: int, slot: Slot, index: int) -> str:
    """The fixed address of replica `index` (from 1) of an app's slot.

    Each app owns a block of 64 addresses for ever, so an address that outlives its container can never
    reach another app. Block 0 is left to the gateway. The engine hands out addresses of its own choice only
    from the subnet's upper half.

    Raises:
        ValueError: `block` or `index` is out of the subnet's lower half.
    """
    network = ipaddress.ip_network(subnet)
    size = 2 * MAX_REPLICAS
    offset = block * size + SLOTS.index(slot) * MAX_REPLICAS + (index - 1)
    if not (1 <= index <= MAX_REPLICAS and size <= offset < network.num_addresses // 2):
        raise ValueError(f"no address for block {block}, replica {index} in {subnet}")
    return str(network[offset])


def block_of(subnet: str, address: str) -> int | None:
    """The block that a fixed address belongs to; None when it is not one of the subnet's fixed addresses."""
    network = ipaddress.ip_network(subnet)
    if not address or ipaddress.ip_address(address) not in network:
        return None
    offset = int(ipaddress.ip_address(address)) - int(network.network_address)
    block = offset // (2 * MAX_REPLICAS)
    return block if 1 <= block <= block_count(subnet) else None


def block_count(subnet: str) -> int:
    """How many apps a network of this size can hold."""
    return int(ipaddress.ip_network(subnet).num_addresses // 2 // (2 * MAX_REPLICAS)) - 1


def upper_half(subnet: str) -> str:
    """The part of the subnet from which the engine may choose addresses by itself."""
    return str(list(ipaddress.ip_network(subnet).subnets(1))[1])
