"""The values behind run.secrets: a copy for the containers of each deployment.

A copy is a folder, `secrets/APP/VERSION/DEPLOYMENT`, that containers see as /run/secrets. A container's user must be
able to read it, whoever that is; nobody else on the host gets through the folders above, which are their owner's alone.
One for each deployment, because a version that is released again with a new password must not change what the
containers that serve meanwhile find when they are started again.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from orchestrator.config import Config
from orchestrator.config.secrets import exposed_secrets, read_secrets
from orchestrator.errors import DeploymentFailed, UsageError
from orchestrator.files import TEMPORARY, remove_whole, sync_folder, write_atomic

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Order = tuple[Literal["source", "copy"], ...]
_HINT = "set the variable, or put the file there, then try again"
# Shorter words are in every log, and hiding them would tell what they are.
_SHORTEST_MASKED = 8


class SecretStore:
    """Reads secrets and keeps copies of them below `folder`. No error and no name in there holds a value."""

    def __init__(self, folder: Path) -> None:
        self._root = folder

    def check(self, config: Config, version: str | None = None, *, building: Config | None = None) -> None:
        """Looks whether every secret is to be had: from its source, or from a copy that `version` has.

        `building` is what is built from, when that is not the folder itself: there no secret may be among the files.

        Raises:
            UsageError: one is not, or would get into the image.
        """
        order: Order = ("source",) if version is None else ("source", "copy")
        lacking = self._resolve(config, version or "", 0, order)[1]
        if lacking:
            raise UsageError(_words(lacking), why="; ".join(lacking), hint=_HINT)
        if version is None and (exposed := exposed_secrets(building or config, there=building is not None)):
            why = "; ".join(f"{found.path}: {found.message}" for found in exposed)
            raise UsageError("a secret is part of the build", why=why, hint=exposed[0].hint)

    def changed(self, config: Config, version: str, deployment: int) -> bool:
        """Whether the sources differ from the copy that a deployment's containers have."""
        if not config.run.secrets:
            return False
        return read_secrets(config)[0] != self._content(self._copy(config.app.name, version, deployment))

    def store(self, config: Config, version: str, deployment: int, *, order: Order) -> None:
        """Makes the copy for a deployment's containers. A copy that is as it should be is left alone.

        Raises:
            DeploymentFailed: a value is not to be had, or the copy cannot be written. The copy is as it was, or has
                some new files; what the containers of other deployments have is not touched.
        """
        if not config.run.secrets:
            return
        values, lacking = self._resolve(config, version, deployment, order)
        if lacking:
            raise DeploymentFailed(_words(lacking), why="; ".join(lacking), hint=_HINT)
        target = self._copy(config.app.name, version, deployment)
        if self._content(target) == values:
            return
        staging = target.with_name(f".{deployment}{TEMPORARY}")
        try:
            self._write(target, staging, values)
        except OSError as error:
            shutil.rmtree(staging, ignore_errors=True)
            why = error.strerror or type(error).__name__
            raise DeploymentFailed(
                f"the secrets of {version} could not be kept in the state folder", why=why, hint="is the disk full?"
            ) from None

    def kept(self, app: str) -> Mapping[str, tuple[int, ...]]:
        """The deployments of each version that have a copy."""
        found = {}
        for folder in _folders(self._root / app):
            copies = sorted(int(copy.name) for copy in _folders(folder) if copy.name.isdigit())
            if copies:
                found[folder.name] = tuple(copies)
        return found

    def drop(self, app: str, version: str, deployment: int) -> None:
        """Removes a copy, if it is there."""
        if remove_whole(self._copy(app, version, deployment)):
            self._sweep(app)

    def tidy(self, app: str) -> None:
        """Removes what a crash left of copies that were being made or removed."""
        for folder in _folders(self._root / app):
            for path in folder.glob(f".*{TEMPORARY}"):
                shutil.rmtree(path, ignore_errors=True)
        self._sweep(app)

    def mask(self, app: str, text: str) -> str:
        """`text` without the lines of any value that a container of the app may know, if they have 8 characters."""
        words = set()
        for version, copies in self.kept(app).items():
            for deployment in copies:
                for value in self._content(self._copy(app, version, deployment)).values():
                    words |= {line.strip() for line in value.decode(errors="replace").splitlines()}
        for word in sorted(words, key=len, reverse=True):
            if len(word) >= _SHORTEST_MASKED:
                text = text.replace(word, "***")
        return text

    def _copy(self, app: str, version: str, deployment: int) -> Path:
        return self._root / app / version / str(deployment)

    def _resolve(
        self, config: Config, version: str, deployment: int, order: Order
    ) -> tuple[dict[str, bytes], list[str]]:
        """Every secret's value from the first place that has it, and why there is none for the others."""
        sources, whys = read_secrets(config)
        copies: dict[str, bytes] = {}
        if "copy" in order and config.run.secrets:
            others = self.kept(config.app.name).get(version, ())
            for known in (*others, deployment):  # the newest counts, and before it the deployment's own
                copies |= self._content(self._copy(config.app.name, version, known))
        places = {"source": sources, "copy": copies}
        values: dict[str, bytes] = {}
        lacking = []
        for name in sorted(config.run.secrets):
            found = next((places[place][name] for place in order if name in places[place]), None)
            if found is not None:
                values[name] = found
            else:
                no_copy = f", and no copy of it is kept with {version}" if "copy" in order else ""
                lacking.append(f"run.secrets.{name}: {whys[name]}{no_copy}")
        return values, lacking

    def _content(self, copy: Path) -> dict[str, bytes]:
        """The files of a copy; those that cannot be read are not there."""
        found = {}
        with suppress(OSError):
            for path in sorted(copy.iterdir()):
                with suppress(OSError):
                    found[path.name] = path.read_bytes()
        return found

    def _write(self, target: Path, staging: Path, values: dict[str, bytes]) -> None:
        version = target.parent
        for folder in (self._root, version.parent, version):
            if not folder.is_dir():
                folder.mkdir(0o700)
                sync_folder(folder.parent)
            folder.chmod(0o700)
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(0o700)
        staging.chmod(0o755)
        # In this order no name that is there already is another one's temporary name.
        for name in sorted(values):
            write_atomic(staging / name, values[name], 0o444)
        if not target.is_dir():
            staging.rename(target)
            sync_folder(version)
            return
        # A mount is of this very folder: its files are replaced, not the folder.
        for name in sorted(values):
            (staging / name).replace(target / name)
        for path in list(target.iterdir()):
            if path.name not in values:
                path.unlink()
        sync_folder(target)
        staging.rmdir()

    def _sweep(self, app: str) -> None:
        for folder in (*_folders(self._root / app), self._root / app, self._root):
            with suppress(OSError):
                folder.rmdir()  # only what is empty


def _words(lacking: list[str]) -> str:
    return "a secret is not to be had" if len(lacking) == 1 else f"{len(lacking)} secrets are not to be had"


def _folders(folder: Path) -> Iterable[Path]:
    try:
        return [path for path in sorted(folder.iterdir()) if path.is_dir()]
    except OSError:
        return []
