"""What the picture in a search adds to the score of one hit, by feature."""

from collections.abc import Sequence

import numpy as np

from mappings.types import JsonObject
from plugin_api.search.pictures.candidates import compute_words_cosines, near_picture, score_to_cosine
from plugin_api.search.pictures.tower import SearchedPicture
from reranker.encoders.codec import unpack_vectors
from reranker.explanation import Contribution
from reranker.pictures.evidence import PICTURE, PICTURE_WORDS, compute_picture_evidence


def compare_with_picture(picture: SearchedPicture, conditions: Sequence[JsonObject]) -> JsonObject:
    """Return the query that tells how alike the picture of one product is, which the conditions name."""
    return near_picture(picture.query.vector, 1, conditions)


def explain_picture(
    picture: SearchedPicture, hits: Sequence[JsonObject], stored: bytes | None
) -> list[Contribution]:
    """Return what a search's picture adds to a product's log-odds, by the features that the product has.

    `hits` is what `compare_with_picture` found, `stored` the product's vectors, None without any.
    """
    cosines: dict[str, float] = {}
    if hits:
        cosines[PICTURE] = score_to_cosine(float(hits[0]["_score"]))
    if picture.query.words is not None and stored is not None:
        near = compute_words_cosines(picture.query.words, unpack_vectors([stored]))
        cosines[PICTURE_WORDS] = float(near[0])
    scale = picture.query.scale
    evidence = compute_picture_evidence(
        np.array([cosines.get(PICTURE, np.nan)], np.float32),
        np.array([cosines[PICTURE_WORDS]], np.float32) if PICTURE_WORDS in cosines else None,
        scale,
        picture.weight,
    )
    typical = {PICTURE: scale.typical, PICTURE_WORDS: scale.typical_words}
    return [
        Contribution(name, cosine, typical[name], float(evidence[name][0]))
        for name, cosine in cosines.items()
    ]
