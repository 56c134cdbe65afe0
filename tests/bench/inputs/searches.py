"""Searches over HTTP, and the ids that answer them."""

import requests

from mappings.types import JsonObject


def send_search(session: requests.Session, base: str, body: JsonObject) -> JsonObject:
    """Return the answer to a search of the index at a URL. Raises requests.HTTPError where it is refused."""
    response = session.post(f"{base}/_search", json=body, timeout=60)
    response.raise_for_status()
    answer: JsonObject = response.json()
    return answer


def list_ids(answer: JsonObject) -> list[str]:
    """Return the ids of an answer's hits, in their order."""
    return [hit["_id"] for hit in answer["hits"]["hits"]]


def make_sample_query(seed: int) -> JsonObject:
    """Return the query that every document matches, in an order drawn by the seed."""
    return {"function_score": {"random_score": {"seed": seed, "field": "_seq_no"}}}
