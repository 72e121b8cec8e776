"""Building images: with buildx of the docker CLI if it is installed and allowed, else with the SDK's classic builder.

The SDK speaks to the classic builder only: a Dockerfile with `RUN --mount` or `COPY --link` needs buildx.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from orchestrator.adapters.docker.liveness import watched
from orchestrator.config.context import entries
from orchestrator.config.explain import printable
from orchestrator.domain import masking
from orchestrator.domain.version.build import BuildSpec
from orchestrator.domain.version.build_hints import build_hint
from orchestrator.domain.version.ignoring import Ignoring, literal, write
from orchestrator.errors import BuildFailed, UsageError

if TYPE_CHECKING:
    from docker import DockerClient

    from orchestrator.ports.progress import Progress

_LAST_LINES = 20
_IGNORE_FILE = ".dockerignore"
# Errors that do not occur again at the next attempt: a cached layer was removed, or the same tag was set meanwhile.
# The last two come from an engine with the containerd image store.
_TRANSIENT = re.compile(
    r"unable to find image \"sha256:|No such image: sha256:|unknown parent image ID|failed to get digest sha256:"
    r"|layer does not exist|content digest sha256:[0-9a-f]+: not found|after deleting the existing one: AlreadyExists"
)
# Seconds that buildx has to end after a signal.
_GRACE = 10.0
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")


def image(client: DockerClient, spec: BuildSpec, progress: Progress) -> str:
    """Builds an image and returns its id; `progress` gets the builder's lines.

    Raises:
        UsageError: the Dockerfile is missing, or buildx is required and not installed.
        BuildFailed: the build failed; the error has the builder's last lines.
    """
    if not spec.dockerfile_path.is_file():
        raise UsageError(
            f"build.dockerfile: {printable(spec.dockerfile_path)} does not exist",
            hint="write one, or set build.dockerfile (relative to build.context)",
        )
    if not spec.dockerfile_path.resolve().is_relative_to(spec.context.resolve()):
        raise UsageError(
            f"build.dockerfile: {printable(spec.dockerfile_path)} is a symlink that leads out of build.context",
            why="builders do not follow it",
            hint="replace it with a copy of its target",
        )
    buildx = spec.builder != "classic" and has_buildx()
    if spec.builder == "buildkit" and not buildx:
        raise UsageError(
            'build.builder: "buildkit" needs the docker CLI with buildx',
            hint='install docker-buildx-plugin, or set builder = "auto"',
        )
    if spec.secrets and not buildx:
        raise UsageError(
            "build.secrets: only BuildKit can use them, which needs the docker CLI with buildx",
            hint="install docker-buildx-plugin",
        )
    with watched(client, "the build"):
        return _with_buildx(client, spec, progress) if buildx else _classic(client, spec, progress)


def _classic(client: DockerClient, spec: BuildSpec, progress: Progress) -> str:
    import docker.errors

    for last in (False, False, True):
        try:
            return _classic_once(client, spec, progress)
        except docker.errors.APIError as error:
            # A Dockerfile that cannot be parsed is rejected as a whole, before the first message.
            raise _failed(spec, str(error.explanation or error).strip(), (), classic=True) from error
        except BuildFailed as error:
            # For example, an image was removed whose layers are in the cache of the builder.
            if last or not _TRANSIENT.search(error.why):
                raise
            progress.detail("an image was removed or tagged during the build: building again")
    raise AssertionError("the last try returns or raises")


def _classic_once(client: DockerClient, spec: BuildSpec, progress: Progress) -> str:
    lines: deque[str] = deque(maxlen=_LAST_LINES)
    image_id = ""
    # This request uses the classic builder: its stream has one JSON object per message.
    with closing(_context(spec)) as context:
        stream: Iterable[dict[str, Any]] = client.api.build(
            fileobj=context,
            custom_context=True,
            dockerfile=spec.dockerfile,
            tag=spec.tag,
            buildargs=dict(spec.args),
            target=spec.target or "",
            network_mode=None if spec.network == "default" else spec.network,
            labels=dict(spec.labels),
            rm=True,
            forcerm=True,
            decode=True,
        )
    for message in stream:
        progress.check()
        if "error" in message:
            raise _failed(spec, str(message["error"]).strip(), lines, classic=True)
        image_id = (message.get("aux") or {}).get("ID", image_id)
        for line in str(message.get("stream", "")).splitlines():
            _report(line, lines, progress)
    return image_id or str(client.images.get(spec.tag).id)


def _context(spec: BuildSpec) -> IO[bytes]:
    """The build context as the manifest lists it: the SDK itself understands some patterns differently."""
    archive = tempfile.TemporaryFile()  # noqa: SIM115  closed by the caller
    try:
        _pack(spec, archive)
        archive.seek(0)
        return archive
    except OSError as error:
        # Closing the file tries to write the rest again.
        with suppress(OSError):
            archive.close()
        raise BuildFailed(
            f"the image {spec.tag} could not be built",
            why=f"its context cannot be packed: {error.strerror or error}",
            hint=f"it is packed in {tempfile.gettempdir()} ($TMPDIR): free some space, or add files to .dockerignore",
        ) from error


def _pack(spec: BuildSpec, archive: IO[bytes]) -> None:
    """Writes what the builder gets as a tar archive."""
    names = set()
    with tarfile.open(mode="w", fileobj=archive) as tar:
        for entry in entries(spec.context, spec.ignore, spec.dockerfile):
            info = tar.gettarinfo(spec.context / entry.path, arcname=entry.path)
            if info is None:
                continue  # a socket
            names.add(entry.path)
            # Times before 1970, and very large ones, do not fit into a header with fractions.
            info.mtime = int(info.mtime)
            if info.isfile():
                with (spec.context / entry.path).open("rb") as file:
                    tar.addfile(info, file)
            else:
                tar.addfile(info)
        if _IGNORE_FILE not in names and Ignoring(spec.ignore).ignores(spec.dockerfile):
            # The engine reads the Dockerfile, and removes it from the context when this file names it.
            text = write([*literal(spec.dockerfile), _IGNORE_FILE]).encode()
            info = tarfile.TarInfo(_IGNORE_FILE)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text))


def _with_buildx(client: DockerClient, spec: BuildSpec, progress: Progress) -> str:
    lines: deque[str] = deque(maxlen=_LAST_LINES)
    with tempfile.TemporaryDirectory(prefix="deployctl-") as folder, ExitStack() as stack:
        id_file = Path(folder) / "image-id"
        # BuildKit reads the ignore file beside the Dockerfile instead of that in the context.
        dockerfile = Path(folder) / "build" / spec.dockerfile_path.name
        dockerfile.parent.mkdir()
        shutil.copyfile(spec.dockerfile_path, dockerfile)
        dockerfile.with_name(f"{dockerfile.name}.dockerignore").write_text(write(spec.ignore), encoding="utf-8")
        # BuildKit keeps what it received from contexts of a name (of any folder, of any app), and transfers only what
        # differs in size or time. A file with the size and time of another one would not get its content.
        context = Path(folder) / Path(folder).name
        context.symlink_to(spec.context.resolve())
        command = ["docker", "buildx", "build", "--progress=plain", "--load", "--tag", spec.tag]
        command += ["--file", str(dockerfile), "--iidfile", str(id_file)]
        for key, value in spec.labels.items():
            command += ["--label", f"{key}={value}"]
        for key, value in spec.args.items():
            command += ["--build-arg", f"{key}={value}"]
        if spec.target:
            command += ["--target", spec.target]
        if spec.network != "default":
            command += ["--network", spec.network]
        for key, path in stack.enter_context(_secret_files(spec.secrets)).items():
            command += ["--secret", f"id={key},src={path}"]
        process = subprocess.Popen(
            [*command, str(context)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # Without it buildx asks Git about the context, which may run what the repository's configuration names.
            env={**os.environ, "BUILDX_GIT_INFO": "false"},
        )
        try:
            assert process.stdout is not None
            for line in process.stdout:
                progress.check()
                _report(masking.mask(line, spec.secrets.values()), lines, progress)
            code = process.wait()
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(_GRACE)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            if process.stdout is not None:
                process.stdout.close()
        if code != 0:
            errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
            why = errors[-1] if errors else f"docker buildx ended with exit code {code}"
            raise _failed(spec, why, lines, classic=False)
        return _known(client, id_file.read_text().strip(), spec.tag)


@contextmanager
def _secret_files(secrets: Mapping[str, bytes]) -> Iterator[dict[str, str]]:
    """The secrets as files that are in memory only, and gone with this process however it ends."""
    open_files: list[int] = []
    try:
        for name, value in secrets.items():
            open_files.append(os.memfd_create(name))
            with open(open_files[-1], "wb", closefd=False) as file:
                file.write(value)
        paths = [f"/proc/{os.getpid()}/fd/{number}" for number in open_files]
        yield dict(zip(secrets, paths, strict=True))
    finally:
        for number in open_files:
            os.close(number)


def _known(client: DockerClient, built: str, tag: str) -> str:
    """The id that the engine uses for the built image.

    With the containerd image store that is the digest of the manifest; buildx reports that of the configuration.
    """
    from docker.errors import ImageNotFound

    for name in (built, tag):
        with suppress(ImageNotFound):
            return str(client.images.get(name).id)
    raise BuildFailed(
        f"the image {tag} was built, but the engine does not have it",
        hint="check whether the builder's output is a registry",
    )


def _report(line: str, lines: deque[str], progress: Progress) -> None:
    # Remove colours and cursor movements, which would affect the user's terminal.
    plain = _CONTROL.sub("", line).rstrip()
    if plain:
        lines.append(plain)
        progress.detail(plain)


def _failed(spec: BuildSpec, why: str, lines: Iterable[str], *, classic: bool) -> BuildFailed:
    details = "\n".join(lines)
    try:
        dockerfile = spec.dockerfile_path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        dockerfile = ""
    hint = _withheld(spec, why) or build_hint(why, details, dockerfile, classic=classic, builder=spec.builder)
    return BuildFailed(f"the image {spec.tag} could not be built", why=why, hint=hint, details=details)


def _withheld(spec: BuildSpec, why: str) -> str:
    """The hint for a file that the Dockerfile asks for and no builder gets; empty when that is not the cause."""
    for name, what in spec.withheld.items():
        if re.search(rf"(\"/| stat ){re.escape(name)}[/\":].*(not found|not exist)", why):
            return f"{name} is {what}, which no build gets: copy what the image needs to another place"
    return ""


def has_buildx() -> bool:
    """Whether the docker command has buildx."""
    if shutil.which("docker") is None:
        return False
    try:
        done = subprocess.run(["docker", "buildx", "version"], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
