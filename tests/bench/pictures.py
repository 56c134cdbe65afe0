"""Pictures as queries: emoji of one artist searched for among those of another.

    python -m tests.bench.pictures [--folder FOLDER]

OpenMoji (CC BY-SA 4.0) is the catalogue, names and tags its texts; a kind is Unicode's subgroup. Fluent emoji
(Microsoft, MIT) are the queries. Both come as npm packages, fetched into FOLDER where it lacks them, and are
rendered by resvg (extra `bench`). A query finds what it should where its own name, or a product of its
kind, is among the first ten. Training sees a random half of the catalogue, the other half never.

`catalogue without pictures`: only texts are compared. `half with pictures`: the trained half of products has
pictures, as in a shop that has photographed half of its goods. Beside each stand chance and a plain
alternative: histograms of colours for pictures, the names of the tower's classes alone for texts.
"""

import argparse
import csv
import io
import json
import re
import subprocess
import tarfile
import tempfile
import time
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import resvg_py
from PIL import Image

from mappings.settings import PictureSettings
from mappings.types import Product
from reranker import load_model
from reranker.encoders.codec import normalise
from reranker.pictures.encoder import TOWER, EncodedPicture, PictureEncoder, load_picture_encoder
from reranker.pictures.evidence import PictureScale, compute_picture_evidence
from reranker.pictures.fitting import fit_projection
from reranker.pictures.projection import PictureProjection, encode_names, open_projection
from reranker.pictures.reading import read_picture
from reranker.types import Floats

PACKAGES = ("openmoji@17.0.0", "@iconify-json/fluent-emoji@1.2.7")
GROUPS = ("animals-nature", "food-drink", "travel-places", "activities", "objects")
SIDE = 256
AT = 10
LEFT_OUT = 31
"""Seed of the split into halves."""


@dataclass(frozen=True)
class Emoji:
    """One thing that both artists drew, as files of PNG."""

    name: str
    kind: str
    tags: str
    drawing: bytes
    query: bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    if arguments.folder:
        print(json.dumps(measure(list(read_emoji(arguments.folder)))))
        return
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(list(read_emoji(Path(folder))))))


def read_emoji(folder: Path) -> Iterator[Emoji]:
    """Yield the emoji of things that both packages have."""
    openmoji, fluent = (fetch(package, folder) for package in PACKAGES)
    icons = json.loads((fluent / "icons.json").read_text())["icons"]
    with (openmoji / "data/openmoji.csv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            svg = openmoji / f"color/svg/{row['hexcode']}.svg"
            icon = icons.get(slug(row["annotation"]))
            if row["group"] not in GROUPS or row["skintone"] or icon is None or not svg.is_file():
                continue
            links = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
            drawn = f'<svg {links} viewBox="0 0 32 32">{icon["body"]}</svg>'
            yield Emoji(
                row["annotation"], row["subgroups"], row["tags"], render(svg.read_text()), render(drawn)
            )


def fetch(package: str, folder: Path) -> Path:
    """Return the folder of an npm package, fetched where it is not there yet."""
    target = folder / re.sub(r"\W+", "-", package)
    if not target.is_dir():
        packed = subprocess.run(
            ["npm", "pack", "--silent", package], cwd=folder, capture_output=True, text=True, check=True
        )
        with tarfile.open(folder / packed.stdout.strip().splitlines()[-1]) as archive:
            archive.extractall(target, filter="data")
    return target / "package"


def slug(name: str) -> str:
    ascii_name = unicodedata.normalize("NFKD", name.lower()).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_name.replace("'", "")).strip("-")


def render(svg: str) -> bytes:
    """Return an SVG as a PNG on white."""
    data = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=SIDE, height=SIDE))
    image = Image.open(io.BytesIO(data)).convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image)
    file = io.BytesIO()
    white.convert("RGB").save(file, "PNG")
    return file.getvalue()


def measure(emoji: Sequence[Emoji]) -> dict[str, Any]:
    encoder, model = load_picture_encoder(), load_model(threads=1)
    drawings, _ = encode(encoder, [each.drawing for each in emoji])
    queries, milliseconds = encode(encoder, [each.query for each in emoji])
    products = [Product(str(n), title=each.name, description=each.tags) for n, each in enumerate(emoji)]
    texts = np.stack([encoded.vector for encoded in model.encode_products(products)])
    pictures = np.stack([each.vector for each in drawings])
    asked = np.stack([each.vector for each in queries])
    trained = np.random.default_rng(LEFT_OUT).random(len(emoji)) < 0.5

    named = open_projection(encoder, model.encode_query, model.text_space, model.dimension)
    batches = [(pictures[trained], texts[trained])]
    learnt, report = fit_projection(batches, model.text_space, None, seed=1)
    names = encode_names(model.encode_query, encoder.class_names)
    both = PictureProjection(names, learnt, False)
    alone = PictureProjection(None, learnt, False)

    kinds = np.array([each.kind for each in emoji])
    found = Found(kinds, trained)
    alike = asked @ pictures.T
    half = np.where(trained[None], alike, np.nan)
    rows: dict[str, Any] = {
        "chance": found.rates(np.random.default_rng(1).random((len(emoji), len(emoji)))),
        "catalogue without pictures": {
            "names of classes": found.rates(near(named, queries, texts)),
            "trained": found.rates(near(alone, queries, texts)),
            "trained and names": found.rates(near(both, queries, texts)),
        },
        "half with pictures": {
            "before training": found.rates(weigh(half, near(named, queries, texts), named.slope)),
            "after training": found.rates(weigh(half, near(both, queries, texts), both.slope)),
        },
        "all with pictures": {
            "colour histograms": found.rates(compare_colours(emoji)),
            "tower": found.rates(alike),
            "search after training": found.rates(weigh(alike, near(both, queries, texts), both.slope)),
        },
    }
    return {
        "emoji": len(emoji),
        "kinds": len(set(kinds)),
        "trained_on": int(trained.sum()),
        "ridge": report.ridge,
        "tower_bytes": (encoder.folder / TOWER).stat().st_size,
        "milliseconds_one_core": {
            "p50": round(float(np.median(milliseconds)), 1),
            "p95": round(float(np.quantile(milliseconds, 0.95)), 1),
        },
        "in_the_first_ten": rows,
    }


@dataclass(frozen=True)
class Found:
    """Rates at which queries find their kind and their own name among the first ten."""

    kinds: np.ndarray
    trained: np.ndarray

    def rates(self, scores: np.ndarray) -> dict[str, dict[str, float]]:
        best = np.argsort(-scores, axis=1)[:, :AT]  # (n, 10)
        kind = (self.kinds[best] == self.kinds[:, None]).any(1)
        own = (best == np.arange(len(best))[:, None]).any(1)
        groups = {"never trained on": ~self.trained, "trained on": self.trained}
        return {
            name: {"kind": round(float(kind[of].mean()), 3), "own": round(float(own[of].mean()), 3)}
            for name, of in groups.items()
        }


def encode(encoder: PictureEncoder, files: Sequence[bytes]) -> tuple[list[EncodedPicture], list[float]]:
    """Encode files one by one, as queries come, and return the milliseconds of each."""
    encoded, milliseconds = [], []
    for file in files:
        began = time.perf_counter()
        encoded += encoder.encode([read_picture(file, encoder.config.size, PictureSettings())])
        milliseconds.append(1000 * (time.perf_counter() - began))
    return encoded, milliseconds


def near(projection: PictureProjection, pictures: Sequence[EncodedPicture], texts: Floats) -> Floats:
    """Return the cosines (n, n) of pictures' places among texts and the texts."""
    places = [projection.place(picture) for picture in pictures]
    return np.stack([place for place in places if place is not None]) @ texts.T


def weigh(alike: np.ndarray, words: np.ndarray, slope: float) -> np.ndarray:
    """Return what both features add to each product's log-odds (n, n), as a search does."""
    rows = zip(alike.astype(np.float32), words.astype(np.float32), strict=True)
    return np.stack(
        [sum(compute_picture_evidence(a, w, PictureScale(words_slope=slope), 1.0).values()) for a, w in rows]
    )


def compare_colours(emoji: Sequence[Emoji]) -> np.ndarray:
    """Return the cosines (n, n) of histograms of 4 x 4 x 4 colours: the plain alternative."""
    sides = []
    for files in ([each.query for each in emoji], [each.drawing for each in emoji]):
        counts = []
        for file in files:
            pixels = np.asarray(Image.open(io.BytesIO(file)).resize((64, 64))).reshape(-1, 3) // 64
            codes = pixels[:, 0] * 16 + pixels[:, 1] * 4 + pixels[:, 2]
            histogram = np.bincount(codes, minlength=64).astype(np.float32)
            histogram[-1] = 0  # white is the background
            counts.append(np.sqrt(histogram))
        sides.append(normalise(np.stack(counts)))
    return sides[0] @ sides[1].T


if __name__ == "__main__":
    main()
