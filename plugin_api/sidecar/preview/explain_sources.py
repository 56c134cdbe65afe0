"""What OpenSearch says of a hit that is to be explained, to the caller who sees it."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from mappings import fields
from mappings.errors import BadRequest
from mappings.types import JsonObject
from plugin_api.opensearch.client import OpenSearchClient, OpenSearchResponse
from plugin_api.search.pictures.tower import SearchedPicture
from plugin_api.search.query.keyword_query import keyword_query
from plugin_api.search.query.text import MAX_TEXT
from plugin_api.search.query.types import Options, SearchCall
from plugin_api.sidecar.preview.explain_picture import compare_with_picture


class ExplainRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which hit to explain, of which search.

    `index` is what was searched, `hit_index` the hit's own where an alias has several. `search` is the
    search's `query`, by default the keyword query that `attune search` asks; `options` its `ext.attune`,
    with the picture of a search by picture, whose `query` may be empty.
    """

    index: Annotated[str, Meta(min_length=1, max_length=1000)]
    id: Annotated[str, Meta(min_length=1, max_length=512)]
    query: Annotated[str, Meta(max_length=MAX_TEXT)]
    hit_index: str = ""
    search: dict[str, Any] | None = None
    options: Options = Options()

    def as_call(self, headers: Mapping[str, str]) -> SearchCall:
        """Return the search whose hit is explained, as its caller sent it."""
        search = self.search if self.search is not None else keyword_query(self.query)
        options = {"query": self.query, **msgspec.to_builtins(self.options)}
        if self.options.image:  # it may be larger than a search is
            options["image"] = "image"
        body = {"query": search, "ext": {fields.ATTUNE: options}}
        return SearchCall.of(self.index, json.dumps(body).encode("utf-8", "surrogatepass"), headers=headers)


class Refusal(Exception):
    """OpenSearch's own error, which the caller gets as it came."""

    def __init__(self, reply: OpenSearchResponse) -> None:
        super().__init__(f"OpenSearch answered {reply.status}")
        self.reply = reply


def gather_evidence(
    request: ExplainRequest,
    client: OpenSearchClient,
    headers: Mapping[str, str],
    timeout_seconds: float,
    numbers: Sequence[JsonObject],
    keyword: JsonObject,
    near: JsonObject,
    picture: SearchedPicture | None,
) -> tuple[JsonObject, JsonObject, JsonObject, JsonObject]:
    """Request in one round trip the product as this caller sees it, the keyword hits, the neighbours, and how
    alike its picture is.

    The product tells which of the clauses for `numbers` it matches. Raises Refusal, ClusterDown and
    TimeoutError.
    """
    filters: list[JsonObject] = [{"ids": {"values": [request.id]}}]
    if request.hit_index:
        filters.append({"term": {"_index": request.hit_index}})
    product_search = {
        "query": {"bool": {"filter": filters, "should": list(numbers)}},
        "size": 1,
        "_source": {"excludes": list(fields.HIDDEN)},
        "docvalue_fields": [fields.TOKENS, fields.MODEL, fields.FACTS, fields.POPULARITY_PRIOR],
    }
    bodies = [product_search, keyword, near]
    if picture and picture.is_comparable:
        bodies.append({"query": compare_with_picture(picture, filters), "size": 1, "_source": False})
    header = json.dumps({"index": request.index})
    lines = "".join(f"{header}\n{json.dumps(body)}\n" for body in bodies)
    sent = {**headers, "content-type": "application/x-ndjson"}
    answer = client.request(
        "POST", "/_msearch", sent, lines.encode("utf-8", "surrogatepass"), timeout_seconds
    )
    if answer.status != 200:
        raise Refusal(answer)
    responses: list[JsonObject] = msgspec.json.decode(answer.body)["responses"]
    for response in responses[:2]:  # an index without vectors has no neighbours, and can be explained
        if "error" in response:
            status = int(response.get("status", 400))
            body = msgspec.json.encode({"error": response["error"], "status": status})
            raise Refusal(
                OpenSearchResponse(status, (("content-type", "application/json; charset=UTF-8"),), body)
            )
    return responses[0], responses[1], responses[2], responses[3] if len(responses) > 3 else {}


def read_product_hit(request: ExplainRequest, answer: JsonObject) -> JsonObject:
    """Return the hit that is to be explained. Raises BadRequest where the caller is shown none."""
    hits: list[JsonObject] = answer["hits"]["hits"]
    if not hits:
        raise BadRequest(
            f"there is no product {request.id} in {request.index}, or none that you may see",
            "document_missing_exception",
        )
    return hits[0]


def list_hits(answer: JsonObject) -> list[JsonObject]:
    """Return the hits of an answer, none of an error."""
    hits: list[JsonObject] = answer.get("hits", {}).get("hits", [])
    return hits
