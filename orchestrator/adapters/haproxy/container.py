"""The container that HAProxy runs in: on the host's network, restarted always, its folder mounted.

The host's network, because a published port costs loopback clients most of their throughput; the folder,
because a mounted single file would keep showing the file that a rename has replaced.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.adapters.haproxy.render import FOLDER
from orchestrator.domain.naming import LABEL_ROLE, LABEL_STATE, Names
from orchestrator.errors import ProxyError, engine_unreachable

if TYPE_CHECKING:
    from docker import DockerClient

LOCAL_BASE = "deployctl-base:bookworm"
PUBLIC_BASE = "debian:bookworm-slim"


def shipped(name: str) -> str:
    """The text of a file of compose/proxy, from the wheel or from a checkout."""
    packaged = resources.files("orchestrator") / "_compose" / "proxy" / name
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    return (Path(__file__).parents[3] / "compose" / "proxy" / name).read_text(encoding="utf-8")


def image_tag() -> str:
    """The name of the proxy's image: another Dockerfile is another image."""
    return f"deployctl-proxy:{hashlib.sha256(shipped('Dockerfile').encode()).hexdigest()[:12]}"


class ProxyContainer:
    """Starts, checks and removes the proxy's container; `client` gives the engine."""

    def __init__(self, client: Callable[[], DockerClient], names: Names, folder: Path) -> None:
        self._client = client
        self._names = names
        self._folder = folder

    def state(self) -> str:
        """`running`, `missing`, or what the engine says of a container that does not run."""
        with self._errors("look at the proxy"):
            found = self._find()
        return "missing" if found is None else str(found.status)

    def start(self, progress: Callable[[str], None]) -> None:
        """Makes the container run, and builds its image at first use."""
        with self._errors("start the proxy"):
            found = self._find()
            if found is not None and found.status == "paused":
                found.unpause()
            elif found is not None and found.status != "running":
                found.start()
            elif found is None:
                self._create(self._image(progress)).start()

    def remove(self) -> bool:
        """Removes the container; False when there was none."""
        with self._errors("remove the proxy"):
            found = self._find()
            if found is None:
                return False
            found.remove(force=True)
        return True

    def restart(self) -> None:
        with self._errors("restart the proxy"):
            found = self._find()
            if found is not None:
                found.restart(timeout=1)

    def check(self, file: str) -> str:
        """What `haproxy -c` says of a configuration in the folder; empty when it is good."""
        with self._errors("check the proxy's configuration"):
            found = self._find()
            if found is None:
                raise ProxyError("the proxy does not run", hint="deployctl proxy up")
            # Not -q: with it, HAProxy does not say what is wrong either.
            code, output = found.exec_run(["haproxy", "-c", "-f", f"{FOLDER}/{file}"])
        return "" if code == 0 else output.decode(errors="replace").strip() or f"exit code {code}"

    def logs(self, tail: int) -> list[str]:
        with self._errors("read the proxy's log"):
            found = self._find()
            text = b"" if found is None else found.logs(tail=tail)
        return text.decode(errors="replace").splitlines()

    def _find(self) -> Any | None:
        import docker.errors

        try:
            found = self._client().containers.get(self._names.proxy)
        except docker.errors.NotFound:
            return None
        if found.labels.get(LABEL_STATE) != self._names.state_id:
            raise ProxyError(
                f"a container named {self._names.proxy} exists and is not ours",
                hint=f"rename or remove it: docker rename {self._names.proxy} …",
            )
        return found

    def _create(self, image: str) -> Any:
        client = self._client()
        return client.containers.create(
            image,
            name=self._names.proxy,
            network_mode="host",
            user=_owner(self._folder),
            restart_policy={"Name": "always"},
            labels={LABEL_ROLE: "proxy", LABEL_STATE: self._names.state_id},
            volumes={str(self._folder): {"bind": FOLDER, "mode": "rw"}},
            cap_drop=["ALL"],
            # Only for listening below port 1024.
            cap_add=["NET_BIND_SERVICE"],
            security_opt=["no-new-privileges"],
            log_config=_log_rotation(),
        )

    def _image(self, progress: Callable[[str], None]) -> str:
        import docker.errors

        dockerfile, tag = shipped("Dockerfile"), image_tag()
        client = self._client()
        try:
            client.images.get(tag)
            return tag
        except docker.errors.ImageNotFound:
            progress("building the proxy's image (once)")
        base = os.environ.get("DEPLOYCTL_BASE_IMAGE") or self._base()
        try:
            client.images.build(
                fileobj=_context(dockerfile),
                custom_context=True,
                buildargs={"BASE": base},
                tag=tag,
                rm=True,
                forcerm=True,
                labels={LABEL_ROLE: "proxy"},
            )
        except docker.errors.BuildError as error:
            lines = "".join(str(entry.get("stream", "")) for entry in error.build_log)
            raise ProxyError(
                "the proxy's image could not be built",
                why=str(error.msg).strip(),
                hint=f"it needs the image {base} and Debian's packages; DEPLOYCTL_BASE_IMAGE names another base",
                details="\n".join(lines.splitlines()[-20:]),
            ) from error
        return tag

    def _base(self) -> str:
        import docker.errors

        try:
            self._client().images.get(LOCAL_BASE)
            return LOCAL_BASE
        except docker.errors.ImageNotFound:
            return PUBLIC_BASE

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        import docker.errors
        import requests.exceptions

        try:
            yield
        except docker.errors.APIError as error:
            raise ProxyError(f"the engine could not {doing}", why=str(error.explanation or error)) from error
        except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
            raise engine_unreachable(error, doing, hung=isinstance(error, requests.exceptions.Timeout)) from error


def _log_rotation() -> Any:
    from docker.types import LogConfig

    return LogConfig(type="json-file", config={"max-size": "10m", "max-file": "3"})


def _context(dockerfile: str) -> Any:
    import io
    import tarfile

    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        data = dockerfile.encode()
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(data)
        tar.addfile(entry, io.BytesIO(data))
    archive.seek(0)
    return archive


def _owner(folder: Path) -> str:
    status = folder.stat()
    return f"{status.st_uid}:{status.st_gid}"
