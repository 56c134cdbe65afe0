"""Cases of all that stands beside the query: which hits, what they show, what comes beside them."""

from tests.integration.search.case import LAPTOP, TARGUS, Case, Outcome, asked, asking, in_url

LIMITS, HITS, BESIDE = "Which hits", "What a hit shows", "What comes beside the hits"
W, R, P, S, E = Outcome.WIDENED, Outcome.REORDERED, Outcome.PLAIN, Outcome.SORTED, Outcome.REFUSED
BAGS = {"multi_match": {"query": "laptop", "fields": ["title", "description"]}}
NAMED = {"match": {"title": {"query": "laptop", "_name": "words"}}}
BY_BRAND = {"terms": {"field": "brand.keyword", "size": 20}}
DERIVED = {"cents": {"type": "long", "script": {"source": "emit(Math.round(doc['price'].value * 100))"}}}
OFFERS = {"path": "offers", "query": {"exists": {"field": "offers.price"}}, "inner_hits": {"size": 2}}

ANSWERS = (
    asked(
        LIMITS,
        "`post_filter`",
        W,
        post_filter=TARGUS,
        aggs={"brands": BY_BRAND},
        shows=("aggregations",),
        allowed=TARGUS,
    ),
    asked(LIMITS, "`min_score`", R, BAGS, min_score=1.5),
    asked(LIMITS, "`terminate_after`", R, terminate_after=10),
    asked(LIMITS, "`timeout`", W, timeout="5s"),
    asked(LIMITS, "`indices_boost`", W, indices_boost=[{"products": 2}]),
    asked(
        LIMITS,
        "`derived` fields (runtime fields) in the query",
        W,
        {"bool": {"must": [LAPTOP], "filter": [{"range": {"cents": {"lt": 5000}}}]}},
        derived=DERIVED,
        fields=["cents"],
        shows=("hit.fields",),
    ),
    Case(LIMITS, "`runtime_mappings`", E, asking(LAPTOP, runtime_mappings={}), parsed=False),
    Case(HITS, "`_source` by default", W, {"query": LAPTOP, "size": 200}, shows=("hit._source",)),
    asked(HITS, "`_source: false`", W, _source=False, lacks=("_source",)),
    asked(
        HITS,
        "`_source` with patterns",
        W,
        _source={"includes": ["t*", "price"], "excludes": ["title"]},
        shows=("hit._source",),
    ),
    in_url(
        HITS,
        "`_source_includes`, `_source_excludes` in the URL",
        W,
        _source_includes="t*,brand",
        _source_excludes="brand",
    ),
    asked(
        HITS,
        "`fields`",
        W,
        fields=["price", "brand*"],
        _source=False,
        shows=("hit.fields",),
        lacks=("_source",),
    ),
    asked(
        HITS,
        "`docvalue_fields`",
        W,
        docvalue_fields=["brand.keyword", {"field": "price", "format": "0.0"}],
        shows=("hit.fields",),
    ),
    asked(
        HITS,
        "`docvalue_fields` with `explain`",
        W,
        docvalue_fields=["price"],
        explain=True,
        shows=("hit.fields", "hit._explanation"),
    ),
    Case(
        HITS,
        "`stored_fields`",
        W,
        {"query": LAPTOP, "size": 200, "stored_fields": ["title"]},
        lacks=("_source",),
    ),
    Case(
        HITS,
        "`stored_fields` with `_source`",
        W,
        {"query": LAPTOP, "size": 200, "stored_fields": ["_source"]},
        shows=("hit._source",),
    ),
    Case(
        HITS,
        "`script_fields`",
        W,
        {
            "query": LAPTOP,
            "size": 200,
            "script_fields": {"double": {"script": "doc['price'].size() == 0 ? 0 : doc['price'].value * 2"}},
        },
        shows=("hit.fields",),
        lacks=("_source",),
    ),
    asked(
        HITS,
        "`version`, `seq_no_primary_term`",
        W,
        version=True,
        seq_no_primary_term=True,
        shows=("hit._version", "hit._seq_no", "hit._primary_term"),
    ),
    asked(
        HITS,
        "`highlight`",
        W,
        BAGS,
        highlight={"fields": {"title": {}, "description": {"fragment_size": 40}}},
        shows=("hit.highlight",),
    ),
    asked(
        HITS,
        "`highlight` with a query of its own",
        W,
        highlight={"fields": {"title": {}}, "highlight_query": {"match": {"title": "notebook"}}},
        shows=("hit.highlight",),
    ),
    asked(
        HITS,
        "named queries",
        W,
        {
            "bool": {
                "must": NAMED,
                "should": [{"term": {"brand.keyword": {"value": "Targus", "_name": "brand"}}}],
            }
        },
        shows=("hit.matched_queries",),
    ),
    asked(
        HITS,
        "scores of named queries",
        R,
        NAMED,
        params={"include_named_queries_score": "true"},
        shows=("hit.matched_queries",),
    ),
    asked(
        HITS,
        "`explain`: of OpenSearch's own score, over the widened query",
        W,
        explain=True,
        shows=("hit._explanation",),
    ),
    asked(HITS, "`collapse`", W, collapse={"field": "brand.keyword"}, shows=("hit.fields",)),
    asked(
        HITS,
        "`collapse` with `inner_hits`",
        W,
        collapse={
            "field": "brand.keyword",
            "inner_hits": {"name": "more", "size": 3, "sort": ["price"], "_source": ["price"]},
        },
        shows=("hit.fields", "hit.inner_hits"),
    ),
    asked(
        HITS,
        "`inner_hits` of `nested`",
        W,
        {"bool": {"must": [LAPTOP], "filter": [{"nested": OFFERS}]}},
        path="/variants/_search",
        shows=("hit.inner_hits",),
    ),
    asked(
        BESIDE,
        "`aggs`: of all hits, those that vectors add too",
        W,
        aggs={
            "brands": {**BY_BRAND, "aggs": {"price": {"avg": {"field": "price"}}}},
            "all": {"global": {}, "aggs": {"n": {"value_count": {"field": "price"}}}},
        },
        shows=("aggregations",),
    ),
    asked(
        BESIDE,
        "`aggregations`, `top_hits`",
        W,
        aggregations={
            "brands": {**BY_BRAND, "aggs": {"top": {"top_hits": {"size": 1, "_source": ["title"]}}}}
        },
        shows=("aggregations",),
    ),
    asked(
        BESIDE,
        "`suggest`",
        W,
        suggest={
            "text": "labtop",
            "words": {"term": {"field": "title"}},
            "whole": {"phrase": {"field": "title"}},
        },
        shows=("suggest",),
    ),
    asked(
        BESIDE,
        "`suggest`, `completion`",
        W,
        suggest={"begun": {"prefix": "lap", "completion": {"field": "begin"}}},
        path="/variants/_search",
        shows=("suggest",),
    ),
    asked(BESIDE, "`profile`: of OpenSearch's part", W, profile=True, shows=("profile",)),
    asked(BESIDE, "`track_total_hits`: exact", W, track_total_hits=True),
    asked(BESIDE, "`track_total_hits`: a bound", W, track_total_hits=5),
    asked(BESIDE, "`track_total_hits: false`", W, track_total_hits=False),
    asked(BESIDE, "`stats`", W, stats=["shop"]),
    asked(BESIDE, "another `ext`", E, ext={"nobody": {}}, parsed=False),
    in_url(BESIDE, "`rest_total_hits_as_int`", W, rest_total_hits_as_int="true"),
    asked(
        BESIDE,
        "`typed_keys`",
        W,
        aggs={"brands": BY_BRAND},
        params={"typed_keys": "true"},
        shows=("aggregations",),
    ),
    in_url(
        BESIDE,
        "`filter_path`",
        S,
        "filter_path leaves out what reranking needs",
        filter_path="took,hits.hits._id",
    ),
    in_url(BESIDE, "`format=yaml`", S, "only searches answered in JSON are reranked", format="yaml"),
    in_url(BESIDE, "`pretty`", W, pretty="true"),
    in_url(BESIDE, "`human`, `error_trace`", R, human="true", error_trace="true"),
)
