"""A watched folder: every catalogue or file of changes that is put there becomes a change stream.

Others may write to the folder, so nothing in it is trusted. Only regular files with one name are read, never
links. Targets are created exclusively, relative to open folders, so that no file outside can be overwritten.
"""

import errno
import itertools
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from indexer.sources.change_stream import ChangeStream
from indexer.sources.files.catalogue_file import SUFFIXES, CatalogueFile, has_known_suffix, open_catalogue
from indexer.sources.files.options import ReadOptions
from mappings.errors import AttuneError, CatalogueError

_DONE = "done"
_FAILED = "failed"
_UNFINISHED = (".tmp", ".part", ".partial")
"""Endings of names under which a file is still being written. So is one whose name begins with a dot."""

_SETTLE_SECONDS = 1.0
"""A file that has not changed for this long is complete."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def watch_folder(
    folder: Path,
    poll_seconds: float | None = None,
    stop: threading.Event | None = None,
    say: Callable[[str], None] = lambda _: None,
    settle_seconds: float = _SETTLE_SECONDS,
    options: ReadOptions | None = None,
) -> Iterator[ChangeStream]:
    """Yield a stream for each file of a known format, in the order of their names. `say` gets lines to show.

    Applied files go to `done/`, files that can't be used to `failed/` with `NAME.reason.txt`. A file that is
    still being written holds back those behind it, so that changes are applied in order. With `poll_seconds`
    the folder is polled until `stop` is set. Without, it is gone through once.
    Raises CatalogueError when the folder can't be used.
    """
    stop = stop or threading.Event()
    watched = _Folder(folder, settle_seconds, say, options or ReadOptions())
    waited = False
    while not stop.is_set():
        try:
            catalogue = watched.next_complete()
        except OSError as error:
            problem = f"{folder} can't be read: {error.strerror or error}"
            if poll_seconds is None:
                raise CatalogueError(problem) from error
            say(f"{problem}; trying again in {poll_seconds:g} s")
            stop.wait(poll_seconds)
            continue
        if catalogue is not None:
            waited = False
            yield watched.stream(catalogue)
        elif poll_seconds is not None:
            stop.wait(min(poll_seconds, settle_seconds) if watched.growing else poll_seconds)
        elif watched.growing and not waited:
            waited = True
            stop.wait(settle_seconds + 0.01)
        else:
            if watched.growing:
                say(f"{watched.growing} is being written: it and what is behind it are left to the next run")
            return


@dataclass(frozen=True, slots=True)
class _FileState:
    """What distinguishes one state of a file from another."""

    size: int
    written_ns: int
    inode: int

    @classmethod
    def read(cls, path: Path) -> Self:
        status = path.lstat()
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)


class _Folder:
    """The contents of the folder. `growing` is the first unfinished file of the last poll, "" without one.

    The folder is polled because inotify misses what other machines do to a network file system.
    """

    def __init__(
        self, folder: Path, settle_seconds: float, say: Callable[[str], None], options: ReadOptions
    ) -> None:
        self._options = options
        self.growing = ""
        self._path = folder
        self._settle_seconds = settle_seconds
        self._say = say
        self._passed_over: set[str] = set()
        self._since: dict[str, tuple[_FileState, float]] = {}
        self._given: dict[str, _FileState] = {}
        if not folder.is_dir():
            raise CatalogueError(f"{folder} is not a folder: make it, or name the one for changes")
        try:
            for name in (_DONE, _FAILED):
                os.close(self._open_subfolder(name))
            for place in (folder, folder / _DONE, folder / _FAILED):
                if not os.access(place, os.W_OK | os.X_OK):
                    raise PermissionError(errno.EACCES, f"{place} is read-only")
        except OSError as error:
            raise CatalogueError(
                f"files of {folder} can't be moved to {_DONE}/ and {_FAILED}/ in it ({error.strerror}): let "
                "the indexer write there, or index the files one by one"
            ) from error

    def next_complete(self) -> CatalogueFile | None:
        """Return the next complete file that was not returned before. Raises OSError."""
        now = time.monotonic()
        since: dict[str, tuple[_FileState, float]] = {}
        catalogues: dict[str, CatalogueFile] = {}
        for path in sorted(self._path.iterdir()):
            with suppress(FileNotFoundError):  # removed meanwhile
                if catalogue := self._open(path):
                    state = _FileState.read(path)
                    before = self._since.get(path.name)
                    since[path.name] = before if before and before[0] == state else (state, now)
                    catalogues[path.name] = catalogue
        self._since = since
        self._given = {name: state for name, state in self._given.items() if name in since}
        waiting = [name for name, (state, _) in since.items() if self._given.get(name) != state]
        self.growing = ""
        if waiting:
            state, first_seen = since[waiting[0]]
            if now - first_seen >= self._settle_seconds:
                self._given[waiting[0]] = state
                return catalogues[waiting[0]]
            self.growing = waiting[0]
        return None

    def stream(self, catalogue: CatalogueFile) -> ChangeStream:
        """Return the change stream of a file that `next_complete` returned."""
        path, state = catalogue.path, self._given[catalogue.path.name]
        return ChangeStream(
            catalogue,
            on_ack=lambda: self._move_to_done(path, state),
            on_nack=lambda error: self._move_to_failed(path, error),
        )

    def _open(self, path: Path) -> CatalogueFile | None:
        if path.name.startswith(".") or path.suffix.lower() in _UNFINISHED:
            return None
        status = path.lstat()
        if stat.S_ISDIR(status.st_mode):
            return None
        try:
            if not stat.S_ISREG(status.st_mode):
                raise CatalogueError(f"{path} is a link or a device, and only regular files are read")
            if status.st_nlink > 1:
                raise CatalogueError(f"{path} has a second name (a hard link): copy it instead")
            if not has_known_suffix(path):
                raise CatalogueError(
                    f"{path} is not a catalogue file: its name must end in {', '.join(SUFFIXES)}"
                )
            return open_catalogue(path, self._options, follow_links=False)
        except CatalogueError as error:
            if path.name not in self._passed_over:
                self._passed_over.add(path.name)
                self._say(f"passed over: {error}")
            return None

    def _move_to_done(self, path: Path, state: _FileState) -> None:
        try:
            if _FileState.read(path) != state:
                self._say(f"{path} was written again meanwhile: its new contents are read next")
                return
            self._move(path, _DONE)
        except FileNotFoundError:
            return  # its producer removed it
        except OSError as error:
            raise CatalogueError(
                f"{path} was applied but can't be moved to {_DONE}/: {error.strerror or error}"
            ) from error

    def _move_to_failed(self, path: Path, error: AttuneError) -> None:
        try:
            name = self._move(path, _FAILED, reason=f"{error}\n")
        except FileNotFoundError:
            self._say(f"{error}; it was removed meanwhile")
            return
        except OSError as problem:
            raise CatalogueError(
                f"{error} (and it can't be moved to {_FAILED}/: {problem.strerror or problem})"
            ) from error
        self._say(f"moved to {self._path / _FAILED / name}: {error}")

    def _move(self, path: Path, subfolder: str, reason: str = "") -> str:
        """Move a file into a subfolder, to a name that is free there. Return the name. Raises OSError."""
        path.lstat()
        target = self._open_subfolder(subfolder)
        try:
            name = _create_first_free(path.name, target)
            try:
                os.rename(path, name, dst_dir_fd=target)
            except OSError:
                os.unlink(name, dir_fd=target)
                raise
            if reason:
                _create_first_free(f"{name}.reason.txt", target, reason)
            return name
        finally:
            os.close(target)

    def _open_subfolder(self, name: str) -> int:
        """Return the descriptor of a subfolder, made where it is missing. Raises OSError for a link."""
        folder = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with suppress(FileExistsError):
                os.mkdir(name, dir_fd=folder)
            return os.open(name, _DIRECTORY, dir_fd=folder)
        finally:
            os.close(folder)


def _create_first_free(name: str, folder: int, text: str = "") -> str:
    """Create a file where none is: a.csv.gz, else a.2.csv.gz and so on. Return its name. Raises OSError."""
    stem, dot, ending = name.partition(".")
    for free in itertools.chain([name], (f"{stem}.{number}{dot}{ending}" for number in itertools.count(2))):
        try:
            file = os.open(free, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666, dir_fd=folder)
        except FileExistsError:
            continue
        with os.fdopen(file, "w", encoding="utf-8", errors="backslashreplace") as opened:
            opened.write(text)
        return free
    raise AssertionError("the numbers do not end")
