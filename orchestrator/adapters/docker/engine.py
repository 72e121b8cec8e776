"""The Docker engine: containers, images, the network. Works with API 1.41 (engine 20.10) and later."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from orchestrator.adapters.docker import network
from orchestrator.adapters.docker.containers import observed, wanted
from orchestrator.config import Config
from orchestrator.domain import naming
from orchestrator.domain.naming import Names
from orchestrator.domain.rollout.workload import Container
from orchestrator.domain.traffic.slot import Slot
from orchestrator.domain.version.version import Version
from orchestrator.errors import EngineError, OperationFailed, UsageError, engine_unreachable

if TYPE_CHECKING:
    from docker import DockerClient

    from orchestrator.domain.record.labels import Evidence

# The engine answers most questions at once; a start may wait for a slow disk.
_HUNG_GRACE = 2  # seconds for one that hangs to end by itself
_TIMEOUT_VARIABLE, _TIMEOUT = "DEPLOYCTL_ENGINE_TIMEOUT", 60


def timeout() -> int:
    """How many seconds the engine has for one answer.

    Raises:
        UsageError: $DEPLOYCTL_ENGINE_TIMEOUT is no number of seconds.
    """
    text = os.environ.get(_TIMEOUT_VARIABLE, "")
    try:
        seconds = int(text) if text else _TIMEOUT
    except ValueError:
        seconds = 0
    if not 1 <= seconds <= 3600:
        raise UsageError(f"{_TIMEOUT_VARIABLE}: {text!r} is no time", hint="write whole seconds, from 1 to 3600")
    return seconds


def connect() -> DockerClient:
    """A client for the engine that DOCKER_HOST names, or for the local one.

    Raises:
        EngineUnreachable: no engine answers.
    """
    import docker
    import docker.errors
    import requests.exceptions

    try:
        host = os.environ.get("DOCKER_HOST", "")
        if host not in _VERSIONS:
            _VERSIONS[host] = _api_version(docker.DockerClient)
        found = docker.DockerClient.from_env(version=_VERSIONS[host], timeout=timeout())
        # No proxy stands before a socket of this machine, and looking for one costs each question 0.4 ms.
        found.api.trust_env = not found.api.base_url.startswith("http+docker:")
        return found
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        raise engine_unreachable(error, hung=isinstance(error, requests.exceptions.Timeout)) from error


def _api_version(client: type[DockerClient]) -> str:
    """The API version that the engine speaks, asked for as the docker CLI does.

    The SDK's own `version="auto"` asks for the versions of everything, for which the engine starts programs: 8 ms.
    """
    # Some version must be given; the question itself is asked without one.
    with closing(client.from_env(version="1.41", timeout=timeout())) as asking:
        answer = asking.api.get(f"{asking.api.base_url}/_ping", timeout=timeout())
    return answer.headers.get("Api-Version") or "auto"


# Asked once in a process: a pass over many apps connects for each of them.
_VERSIONS: dict[str, str] = {}


class DockerEngine:
    """What the use cases ask of Docker, for one state folder. `client` connects at first use."""

    def __init__(self, client: Callable[[], DockerClient], names: Names, models: Path, secrets: Path) -> None:
        self._connect = client
        self._names = names
        self._models = models
        self._secrets = secrets

    @property
    def _client(self) -> DockerClient:
        return self._connect()

    @property
    def _api(self) -> Any:
        # The stubs do not know all that the low-level API takes.
        return self._client.api

    def ping(self) -> dict[str, str]:
        """The engine's version and API version."""
        with self._errors("say what it is"):
            version = self._client.version()
        return {"version": str(version.get("Version", "")), "api": str(version.get("ApiVersion", ""))}

    # The network

    def ensure_network(self) -> str:
        """Makes the network when it is not there; returns its subnet."""
        with self._errors("make the network"):
            return network.ensure(self._client, self._names)

    def remove_network_if_unused(self) -> bool:
        """Removes the network when no container of ours is left to use it."""
        with self._errors("remove the network"):
            return not self.containers() and network.remove(self._client, self._names)

    # Images

    def build(
        self,
        config: Config,
        version: str,
        *,
        labels: dict[str, str],
        progress: Callable[[str], None],
        cancelled: Callable[[], None],
    ) -> str:
        """Builds and tags the image; returns its id.

        Raises:
            BuildFailed: with the builder's last lines.
            UsageError: there is no Dockerfile, or no context.
        """
        from orchestrator.adapters.docker import build

        tag = naming.image(config.app.name, version)
        with self._errors("build the image"):
            return build.image(self._client, config, tag, labels=labels, progress=progress, cancelled=cancelled)

    def image_id(self, reference: str) -> str | None:
        """The id of an image; None when the engine does not have it."""
        found = self._image(reference)
        return None if found is None else str(found["Id"])

    def image_labels(self, image_id: str) -> dict[str, str] | None:
        """The labels of an image; None when the engine does not have it."""
        found = self._image(image_id)
        return None if found is None else dict(found["Config"].get("Labels") or {})

    def layers(self, image_id: str) -> list[tuple[str, int]]:
        """The layers of an image: digest and size in bytes of each, the lowest first; empty when it is not there."""
        import docker.errors

        found = self._image(image_id)
        if found is None:
            return []
        digests = found["RootFS"].get("Layers") or []
        with self._errors("look at an image"):
            try:
                # One entry for each instruction, the newest first; those that changed no file made no layer.
                sizes = [int(row["Size"]) for row in reversed(self._api.history(image_id)) if row["Size"]]
            except docker.errors.ImageNotFound:
                return []  # it went away between the two questions
        if len(sizes) != len(digests):
            sizes = [0] * len(digests)  # layers of no bytes: nobody can tell which
        return list(zip(digests, sizes, strict=True))

    def _image(self, reference: str) -> dict[str, Any] | None:
        import docker.errors

        with self._errors("look at an image"):
            try:
                found: dict[str, Any] = self._api.inspect_image(reference)
            except docker.errors.ImageNotFound:
                return None
        return found

    def remove_image(self, reference: str, image_id: str) -> bool:
        """Takes our tag away, and the image with it when nothing else uses it. False: it stays.

        A tag that was moved to another image is not ours any more; the image that lost it is then removed by
        its id, unless somebody gave it another name.
        """
        import docker.errors

        with self._errors("remove an image"):
            try:
                tags = self._client.images.get(image_id).tags
                if tags and reference not in tags:
                    return False
                self._client.images.remove(reference if tags else image_id)
            except docker.errors.APIError as error:
                if error.status_code == 404:
                    return False
                # When two images with the same parent are removed at once, each goes, but the engine may fail at the
                # parent, as in docker/compose#9763.
                if self._image(image_id) is None:
                    return True
                # A container, perhaps somebody else's, was made from it.
                if error.status_code == 409:
                    return False
                raise
        return True

    # The registry

    def push(
        self, image_id: str, reference: str, *, progress: Callable[[str], None], cancelled: Callable[[], None]
    ) -> str:
        """Pushes an image as `host/path:tag`; returns what names it there for good: `host/path@sha256:…`.

        Raises:
            EngineError: the registry does not take it.
        """
        from orchestrator.adapters.docker import registry

        with self._errors("push the image"):
            return registry.push(self._client, image_id, reference, progress=progress, cancelled=cancelled)

    def pull(self, version: Version, *, progress: Callable[[str], None], cancelled: Callable[[], None]) -> str:
        """Brings a version's image back from where it was pushed, with its tag; returns its id.

        Raises:
            EngineError: the registry does not give it, or gives something else.
        """
        from orchestrator.adapters.docker import registry

        assert version.pushed is not None, "only what was pushed is pulled"
        labels = {
            naming.LABEL_APP: version.app,
            naming.LABEL_VERSION: version.name,
            naming.LABEL_MANIFEST: version.manifest,
        }
        with self._errors("pull the image"):
            return registry.pull(
                self._client,
                version.pushed,
                version.image,
                image_id=version.image_id,
                labels=labels,
                progress=progress,
                cancelled=cancelled,
            )

    def untag(self, reference: str) -> bool:
        """Takes a name away from an image that has another one."""
        from orchestrator.adapters.docker import registry

        with self._errors("take a name off an image"):
            return registry.untag(self._client, reference)

    def check_registry(self, repository: str) -> None:
        """Asks the registry for something small.

        Raises:
            EngineError: it does not answer, or does not take the login.
        """
        from orchestrator.adapters.docker import registry

        with self._errors("ask the registry"):
            registry.check(self._client, repository)

    # Containers

    def containers(self, app: str | None = None) -> tuple[Container, ...]:
        """The containers of this state folder's apps (of one app), in order of their names."""
        # The deployment's label is what tells ours from a container that somebody made from our image: a
        # container inherits its image's labels.
        labels = [f"{naming.LABEL_STATE}={self._names.state_id}", naming.LABEL_DEPLOYMENT]
        if app is not None:
            labels.append(f"{naming.LABEL_APP}={app}")
        import docker.errors

        with self._errors("list the containers"):
            api = self._api
            found = []
            for row in api.containers(all=True, filters={"label": labels}):
                try:
                    found.append(observed(api.inspect_container(row["Id"]), self._names.network))
                except docker.errors.NotFound:
                    continue  # it went away between the two questions
        return tuple(sorted(found, key=lambda container: container.name))

    def inspect(self, container_id: str) -> Container | None:
        """A container as it is now; None when it is gone."""
        import docker.errors

        with self._errors("look at a container"):
            try:
                return observed(self._api.inspect_container(container_id), self._names.network)
            except docker.errors.NotFound:
                return None

    def create(
        self,
        config: Config,
        version: Version,
        slot: Slot,
        index: int,
        *,
        deployment: int,
        address: str,
        settings: str,
    ) -> Container:
        """Creates one replica, hardened unless the configuration says otherwise; does not start it."""
        from orchestrator.domain.record import labels as record

        name = self._names.container(version.app, version.name, slot, index)
        labels = {
            naming.LABEL_STATE: self._names.state_id,
            naming.LABEL_APP: version.app,
            naming.LABEL_VERSION: version.name,
            naming.LABEL_SLOT: slot,
            naming.LABEL_DEPLOYMENT: str(deployment),
            naming.LABEL_MANIFEST: version.manifest,
            naming.LABEL_INDEX: str(index),
            naming.LABEL_CONFIG: settings,
            naming.LABEL_RECORD: record.write(version, config.snapshot()),
        }
        model = self._models / version.app / version.name
        secrets = self._secrets / version.app / version.name / str(deployment)
        with self._errors(f"create the container {name}"):
            described = wanted(
                self._api,
                config,
                network=self._names.network,
                address=address,
                model=model,
                secrets=secrets,
                labels=labels,
            )
            created = self._api.create_container(image=version.image_id, name=name, **described)
            return observed(self._api.inspect_container(created["Id"]), self._names.network)

    def start(self, container: Container) -> None:
        with self._errors(f"start the container {container.name}"):
            self._api.start(container.id)

    def stop(self, container: Container) -> None:
        """Stops a container for good, within its own stop timeout.

        Its restart policy goes first: the engine would revive it when it starts anew.
        """
        import docker.errors

        with self._errors(f"stop the container {container.name}"):
            api = self._api
            try:
                api.update_container(container.id, restart_policy={"Name": "no"})
                if container.state == "paused":
                    api.unpause(container.id)
                grace = api.inspect_container(container.id)["Config"].get("StopTimeout")
                api.stop(container.id, timeout=10 if grace is None else grace)
            except docker.errors.NotFound:
                return

    def remove(self, container: Container) -> None:
        import docker.errors

        with self._errors(f"remove the container {container.name}"):
            try:
                self._api.remove_container(container.id, force=True, v=True)
            except docker.errors.NotFound:
                return

    def set_restart(self, container: Container, policy: str) -> None:
        with self._errors(f"set the restart policy of {container.name}"):
            self._api.update_container(container.id, restart_policy={"Name": policy})

    def unpause(self, container: Container) -> None:
        with self._errors(f"wake up the container {container.name}"):
            self._api.unpause(container.id)

    def restart(self, container: Container) -> None:
        """Ends a container that does not answer, within two seconds, and starts it again."""
        with self._errors(f"restart the container {container.name}"):
            self._api.restart(container.id, timeout=_HUNG_GRACE)

    def oom_kills(self, container: Container, since: float) -> int:
        """How often the kernel has ended a container for its memory since then, as far as the engine remembers."""
        with self._errors(f"read the events of {container.name}"):
            chosen = {"type": ["container"], "event": ["oom"], "container": [container.id]}
            events: Any = self._api.events(since=int(since), until=int(time.time()) + 1, filters=chosen, decode=True)
            return sum(1 for _ in events)

    def connect(self, container: Container, address: str) -> None:
        """Gives a container its place in our network, whatever it has there now."""
        with self._errors(f"connect the container {container.name} to the network"):
            if container.address:
                self._api.disconnect_container_from_network(container.id, self._names.network, force=True)
            self._api.connect_container_to_network(container.id, self._names.network, ipv4_address=address)

    def logs(self, container: Container, *, tail: int, follow: bool = False) -> Iterator[str]:
        """The last `tail` lines of a container's output, and what comes after them when `follow` is set."""
        with self._errors(f"read the log of {container.name}"):
            api = self._api
            chunks: Any = api.logs(container.id, tail=tail, stream=True, follow=follow)
            rest = b""
            for chunk in chunks:
                *lines, rest = (rest + chunk).split(b"\n")
                yield from (line.decode(errors="replace").rstrip("\r") for line in lines)
            if rest:
                yield rest.decode(errors="replace")

    def execute(self, container: Container, command: Sequence[str], out: IO[bytes], err: IO[bytes]) -> int:
        """Runs a program in a container, passes its output on, and returns its exit code."""
        with self._errors(f"run {command[0]} in {container.name}"):
            api = self._api
            job = api.exec_create(container.id, list(command))["Id"]
            chunks: Any = api.exec_start(job, stream=True, demux=True)
            for to_out, to_err in chunks:
                for target, chunk in ((out, to_out), (err, to_err)):
                    if chunk:
                        target.write(chunk)
                        target.flush()
            return int(api.exec_inspect(job)["ExitCode"] or 0)

    def settings_of(self, container: Container) -> str:
        """The digest of the configuration that a container was created with."""
        return self.container_labels(container).get(naming.LABEL_CONFIG, "")

    def container_labels(self, container: Container) -> dict[str, str]:
        with self._errors("look at a container"):
            return dict(self._api.inspect_container(container.id)["Config"].get("Labels") or {})

    def files_in(self, container: Container, folder: str) -> dict[str, str]:
        """The digests of all files that a running container sees in a folder, by their path in there."""
        from orchestrator.adapters.docker import files_in as seen

        with self._errors(f"read {folder} in {container.name}"):
            return seen.files_in(self._api, container.id, folder)

    def evidence(self) -> tuple[Evidence, ...]:
        """What the containers of this state folder say about themselves, all apps'."""
        from orchestrator.domain.record.labels import Evidence

        found = []
        with self._errors("read the containers' labels"):
            for container in self.containers():
                info = self._api.inspect_container(container.id)
                given = set(info["Config"].get("Env") or []) - self._image_environment(container.image_id)
                found.append(
                    Evidence(
                        container,
                        (info["Config"].get("Labels") or {}).get(naming.LABEL_RECORD, ""),
                        dict(line.split("=", 1) for line in given if "=" in line),
                        info["Created"][:23] + "Z",
                    )
                )
        return tuple(found)

    def _image_environment(self, image_id: str) -> set[str]:
        found = self._image(image_id)
        return set() if found is None else set(found["Config"].get("Env") or [])

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        import docker.errors
        import requests.exceptions

        try:
            yield
        except docker.errors.APIError as error:
            raise _refusal(doing, error) from error
        except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
            raise engine_unreachable(error, doing, hung=isinstance(error, requests.exceptions.Timeout)) from error


def _refusal(doing: str, error: Any) -> OperationFailed:
    text = str(error.explanation or error)
    hint = ""
    if "is already in use by container" in text:
        hint = "a container that is not deployctl's has that name: rename or remove it, then try again"
    elif "No such image" in text:
        hint = "the image was removed: release the version again"
    elif "no space left" in text:
        hint = "free some disk: deployctl prune, or docker system df"
    elif "Address already in use" in text:
        hint = "another container holds the address: docker network inspect tells which"
    elif "could not select device driver" in text:
        hint = "run.gpus needs the NVIDIA container toolkit on this machine"
    elif "bind source path does not exist" in text and "/secrets/" in text:
        hint = "the copy of its secrets is gone: release the version again"
    elif "executable file not found" in text or "no such file or directory" in text:
        hint = "check run.command and the image's CMD"
    return EngineError(f"the engine could not {doing}", why=text, hint=hint)
