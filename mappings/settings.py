"""Every setting, its default, and where its value came from: defaults < TOML file < environment.

A setting `key` in section `[section]` is overridden by the variable `ATTUNE_SECTION_KEY`
(`ATTUNE_SEARCH_WINDOW=50`). Unknown sections, keys and variables are refused by name, all at once.
"""

import dataclasses
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from mappings.errors import SettingsError

SECRETS = ("opensearch.password", "sidecar.api_keys", "database.url")
"""Settings that are never shown."""

ENV_PREFIX = "ATTUNE_"
ENV_CONFIG = "ATTUNE_CONFIG"
ENV_HOME = "ATTUNE_HOME"

_HOST = re.compile(r"(?:https?://)?(?:\*\.)?[a-z0-9-]+(?:\.[a-z0-9-]+)*(?::[0-9]{1,5})?", re.IGNORECASE)
"""A source that a Content-Security-Policy takes: no spaces, semicolons or paths."""


@dataclass(frozen=True)
class OpenSearchSettings:
    """Where the cluster is and who Attune's own commands are there."""

    url: str = "http://localhost:9200"
    user: str = ""
    password: str = ""
    ca_file: str = ""
    verify_certificates: bool = True
    client_certificate: str = ""
    client_key: str = ""
    timeout_seconds: float = 30.0


@dataclass(frozen=True)
class SidecarSettings:
    """The HTTP sidecar."""

    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    threads: int = 32
    deadline_ms: int = 500
    max_concurrent_reranks: int = 16
    max_body_bytes: int = 10_000_000
    max_documents: int = 1000
    tls_certificate: str = ""
    tls_key: str = ""
    client_ca: str = ""
    api_keys: str = ""
    log_format: str = "text"
    tracing_endpoint: str = ""


@dataclass(frozen=True)
class SearchSettings:
    """How candidates are gathered, fused and reranked."""

    alias: str = "products"
    window: int = 100
    fusion: str = "minmax"
    vector_weight: float = 0.4
    vector_weight_head: float = 0.4
    vector_weight_model: float = 0.3
    vector_weight_sentence: float = 0.5
    rrf_k: int = 60
    keyword_weight: float = 3.0
    relevance_weight: float = 1.0
    click_weight: float = 0.5
    purchase_weight: float = 0.5
    cache_seconds: float = 60.0


@dataclass(frozen=True)
class IndexSettings:
    """How the indexer writes."""

    engine: str = "lucene"
    vectors: str = "byte"
    shards: int = 1
    replicas: int = 0
    batch: int = 256
    keep_previous: int = 1
    min_share: float = 0.5
    retry_seconds: float = 300.0


@dataclass(frozen=True)
class DatabaseSettings:
    """A database that `attune index` reads: SQLAlchemy's URL, and how far each look goes back."""

    url: str = ""
    overlap_seconds: float = 60.0


@dataclass(frozen=True)
class ModelSettings:
    """The model folder; empty means the one shipped with Attune. `others` are more, separated by commas."""

    folder: str = ""
    others: str = ""
    threads: int = 0

    @property
    def other_folders(self) -> tuple[str, ...]:
        """Folders of the models that serve the indexes they encoded, beside the one of all other indexes."""
        return tuple(folder.strip() for folder in self.others.split(",") if folder.strip())


@dataclass(frozen=True)
class ClickSettings:
    """How a click log becomes training data: whose searches count, and how much evidence it takes."""

    actions: str = ""
    id_column: str = ""
    cart_counts: bool = True
    session_minutes: float = 30.0
    robot_searches_per_minute: int = 30
    robot_searches_per_day: int = 500
    burst_clicks: int = 5
    burst_seconds: float = 5.0
    min_searches: int = 10
    min_clients: int = 3
    min_clicks: int = 3
    min_examined: float = 5.0
    prior_strength: float = 5.0


@dataclass(frozen=True)
class PreviewSettings:
    """The search preview page at `/_attune/`; empty judgements are kept in the browser."""

    judgements: str = ""
    image_hosts: str = ""

    @property
    def images(self) -> tuple[str, ...]:
        """The hosts that the page may load product images from."""
        return tuple(host.strip() for host in self.image_hosts.split(",") if host.strip())


@dataclass(frozen=True)
class NodeSettings:
    """The embedded OpenSearch node (`attune up`)."""

    home: str = ""
    heap: str = "1g"


@dataclass(frozen=True)
class Settings:
    """All settings. `origins` maps `section.key` to where its value came from."""

    opensearch: OpenSearchSettings = field(default_factory=OpenSearchSettings)
    sidecar: SidecarSettings = field(default_factory=SidecarSettings)
    search: SearchSettings = field(default_factory=SearchSettings)
    index: IndexSettings = field(default_factory=IndexSettings)
    database: DatabaseSettings = field(default_factory=DatabaseSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    clicks: ClickSettings = field(default_factory=ClickSettings)
    preview: PreviewSettings = field(default_factory=PreviewSettings)
    node: NodeSettings = field(default_factory=NodeSettings)
    origins: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def rows(self) -> Iterator[tuple[str, object, str]]:
        """Yield (`section.key`, value, origin) for every setting, passwords and keys masked."""
        for section in _sections():
            for key in fields(getattr(self, section)):
                name = f"{section}.{key.name}"
                value = getattr(getattr(self, section), key.name)
                shown = "***" if name in SECRETS and value else value
                yield name, shown, self.origins.get(name, "default")

    def as_environment(self) -> dict[str, str]:
        """Return the variables that give another process these settings, passwords included."""
        return {
            f"{ENV_PREFIX}{section}_{key.name}".upper(): str(getattr(getattr(self, section), key.name))
            for section in _sections()
            for key in fields(getattr(self, section))
        }


def load_settings(path: Path | None, environment: Mapping[str, str]) -> Settings:
    """Settings from defaults, then the TOML file, then the environment.

    `path` is the `--config` option; without it `ATTUNE_CONFIG` names the file, if any.
    Raises SettingsError naming every unknown or ill-typed setting at once.
    """
    if path is None and environment.get(ENV_CONFIG):
        path = Path(environment[ENV_CONFIG])
    values: dict[str, tuple[object, str]] = {}
    errors: list[str] = []
    known = {
        f"{section}.{key.name}": type(key.default)
        for section, kind in _sections().items()
        for key in fields(kind)
    }
    for name, value in _from_file(path):
        _take(name, value, str(path), known, values, errors)
    by_variable = {ENV_PREFIX + name.replace(".", "_").upper(): name for name in known}
    for variable, text in environment.items():
        if not variable.startswith(ENV_PREFIX) or variable in (ENV_CONFIG, ENV_HOME):
            continue
        name = by_variable.get(variable, "")
        if not name:
            errors.append(f"environment variable {variable} is no setting of Attune")
            continue
        _take(name, _parsed(text, known[name]), f"environment {variable}", known, values, errors)
    if errors:
        raise SettingsError("; ".join(errors) + ". `attune config` lists every setting.")
    sections = {
        section: kind(
            **{
                key.name: values[f"{section}.{key.name}"][0]
                for key in fields(kind)
                if f"{section}.{key.name}" in values
            }
        )
        for section, kind in _sections().items()
    }
    settings = Settings(**sections, origins={name: origin for name, (_, origin) in values.items()})
    _check_ranges(settings)
    return settings


def attune_home(environment: Mapping[str, str]) -> Path:
    """Folder of downloads and node data: `ATTUNE_HOME`, else `~/.attune`, for root `/var/lib/attune`.

    Root's own folder is closed to the unprivileged user that the node runs as.
    """
    if environment.get(ENV_HOME):
        return Path(environment[ENV_HOME])
    return Path.home() / ".attune" if os.geteuid() else Path("/var/lib/attune")


def _sections() -> dict[str, Any]:
    return {
        f.name: f.default_factory
        for f in fields(Settings)
        if f.default_factory not in (dataclasses.MISSING, dict)
    }


def _from_file(path: Path | None) -> Iterator[tuple[str, object]]:
    if path is None:
        return
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SettingsError(f"configuration file {path} does not exist") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"configuration file {path} can't be read: {error}") from error
    for section, table in document.items():
        if isinstance(table, dict):
            for key, value in table.items():
                yield f"{section}.{key}", value
        else:
            yield section, table


def _take(
    name: str,
    value: object,
    origin: str,
    known: Mapping[str, type],
    values: dict[str, tuple[object, str]],
    errors: list[str],
) -> None:
    wanted = known.get(name)
    if wanted is None:
        errors.append(f"{origin}: unknown setting {name}")
        return
    if wanted is float and type(value) is int:
        value = float(value)
    if type(value) is not wanted:
        errors.append(f"{origin}: {name} must be {wanted.__name__}, not {value!r}")
        return
    values[name] = (value, origin)


def _parsed(text: str, wanted: type) -> object:
    if wanted is bool:
        return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)
    try:
        return wanted(text)
    except ValueError:
        return text


def _check_ranges(settings: Settings) -> None:
    wrong: list[str] = []
    if not 1 <= settings.search.window <= 1000:
        wrong.append("search.window must be between 1 and 1000")
    if settings.search.fusion not in ("minmax", "rrf"):
        wrong.append('search.fusion must be "minmax" or "rrf"')
    for key in ("vector_weight", "vector_weight_head", "vector_weight_model", "vector_weight_sentence"):
        if not 0.0 <= getattr(settings.search, key) <= 1.0:
            wrong.append(f"search.{key} must be between 0 and 1")
    if not 1 <= settings.search.rrf_k <= 10_000:
        wrong.append("search.rrf_k must be between 1 and 10000")
    for key in ("keyword_weight", "relevance_weight", "click_weight", "purchase_weight"):
        if getattr(settings.search, key) < 0:
            wrong.append(f"search.{key} must not be negative")
    if not settings.search.relevance_weight + settings.search.click_weight + settings.search.purchase_weight:
        wrong.append("one of search.relevance_weight, click_weight and purchase_weight must be above 0")
    if not 0 <= settings.search.cache_seconds <= 3600:
        wrong.append("search.cache_seconds must be between 0 and 3600")
    if settings.index.engine not in ("lucene", "faiss"):
        wrong.append('index.engine must be "lucene" or "faiss"')
    if settings.index.vectors not in ("byte", "float"):
        wrong.append('index.vectors must be "byte" or "float"')
    elif settings.index.vectors == "byte" and settings.index.engine == "faiss":
        wrong.append('index.vectors = "byte" needs index.engine = "lucene"; for faiss set it to "float"')
    if settings.database.overlap_seconds < 0:
        wrong.append("database.overlap_seconds must not be negative")
    if not 0.0 <= settings.index.min_share <= 1.0:
        wrong.append("index.min_share must be between 0 and 1")
    for key in ("keep_previous", "retry_seconds"):
        if getattr(settings.index, key) < 0:
            wrong.append(f"index.{key} must not be negative")
    if settings.sidecar.deadline_ms < 1:
        wrong.append("sidecar.deadline_ms must be at least 1")
    if "@" in settings.opensearch.url.split("://")[-1].partition("/")[0]:
        # It would be shown wherever the cluster's address is.
        wrong.append("opensearch.url must hold no name or password: set opensearch.user and .password")
    if settings.sidecar.log_format not in ("text", "json"):
        wrong.append('sidecar.log_format must be "text" or "json"')
    for key in ("tls_key", "client_ca"):
        if getattr(settings.sidecar, key) and not settings.sidecar.tls_certificate:
            wrong.append(f"sidecar.{key} needs sidecar.tls_certificate")
    if settings.opensearch.client_key and not settings.opensearch.client_certificate:
        wrong.append("opensearch.client_key needs opensearch.client_certificate")
    if not all(map(_HOST.fullmatch, settings.preview.images)):
        wrong.append(
            "preview.image_hosts must be hosts such as cdn.example.com, *.example.com or https://img.example.com"
        )
    if settings.preview.judgements.endswith(".gz"):
        wrong.append("preview.judgements is written to, so it must not be compressed (.gz)")
    if settings.clicks.prior_strength <= 0:
        wrong.append("clicks.prior_strength must be above 0")
    for name in (
        "sidecar.workers",
        "sidecar.threads",
        "sidecar.max_documents",
        "index.shards",
        "index.batch",
    ):
        section, key = name.split(".")
        if getattr(getattr(settings, section), key) < 1:
            wrong.append(f"{name} must be at least 1")
    if wrong:
        raise SettingsError("; ".join(wrong))
