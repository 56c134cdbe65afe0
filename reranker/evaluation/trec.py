"""Files that others measure search by, in TREC's forms: runs, qrels, and the texts of query ids.

    run       query-id Q0 product-id rank score tag
    qrels     query-id 0 product-id grade
    queries   query-id<TAB>text

A query id may be the query's text, spaces and all: the other columns are told from the line's end.
"""

import gzip
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from mappings.errors import EvaluationError, LabelsError
from mappings.types import Judgement
from reranker.evaluation.judgements import GRADES, normalise_query


def read_queries(path: Path) -> dict[str, str]:
    """Read query id → text. Raises EvaluationError with the line's number."""
    texts: dict[str, str] = {}
    for number, line in _lines(path):
        query_id, tab, text = line.partition("\t")
        if not (tab and query_id.strip() and text.strip()):
            raise EvaluationError(f"{path}: line {number} is not QUERY-ID<TAB>TEXT")
        texts[query_id.strip()] = " ".join(text.split())
    return texts


def read_qrels(path: Path, texts: Mapping[str, str]) -> list[Judgement]:
    """Read judgements in TREC's qrels form; a grade below 0 (spam) counts as 0.

    `texts` maps query ids to texts; where it is empty the ids are the texts. Raises LabelsError with the
    line's number.
    """
    judgements = []
    for number, line in _lines(path):
        cells = line.rsplit(None, 3)
        if len(cells) != 4 or not cells[3].removeprefix("-").isdigit():
            raise LabelsError(f"{path}: line {number} is not QUERY-ID 0 PRODUCT-ID GRADE")
        grade = max(int(cells[3]), 0)
        if grade not in GRADES:
            raise LabelsError(f"{path}: line {number} has grade {grade}: grades are 0 to {GRADES[-1]}")
        judgements.append(Judgement(_text(cells[0].strip(), texts, path, number), cells[2], grade))
    if not judgements:
        raise LabelsError(f"{path} holds no judgement")
    return judgements


def read_run(path: Path, texts: Mapping[str, str]) -> dict[str, list[str]]:
    """Read a TREC run: `normalise_query` of each query → product ids, best first.

    The scores decide and the ranks don't, and of equal scores the greater id comes first: so trec_eval does.
    `texts` is as for `read_qrels`. Raises EvaluationError with the line's number.
    """
    scored: dict[str, dict[str, float]] = {}
    for number, line in _lines(path):
        cells = line.rsplit(None, 5)
        try:
            query, _, product_id, _, score, _ = cells
            value = float(score)
        except ValueError as error:
            raise EvaluationError(
                f"{path}: line {number} is not QUERY-ID Q0 PRODUCT-ID RANK SCORE TAG"
            ) from error
        hits = scored.setdefault(normalise_query(_text(query.strip(), texts, path, number)), {})
        if product_id in hits:
            raise EvaluationError(f"{path}: line {number} ranks product {product_id} a second time")
        hits[product_id] = value
    if not scored:
        raise EvaluationError(f"{path} holds no ranking")
    return {query: sorted(hits, key=lambda i: (hits[i], i), reverse=True) for query, hits in scored.items()}


def _text(query_id: str, texts: Mapping[str, str], path: Path, number: int) -> str:
    if not texts:
        return query_id
    if query_id not in texts:
        raise EvaluationError(f"{path}: line {number} has query id {query_id}, which --queries does not list")
    return texts[query_id]


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield number and text of each line that is not blank."""
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix.lower() == ".gz" else data).decode("utf-8-sig")
    except FileNotFoundError as error:
        raise EvaluationError(f"{path} does not exist") from error
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise EvaluationError(f"{path} can't be read as UTF-8 text: {error}") from error
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield number, line
