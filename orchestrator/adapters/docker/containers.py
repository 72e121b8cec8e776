"""Containers in the engine's words: what to create, and what an inspection says."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from orchestrator.config import Config
from orchestrator.config.secrets import MOUNT as SECRETS_MOUNT
from orchestrator.domain import naming
from orchestrator.domain.rollout.workload import Container
from orchestrator.domain.traffic.slot import SLOTS


def wanted(
    api: Any, config: Config, *, network: str, address: str, model: Path, secrets: Path, labels: dict[str, str]
) -> dict[str, Any]:
    """The arguments of the SDK's `create_container`: hardened unless the configuration says otherwise."""
    from docker.types import LogConfig, Mount

    run = config.run
    binds = list(run.volumes)
    # No binds like the others: for these the engine makes an empty folder when there is none.
    mounts = []
    if config.model is not None:
        mounts.append(Mount(config.model.mount, str(model), type="bind", read_only=True))
    if run.secrets:
        mounts.append(Mount(SECRETS_MOUNT, str(secrets), type="bind", read_only=True))
    host = api.create_host_config(
        network_mode=network,
        binds=binds,
        mounts=mounts,
        init=run.init,
        cap_drop=["ALL"],
        cap_add=list(run.cap_add),
        security_opt=["no-new-privileges"] if run.no_new_privileges else [],
        pids_limit=run.pids_limit or None,
        mem_limit=run.memory,
        nano_cpus=int(run.cpus * 1e9) if run.cpus else None,
        shm_size=run.shm_size,
        read_only=run.read_only,
        device_requests=_gpus(run.gpus),
        # While it is being probed it must not come back by itself: an exit is a verdict.
        restart_policy={"Name": "no"},
        log_config=LogConfig(
            type="json-file", config={"max-size": str(run.log_max_size), "max-file": str(run.log_max_files)}
        ),
    )
    return {
        "command": list(run.command) if run.command else None,
        "user": run.user,
        "environment": config.environment(),
        "labels": labels,
        "host_config": host,
        "networking_config": api.create_networking_config({network: api.create_endpoint_config(ipv4_address=address)}),
        "stop_timeout": max(1, round(run.stop_timeout)),
    }


def _gpus(gpus: int | str | None) -> list[Any] | None:
    if gpus is None:
        return None
    from docker.types import DeviceRequest

    return [DeviceRequest(count=-1 if gpus == "all" else int(gpus), capabilities=[["gpu"]])]


def observed(info: dict[str, Any], network_name: str) -> Container:
    """What the engine's inspection of a container means to us."""
    labels = info["Config"].get("Labels") or {}
    endpoint = info["NetworkSettings"]["Networks"].get(network_name) or {}
    fixed = (endpoint.get("IPAMConfig") or {}).get("IPv4Address", "")
    state = info["State"]
    slot = labels.get(naming.LABEL_SLOT)
    return Container(
        id=info["Id"],
        name=info["Name"].lstrip("/"),
        app=labels.get(naming.LABEL_APP, ""),
        version=labels.get(naming.LABEL_VERSION, ""),
        slot="green" if slot == SLOTS[1] else "blue",
        deployment=_number(labels.get(naming.LABEL_DEPLOYMENT), 0),
        index=_number(labels.get(naming.LABEL_INDEX), 1),
        image_id=info["Image"],
        state=state["Status"],
        exit_code=int(state.get("ExitCode", 0)),
        restarts=int(info.get("RestartCount", 0)),
        kept_running=info["HostConfig"]["RestartPolicy"]["Name"] == "always",
        address=endpoint.get("IPAddress") or fixed,
        started_at=_epoch(state.get("StartedAt", "")),
    )


def _number(text: str | None, otherwise: int) -> int:
    """A label may be anybody's."""
    try:
        return int(text or otherwise)
    except ValueError:
        return otherwise


def _epoch(text: str) -> float:
    """The engine's times have nanoseconds; one that never came is in the year 1."""
    try:
        return max(0.0, datetime.fromisoformat(f"{text[:19]}+00:00").timestamp())
    except ValueError:
        return 0.0
