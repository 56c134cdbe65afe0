"""Reads the settings: defaults first, then those of the domain, the TOML file, and the environment.

A setting `key` in the table `[section]` is overridden by the variable `ATTUNE_SECTION_KEY`, for example
`ATTUNE_SEARCH_WINDOW=50`. Everything that is wrong is reported at once.
"""

import math
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path

import msgspec

from mappings.domains import SHOP_DOMAIN, load_domain
from mappings.domains.domain import find_settings
from mappings.errors import SettingsError
from mappings.settings.listing import Setting, list_settings
from mappings.settings.sections import ENV_PREFIX, SECRETS, SECTIONS, Settings
from mappings.settings.variants import apply_variant, list_variants

ENV_CONFIG = "ATTUNE_CONFIG"
ENV_HOME = "ATTUNE_HOME"

_DOMAIN = "domain.name"

_NEAR_VARIABLE = 0.85
"""Likeness, 0..1, from which a variable counts as a misspelt setting. Others belong to other programs."""

_NEAR_KEY = 0.6
"""Likeness, 0..1, from which a known key is proposed for an unknown one in the file."""


def load_settings(path: Path | None, environment: Mapping[str, str], domain: str = "") -> Settings:
    """Return the settings from defaults, the domain, the TOML file and the environment, the last one winning.

    `path` is the `--config` option; without it `ATTUNE_CONFIG` names the file, if any. `domain` is the option
    `--domain`, which wins over the setting `domain.name`. Raises SettingsError that names every unknown key,
    misspelt variable and value that is not allowed.
    """
    if path is None and environment.get(ENV_CONFIG):
        path = Path(environment[ENV_CONFIG])
    known = {setting.name: setting for setting in list_settings()}
    values: dict[str, object] = {}
    origins: dict[str, str] = {}
    errors: list[str] = []
    given = dict(_read_file(path))
    if domain:
        given[_DOMAIN] = domain
        environment = {name: text for name, text in environment.items() if name != known[_DOMAIN].variable}
    chosen = load_domain(str(environment.get(known[_DOMAIN].variable) or given.get(_DOMAIN) or SHOP_DOMAIN))
    for name, value in find_settings(chosen).items():
        if name not in known:
            errors.append(f"domain {chosen.name}: {_unknown_key(name, known)}")
            continue
        origins[name] = f"domain {chosen.name}"
        values[name] = value
    for name, value in given.items():
        if name in known:
            origins[name], values[name] = str(path), value
        else:
            errors.append(f"{path}: {_unknown_key(name, known)}")
    by_variable = {setting.variable: setting.name for setting in known.values()}
    for variable, text in environment.items():
        if variable in by_variable:
            name = by_variable[variable]
            origins[name], values[name] = f"environment {variable}", text
        elif near := _near_variable(variable, by_variable):
            errors.append(f"environment {variable} is not a setting; did you mean {near}?")
    for name in list(values):
        try:
            from_text = origins[name].startswith("environment ")
            values[name] = _convert(known[name], values[name], from_text)
        except ValueError as error:
            errors.append(f"{origins[name]}: {error}")
    if errors:
        raise SettingsError("; ".join(errors) + " (how to set them: `attune config --help`)")
    settings = Settings(
        **{
            section: kind(
                **{
                    key: value
                    for name, value in values.items()
                    for owner, _, key in [name.partition(".")]
                    if owner == section
                }
            )
            for section, kind in SECTIONS.items()
        },
        origins=origins,
    )
    conflicts = list(_conflicts(settings))
    if conflicts:
        raise SettingsError("; ".join(conflicts))
    return settings


def attune_home(environment: Mapping[str, str]) -> Path:
    """Return the folder of downloads and node data: `ATTUNE_HOME`, else `~/.attune`.

    For root it is `/var/lib/attune`: the node runs as an unprivileged user, who can't enter root's home.
    """
    if environment.get(ENV_HOME):
        return Path(environment[ENV_HOME])
    return Path.home() / ".attune" if os.geteuid() else Path("/var/lib/attune")


def _read_file(path: Path | None) -> Iterator[tuple[str, object]]:
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


def _convert(setting: Setting, value: object, from_text: bool) -> object:
    """Return the value in the setting's type. Raises ValueError that says what is allowed."""
    try:
        converted = msgspec.convert(value, setting.kind, strict=not from_text)
    except msgspec.ValidationError:
        converted = math.nan
    if isinstance(converted, float) and not math.isfinite(converted):
        shown = "" if setting.name in SECRETS else f", not {_without_password(repr(value))}"
        raise ValueError(f"{setting.name} must be {setting.allowed}{shown}")
    return converted


def _unknown_key(name: str, known: Mapping[str, Setting]) -> str:
    if name in SECTIONS:
        return f"{name} is a table: write [{name}] and its keys below"
    near = get_close_matches(name, known, 1, _NEAR_KEY) if "." in name else []
    near = near or [full for full in known if full.endswith(f".{name.rpartition('.')[2]}")]
    return f"unknown setting {name}" + (f"; did you mean {near[0]}?" if near else "")


def _near_variable(variable: str, known: Mapping[str, str]) -> str:
    """Return the variable of the setting that `variable` is a misspelling of; empty where there is none."""
    if not variable.startswith(ENV_PREFIX) or variable in (ENV_CONFIG, ENV_HOME):
        return ""
    names = {name.removeprefix(ENV_PREFIX): name for name in known}
    near = get_close_matches(variable.removeprefix(ENV_PREFIX), names, 1, _NEAR_VARIABLE)
    return names[near[0]] if near else ""


def _without_password(text: str) -> str:
    return re.sub(r"""[^/'"]*@""", "***@", text)


def _conflicts(settings: Settings) -> Iterator[str]:
    """Yield what is wrong with settings that are allowed by themselves, but not together."""
    search, index, sidecar, opensearch = (
        settings.search,
        settings.index,
        settings.sidecar,
        settings.opensearch,
    )
    if not any(search.head_weights):
        yield "one of search.relevance_weight, click_weight and purchase_weight must be above 0"
    if index.vectors == "byte" and index.engine == "faiss":
        yield 'index.vectors = "byte" needs index.engine = "lucene"; for faiss set it to "float"'
    if "@" in opensearch.url.split("://")[-1].partition("/")[0]:
        # The address is shown in messages, and a password with it.
        yield "opensearch.url must hold no name or password: set opensearch.user and opensearch.password"
    yield from _experiment_conflicts(settings)
    for key in ("tls_key", "client_ca"):
        if getattr(sidecar, key) and not sidecar.tls_certificate:
            yield f"sidecar.{key} needs sidecar.tls_certificate"
    if opensearch.client_key and not opensearch.client_certificate:
        yield "opensearch.client_key needs opensearch.client_certificate"


def _experiment_conflicts(settings: Settings) -> Iterator[str]:
    experiment = settings.experiment
    if not experiment.name:
        return
    if not settings.shoppers.key:
        yield "experiment.name needs shoppers.key, by which events are known to be of the experiment"
    try:
        variants = [apply_variant(text, settings.search) for text in list_variants(experiment).values()]
    except SettingsError as error:
        yield f"experiment.first or experiment.second: {error}"
        return
    if any(one in variants[:place] for place, one in enumerate(variants)):
        yield "experiment.first and experiment.second are the same settings: there is nothing to compare"
