"""The store of files by content: one read-only object per distinct file, and a tree of hard links for each version.

    store/objects/ab/cdef…      a file's content, named by its SHA-256; `.x` behind it when it is executable
    store/manifests/cdef….json  a manifest, named by its digest
    models/APP/v2/…             a version's tree, mounted into its containers

The number of links to an object counts the trees that need it: an object with one link is needed by nobody. Who puts
objects in holds the store's lock, shared, until its tree has links to them; who takes objects out holds it alone.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from orchestrator.domain.version.manifest import MODEL, File, Manifest, identity, read
from orchestrator.errors import DeploymentFailed, UsageError
from orchestrator.files import TEMPORARY, remove_whole, sync_folder, write_atomic

_CHUNK = 1 << 20
_DIGEST = re.compile("[0-9a-f]{64}")
# Behind the name of a tree whose successor is being put in its place.
_REPLACED = f".replaced{TEMPORARY}"
_TRIES = 3
# Seconds; two changes within one tick of the kernel's clock (at most 10 ms) leave the same times on a file.
_TICK = 0.02
# Every object has this time of its last change, in nanoseconds since the epoch: 2000-01-01, as zip knows no time before
# 1980. Whoever writes into it since leaves another one, which shows without reading it.
_UNTOUCHED = 946_684_800 * 10**9


class Objects:
    """The objects, manifests and trees of one state folder."""

    def __init__(self, store: Path, trees: Path) -> None:
        self._objects = store / "objects"
        self._manifests = store / "manifests"
        self._incoming = store / "incoming"
        self._lock = store / "lock"
        self._trees = trees
        self._held: int | None = None
        self._sound: set[Path] = set()  # objects that were written, or read, by this very process

    # Objects

    def place(self, digest: str, mode: str) -> Path:
        """Where an object is, or would be."""
        return self._objects / digest[:2] / (digest[2:] + (".x" if mode == "0755" else ""))

    def has(self, file: File) -> bool:
        """Whether the content of a file is there."""
        return _intact(self.place(file.digest, file.mode), file)

    def hold(self) -> None:
        """Nothing is taken out of the store from here on, until `release`, or the end of the process."""
        if self._held is None:
            self._lock.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._held = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._held, fcntl.LOCK_SH)

    def release(self) -> None:
        """Takes `hold` back."""
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def add(
        self, source: Path, mode: str, name: str, stopped: Callable[[], bool] = lambda: False
    ) -> tuple[str, os.stat_result, int]:
        """Copies a file in and digests it on the way. `name` is a temporary one that nobody else uses now.

        Returns the digest, the file's status, and when it was read (nanoseconds since the epoch). It is on the disk
        after `flush`.

        Raises:
            OSError: it cannot be read, or the disk is full.
            UsageError: it changes while it is read.
        """
        self._incoming.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = self._incoming / f"{name}{TEMPORARY}"
        try:
            with temporary.open("wb", buffering=0) as copy:
                found = digest(source, copy, stopped)
                os.fchmod(copy.fileno(), 0o555 if mode == "0755" else 0o444)
                os.utime(copy.fileno(), ns=(_UNTOUCHED, _UNTOUCHED))
            target = self.place(found[0], mode)
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                os.link(temporary, target)
            except FileExistsError:
                # What is there stays, for the trees that need it have links to that very file; unless it is damaged.
                if target not in self._sound and digest(target)[0] != found[0]:
                    temporary.replace(target)
            self._sound.add(target)
        finally:
            temporary.unlink(missing_ok=True)
        return found

    def flush(self) -> None:
        """Brings what was added onto the disk: one call for all of it, where fsync for each would take a while."""
        import ctypes

        descriptor = os.open(self._objects, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(self._objects))
        finally:
            os.close(descriptor)

    def all(self) -> Iterator[tuple[str, Path]]:
        """Every object: the digest that its name says, and where it is."""
        for path in sorted(self._objects.glob("*/*")):
            name = path.parent.name + path.name.removesuffix(".x")
            if _DIGEST.fullmatch(name):  # what else lies there is nobody's
                yield name, path

    def collect(self) -> int:
        """Removes the objects that no tree needs; returns how many bytes they were. Does nothing while some come in."""
        self.release()
        if not self._objects.is_dir():
            return 0
        freed = 0
        with self._lock.open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return 0  # another app takes objects in: they are collected the next time
            for _, path in self.all():
                status = path.lstat()
                if status.st_nlink == 1:
                    path.unlink()
                    freed += status.st_size
        return freed

    # Manifests

    def save(self, app: str, manifest: Manifest) -> None:
        """Keeps a manifest under its digest.

        Raises:
            OSError: the disk is full, say.
        """
        for folder in (self._manifests, self._incoming):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Written where nobody else writes: another app may keep the same manifest now.
        own = self._incoming / f"{app}.manifest{TEMPORARY}"
        write_atomic(own, manifest.text, mode=0o600)
        own.replace(self.manifest_place(manifest.digest))
        sync_folder(self._manifests)

    def load(self, digest: str) -> Manifest | None:
        """The manifest with this digest; None when it was never kept.

        Raises:
            DeploymentFailed: what is kept under this name is another one.
        """
        place = self.manifest_place(digest)
        try:
            text = place.read_text(encoding="utf-8")
            if identity(text) == digest:
                return read(text)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise DeploymentFailed(f"the manifest {place} cannot be read", why=str(error)) from error
        raise DeploymentFailed(f"the manifest {place} was changed", why="it is not what its name says")

    def manifest_place(self, digest: str) -> Path:
        return self._manifests / f"{digest.removeprefix('sha256:')}.json"

    # Trees

    def tree(self, app: str, version: str) -> Path:
        """Where a version's tree is."""
        return self._trees / app / version

    def plant(self, app: str, version: str, files: dict[str, File]) -> None:
        """Makes a version's tree of links; one that is there is replaced. Then the store may be collected again.

        Raises:
            OSError: the disk is full, say.
            UsageError: an object is gone.
        """
        target = self.tree(app, version)
        temporary = target.with_name(f".{version}{TEMPORARY}")
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            temporary.mkdir(parents=True)
            for path, file in files.items():
                place = temporary / path
                place.parent.mkdir(parents=True, exist_ok=True)
                if file.kind == "link":
                    place.symlink_to(file.target)
                else:
                    _link(self.place(file.digest, file.mode), place)
            for folder in (
                temporary,
                *(path for path in temporary.rglob("*") if path.is_dir() and not path.is_symlink()),
            ):
                folder.chmod(0o755)  # whoever the container runs as must get through, whatever the umask is here
            # The old one is whole until the new one is in its place: see `tidy`.
            replaced = target.with_name(f".{version}{_REPLACED}")
            shutil.rmtree(replaced, ignore_errors=True)
            with suppress(FileNotFoundError):
                target.rename(replaced)
            temporary.rename(target)
            sync_folder(target.parent)
            shutil.rmtree(replaced, ignore_errors=True)
        except FileNotFoundError as error:
            raise UsageError(
                f"{error.filename} was removed from the store meanwhile", hint="release again: it is put in anew"
            ) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        self.release()

    def uproot(self, app: str, version: str) -> None:
        """Removes a version's tree, if it has one."""
        remove_whole(self.tree(app, version))

    def tidy(self, app: str) -> None:
        """Removes what a crash left of copies and trees that were being made or removed. The caller holds the app."""
        for path in self._incoming.glob(f"{app}.*{TEMPORARY}"):  # names of apps have no dots
            path.unlink(missing_ok=True)
        folder = self._trees / app
        for path in folder.glob(f".*{_REPLACED}"):
            target = folder / path.name[1:].removesuffix(_REPLACED)
            if not target.exists():
                path.rename(target)
        for path in folder.glob(f".*{TEMPORARY}"):
            shutil.rmtree(path, ignore_errors=True)

    def whole(self, app: str, version: str, files: dict[str, File]) -> bool:
        """Whether a version's tree has all its files."""
        root = self.tree(app, version)
        return root.is_dir() and all(_intact(root / path, file) for path, file in files.items())

    def faults(self, app: str, version: str, manifest: Manifest) -> list[str]:
        """Where a version's tree is not what its manifest says, in words. What is in the objects is not looked at."""
        root = self.tree(app, version)
        wanted = manifest.below(MODEL)
        found = []
        for path, file in wanted.items():
            place = root / path
            try:
                if file.kind == "link":
                    same = place.is_symlink() and str(place.readlink()) == file.target
                else:
                    same = not place.is_symlink() and self._same(place, file)
            except OSError as error:
                found.append(f"{place}: {error.strerror}")
                continue
            if not same:
                found.append(f"{place} is not what was released")
        there = {
            path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_symlink() or not path.is_dir()
        }
        return found + [f"{root / path} is in no version" for path in sorted(there - wanted.keys())]

    def _same(self, place: Path, file: File) -> bool:
        with suppress(FileNotFoundError):
            if place.samefile(self.place(file.digest, file.mode)):
                return True
        return digest(place)[0] == file.digest


def digest(
    source: Path, copy: IO[bytes] | None = None, stopped: Callable[[], bool] = lambda: False
) -> tuple[str, os.stat_result, int]:
    """Reads a file once: its SHA-256, its status, and when that was. `copy` gets its content. Memory: one chunk.

    `stopped` is asked now and then: nobody wants the result any more.

    Raises:
        OSError: it cannot be read, or the copy cannot be written.
        UsageError: it changes while it is read.
    """
    buffer = bytearray(_CHUNK)
    view = memoryview(buffer)
    for _ in range(_TRIES):
        with source.open("rb", buffering=0) as file:
            _let_tick_pass(os.fstat(file.fileno()))
            read_at = time.time_ns()
            before = os.fstat(file.fileno())
            if copy is not None:
                copy.seek(0)
                copy.truncate()
            total = hashlib.sha256()
            count = 0
            while size := file.readinto(buffer):
                if stopped():
                    raise InterruptedError(errno.EINTR, os.strerror(errno.EINTR), str(source))
                total.update(view[:size])
                count += size
                if copy is not None:
                    _write(copy, view[:size])
            after = os.fstat(file.fileno())
        same = (before.st_size, before.st_mtime_ns, before.st_ctime_ns) == (
            after.st_size,
            after.st_mtime_ns,
            after.st_ctime_ns,
        )
        if same and count == before.st_size:
            return total.hexdigest(), before, read_at
    raise UsageError(
        f"{source} changes while it is read",
        why=f"it was changed in each of {_TRIES} attempts to take it as it is",
        hint="let the program that writes it finish, then release again",
    )


def _intact(place: Path, file: File) -> bool:
    """Whether a file, or a link, is there as it was put in. Only one that was touched since is read."""
    try:
        status = place.lstat()
        if status.st_size != file.size:
            return False
        if status.st_mtime_ns == _UNTOUCHED or file.kind == "link":
            return True
        if digest(place)[0] != file.digest:
            return False
    except OSError:
        return False  # gone, or on a part of the disk that cannot be read any more
    # Copied back from elsewhere, say: the next look shall be a quick one again.
    with suppress(OSError):
        os.utime(place, ns=(_UNTOUCHED, _UNTOUCHED))
    return True


def _let_tick_pass(status: os.stat_result) -> None:
    """Waits until another change of the file would show in its times."""
    age = time.time() - status.st_ctime_ns / 1e9
    if 0 <= age < _TICK:
        time.sleep(_TICK - age)


def _write(copy: IO[bytes], data: memoryview) -> None:
    while data:
        data = data[copy.write(data) :]


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno != errno.EMLINK:
            raise
        shutil.copy2(source, target)  # the file system counts no further: thousands of versions hold it
