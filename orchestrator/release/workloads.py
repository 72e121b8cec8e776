"""The containers of a version, described for the engine."""

from __future__ import annotations

from orchestrator.config import Config
from orchestrator.config.secrets import ENVIRONMENT, sources
from orchestrator.config.secrets import MOUNT as SECRETS_MOUNT
from orchestrator.domain import naming
from orchestrator.domain.record import labels
from orchestrator.domain.rollout.workload import Mount, WorkloadSpec
from orchestrator.domain.traffic.slot import Slot
from orchestrator.domain.version.version import Version
from orchestrator.ports.services import Services


def workload_spec(
    services: Services, config: Config, version: Version, slot: Slot, index: int, deployment: int
) -> WorkloadSpec:
    """The description of one replica of a version, with the settings of `config`."""
    mounts = []
    if config.model is not None:
        mounts.append(Mount(services.models.folder(version.app, version.name), config.model.mount))
    if sources(config):
        mounts.append(Mount(services.secrets.folder(version.app, version.name, deployment), SECRETS_MOUNT))
    return WorkloadSpec(
        app=version.app,
        app_number=services.ledger.app_number(version.app),
        version=version.name,
        slot=slot,
        index=index,
        deployment=deployment,
        image_id=version.image_id,
        runtime=config.runtime(slot, index),
        mounts=tuple(mounts),
        network=config.network(),
        environment_file=f"{SECRETS_MOUNT}/{ENVIRONMENT}" if config.run.secret_env else None,
        labels={
            naming.LABEL_STATE: services.names.state_id,
            naming.LABEL_APP: version.app,
            naming.LABEL_VERSION: version.name,
            naming.LABEL_SLOT: slot,
            naming.LABEL_DEPLOYMENT: str(deployment),
            naming.LABEL_MANIFEST: version.manifest,
            naming.LABEL_INDEX: str(index),
            naming.LABEL_CONFIG: config.run_digest(),
            naming.LABEL_RECORD: labels.write(version, config.snapshot()),
        },
    )
