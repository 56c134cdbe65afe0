"""`attune train --images`: the way from pictures to texts, from an index that has both."""

import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from opensearchpy import OpenSearch

from indexer.attach.shop_index import read_attachment
from indexer.store.alias import PICTURES, AliasIndexes
from indexer.store.bulk import split_chunks
from indexer.store.retry import RetryPolicy
from indexer.store.scan import scan_documents
from mappings import fields
from mappings.errors import SettingsError
from mappings.settings import Settings
from mappings.types import JsonObject
from reranker.encoders.codec import normalise
from reranker.model import load_model
from reranker.pictures.encoder import CONFIG, NAMES, PROJECTION, TOWER, PictureEncoder, load_picture_encoder
from reranker.pictures.fitting import ProjectionReport, fit_projection
from reranker.pictures.projection import read_projection
from reranker.types import Floats

_BATCH = 256
_WITH_PICTURES: JsonObject = {"exists": {"field": fields.PICTURE}}


def train_pictures(
    client: OpenSearch, alias: str, out: Path, base: Path | None, settings: Settings, seed: int
) -> ProjectionReport:
    """Write a folder for `pictures.folder`: the tower, and the projection trained on an index's pairs.

    Nothing is written where training did not beat what there was. `base` is the model of the index, None for
    the shipped one. Raises SettingsError for an index without pictures, or of another tower or model,
    LabelsError for too few pairs, and ModelError.
    """
    encoder = load_picture_encoder(Path(settings.pictures.folder) if settings.pictures.folder else None)
    model = load_model(base)
    if out.exists() and any(out.iterdir()):
        raise SettingsError(f"{out} is not empty: name another folder by --out")
    retry = RetryPolicy(settings.index.retry_seconds)
    index, made_with, text_model = _find_index(client, alias, retry)
    if made_with != encoder.version:
        what = f"was made with picture tower {made_with}" if made_with else "has no pictures"
        raise SettingsError(
            f"{alias} {what}: `attune index --images`, or `attune attach --images` for a shop's own index, "
            f"encodes them with tower {encoder.version}"
        )
    if text_model != model.version:
        raise SettingsError(
            f"{alias} was made with model {text_model}, this one is {model.version}: name "
            "its folder by --base"
        )
    pairs = _read_pairs(client, index, retry)
    before = read_projection(encoder.folder / PROJECTION)
    learnt, report = fit_projection(pairs, model.text_space, before, seed)
    if report.is_better:
        _copy_tower(encoder, out)
        learnt.save(out / PROJECTION)
    return report


def describe_projection(report: ProjectionReport, out: Path) -> tuple[dict[str, Any], str]:
    """Return the report for programs and for people."""
    outcome = (
        f"Of {report.aside:,} pictures kept aside, {report.recall:.0%} find their text among the nearest ten "
        f"(before {report.before:.0%}, by chance {report.chance:.0%}); trained on "
        f"{report.pairs - report.aside:,} pairs."
    )
    done = (
        f'Search with it: pictures.folder = "{out}"'
        if report.is_better
        else "That is not better beyond chance: nothing was written, and what there was stays."
    )
    return asdict(report), f"{outcome}\n{done}"


def _find_index(client: OpenSearch, alias: str, retry: RetryPolicy) -> tuple[str, str, str]:
    """Return the index behind a name, the version of its picture tower, and that of its text model."""
    if attached := retry.call(f"looking up {alias}", lambda: read_attachment(client, alias)):
        return alias, attached.pictures.tower if attached.pictures else "", attached.model
    live = AliasIndexes(client, alias, retry).find_live()
    return (live.name, live.metadata.get(PICTURES, ""), live.model) if live else (alias, "", "")


def _read_pairs(client: OpenSearch, index: str, retry: RetryPolicy) -> Iterator[tuple[Floats, Floats]]:
    """Yield batches of the vectors of products' pictures (n, d) and texts (n, t), of unit length."""
    documents = scan_documents(client, index, _WITH_PICTURES, retry)
    for chunk in split_chunks(documents, _BATCH):
        own = [document.attune for document in chunk]
        x = normalise(np.array([each["picture"] for each in own], np.float32))
        y = normalise(np.array([each["vector"] for each in own], np.float32))
        yield x, y


def _copy_tower(encoder: PictureEncoder, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name in (CONFIG, TOWER, NAMES):
        if (encoder.folder / name).is_file():
            shutil.copyfile(encoder.folder / name, out / name)
