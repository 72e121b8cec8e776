"""Building images: the SDK's classic builder, or the docker CLI's buildx where it exists and may be used.

The SDK speaks to the classic builder only: a Dockerfile with `RUN --mount` or `COPY --link` needs buildx.
"""

from __future__ import annotations

import re
import signal
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from shutil import which
from typing import IO, TYPE_CHECKING, Any

from orchestrator.config import Config, ignore_patterns, printable
from orchestrator.errors import BuildFailed, EngineUnreachable, UsageError

if TYPE_CHECKING:
    from docker import DockerClient

_LAST_LINES = 20
# Seconds between two questions whether the engine is still there while it builds.
_PULSE = 5.0
# What is over at the next try: a layer of the cache was removed, or somebody gave the same name at the same time. The
# last two are what an engine says that keeps its images in containerd's store.
_PASSING = re.compile(
    r"unable to find image \"sha256:|No such image: sha256:|unknown parent image ID|failed to get digest sha256:"
    r"|layer does not exist|content digest sha256:[0-9a-f]+: not found|after deleting the existing one: AlreadyExists"
)
# What the classic builder says of what it does not know.
_BUILDKIT = re.compile(r"requires BuildKit|Unknown flag: ", re.IGNORECASE)
_NEEDS_BUILDKIT = "this Dockerfile needs BuildKit: install docker-buildx-plugin"
# Seconds that buildx gets to end after a signal.
_GRACE = 10.0
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")


def image(
    client: DockerClient,
    config: Config,
    tag: str,
    *,
    labels: dict[str, str],
    progress: Callable[[str], None],
    cancelled: Callable[[], None],
) -> str:
    """Builds `tag` and returns the image's id; `progress` gets the builder's lines.

    Raises:
        UsageError: the Dockerfile is missing, or buildx is asked for and not there.
        BuildFailed: the build failed; the error carries the builder's last lines.
    """
    if not config.dockerfile_path.is_file():
        raise UsageError(
            f"build.dockerfile: {printable(config.dockerfile_path)} is not there",
            hint="write one, or set build.dockerfile (relative to build.context)",
        )
    buildx = config.build.builder != "classic" and _has_buildx()
    if config.build.builder == "buildkit" and not buildx:
        raise UsageError(
            'build.builder: "buildkit" needs the docker CLI with buildx',
            hint='install docker-buildx-plugin, or set builder = "auto"',
        )
    with pulse(client):
        if buildx:
            return _with_buildx(client, config, tag, labels, progress, cancelled)
        return _classic(client, config, tag, labels, progress, cancelled)


@contextmanager
def pulse(client: DockerClient, what: str = "the build") -> Iterator[None]:
    """Ends a build whose engine hangs. A build may be silent for hours, so its stream has no time limit.

    A thread asks the engine now and then whether it is there. When it is not, the thread sends this process
    SIGALRM, which wakes the main thread out of its wait for the next line.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # no signal reaches another thread
        return
    ended = threading.Event()
    main = threading.main_thread().ident
    assert main is not None, "the main thread runs"

    def listen() -> None:
        while not ended.wait(_PULSE):
            try:
                client.ping()
            except Exception:  # noqa: BLE001  whatever it is, the engine gave no answer
                if not ended.is_set():
                    signal.pthread_kill(main, signal.SIGALRM)
                return

    def gone(number: int, frame: object) -> None:
        raise EngineUnreachable(
            f"the Docker engine stopped answering during {what}",
            hint="is it hung? 'docker ps' tells; then release again",
        )

    signal.signal(signal.SIGALRM, gone)
    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        # Not back to the default, which ends the process: the thread may have just decided to send it.
        signal.signal(signal.SIGALRM, signal.SIG_IGN)


def _classic(
    client: DockerClient,
    config: Config,
    tag: str,
    labels: dict[str, str],
    progress: Callable[[str], None],
    cancelled: Callable[[], None],
) -> str:
    for last in (False, False, True):
        try:
            return _classic_once(client, config, tag, labels, progress, cancelled)
        except BuildFailed as error:
            # Somebody removed an image whose layers the builder had found in its cache a moment ago, say.
            if last or not _PASSING.search(error.why):
                raise
            progress("an image was removed or named meanwhile: building again")
    raise AssertionError("the last try returns or raises")


def _classic_once(
    client: DockerClient,
    config: Config,
    tag: str,
    labels: dict[str, str],
    progress: Callable[[str], None],
    cancelled: Callable[[], None],
) -> str:
    lines: deque[str] = deque(maxlen=_LAST_LINES)
    found = ""
    # BuildKit is not asked for: this stream is the classic builder's, one JSON object a message.
    with closing(_context(config, tag)) as context:
        stream: Iterable[dict[str, Any]] = client.api.build(
            fileobj=context,
            custom_context=True,
            dockerfile=config.build.dockerfile,
            tag=tag,
            buildargs=dict(config.build.args),
            target=config.build.target or "",
            labels=labels,
            rm=True,
            forcerm=True,
            decode=True,
        )
    for message in stream:
        cancelled()
        if "error" in message:
            why = str(message["error"]).strip()
            raise _failed(tag, why, lines, _NEEDS_BUILDKIT if _BUILDKIT.search(why) else "")
        found = (message.get("aux") or {}).get("ID", found)
        for line in str(message.get("stream", "")).splitlines():
            _tell(line, lines, progress)
    if not found:
        found = str(client.images.get(tag).id)
    return found


def _context(config: Config, tag: str) -> IO[bytes]:
    """The files that are sent, as the manifest lists them: the SDK alone would know only `.dockerignore`."""
    from docker.utils.build import tar

    dockerfile = (config.build.dockerfile, None)
    archive = tempfile.TemporaryFile()  # noqa: SIM115  closed by who gets it
    try:
        tar(config.context_dir, exclude=ignore_patterns(config), dockerfile=dockerfile, fileobj=archive)
        return archive
    except OSError as error:
        # What could not be written when it was packed cannot be written now either.
        with suppress(OSError):
            archive.close()
        cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
        raise BuildFailed(
            f"the image {tag} could not be built",
            why=f"its context cannot be packed: {cause.strerror or cause}",
            hint=f"it is packed in {tempfile.gettempdir()} ($TMPDIR): is there room? .dockerignore leaves files out",
        ) from error


def _with_buildx(
    client: DockerClient,
    config: Config,
    tag: str,
    labels: dict[str, str],
    progress: Callable[[str], None],
    cancelled: Callable[[], None],
) -> str:
    lines: deque[str] = deque(maxlen=_LAST_LINES)
    with tempfile.TemporaryDirectory(prefix="deployctl-") as folder:
        id_file = Path(folder) / "image-id"
        command = ["docker", "buildx", "build", "--progress=plain", "--load", "--tag", tag]
        command += ["--file", str(config.dockerfile_path), "--iidfile", str(id_file)]
        for key, value in labels.items():
            command += ["--label", f"{key}={value}"]
        for key, value in config.build.args.items():
            command += ["--build-arg", f"{key}={value}"]
        if config.build.target:
            command += ["--target", config.build.target]
        process = subprocess.Popen(
            [*command, str(config.context_dir)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        try:
            assert process.stdout is not None
            for line in process.stdout:
                cancelled()
                _tell(line, lines, progress)
            code = process.wait()
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(_GRACE)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        if code != 0:
            said = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
            raise _failed(tag, said[-1] if said else f"docker buildx ended with {code}", lines)
        return _known(client, id_file.read_text().strip(), tag)


def _known(client: DockerClient, built: str, tag: str) -> str:
    """The id by which the engine knows what was built.

    With images in containerd's store it is the digest of the manifest; buildx tells that of the configuration.
    """
    from docker.errors import ImageNotFound

    for name in (built, tag):
        with suppress(ImageNotFound):
            return str(client.images.get(name).id)
    raise BuildFailed(
        f"the image {tag} was built, and is not in the engine", hint="is a registry the builder's output?"
    )


def _tell(line: str, lines: deque[str], progress: Callable[[str], None]) -> None:
    # Colours and cursor movements of the programs in the build would act on the user's terminal.
    plain = _CONTROL.sub("", line).rstrip()
    if plain:
        lines.append(plain)
        progress(plain)


def _failed(tag: str, why: str, lines: Iterable[str], hint: str = "") -> BuildFailed:
    hint = hint or "mend the Dockerfile or the build context, then release again"
    return BuildFailed(f"the image {tag} could not be built", why=why, hint=hint, details="\n".join(lines))


def _has_buildx() -> bool:
    if which("docker") is None:
        return False
    try:
        found = subprocess.run(["docker", "buildx", "version"], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return found.returncode == 0
