"""Correct what was heard to names of the catalogue, where Whisper finds these likelier in the recording."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reranker.speech.nearby_phrases import list_nearby_phrases
from reranker.types import Floats
from reranker.understanding.spoken_hints import SpokenNames

_HYPOTHESES = 5
_HEARD, _NEARBY = 4, 12
"""Texts that are compared: as they were heard, and names that sound like them."""
_BATCH = 8
_BONUS = 2.0
"""Log-odds that somebody says a name of the catalogue before anything else that sounds as likely."""
_MIN_PROBABILITY = 0.04
"""Least mean probability of the tokens of a correction."""
_MOST_TOKENS = 24
_FRAMES_AFTER = 10
"""Frames of 20 ms after the recording that are looked at: the rest of Whisper's 30 s is silence."""


@dataclass(frozen=True, slots=True)
class Rescored:
    """The likeliest text. `probability` is the geometric mean of its tokens'."""

    text: str
    probability: float


def correct_by_names(
    model: Any, samples: Floats, language: str, heard: str, hints: str, names: SpokenNames
) -> Rescored | None:
    """Return a likelier name for a recording (n,), by a WhisperModel; None where `heard` stands.

    Further hypotheses are heard with and without `hints`. These and the names that sound most like them are
    scored by the probability that the model gives each, token by token, after the hints.
    """
    import ctranslate2
    from faster_whisper.audio import pad_or_trim
    from faster_whisper.tokenizer import Tokenizer

    tokenizer = Tokenizer(
        model.hf_tokenizer, model.model.is_multilingual, task="transcribe", language=language
    )
    features = model.feature_extractor(samples)
    encoded = model.encode(pad_or_trim(features))
    hint_tokens = tokenizer.encode(" " + hints)[: model.max_length // 2 - 1] if hints else []
    start = [*([tokenizer.sot_prev, *hint_tokens] if hints else []), *tokenizer.sot_sequence]
    prompts = (start, list(tokenizer.sot_sequence))
    texts = [
        _simplify(tokenizer.decode(tokens))
        for prompt in prompts
        for tokens in model.model.generate(
            encoded,
            [[*prompt, tokenizer.no_timestamps]],
            beam_size=_HYPOTHESES,
            num_hypotheses=_HYPOTHESES,
            max_length=len(prompt) + _MOST_TOKENS,
        )[0].sequences_ids
    ]
    plain = [text for text in dict.fromkeys([_simplify(heard), *texts]) if text]
    nearby = list_nearby_phrases(plain, names, _NEARBY)
    compared = list(dict.fromkeys([*plain[:_HEARD], *nearby]))
    frames = min(features.shape[-1] // 2 + _FRAMES_AFTER, encoded.shape[1])
    part = np.array(encoded.to(ctranslate2.DataType.float32))[:, :frames]

    # A comma ends each: the hints are a list, and a text that goes on in the recording lacks it.
    tokens = [tokenizer.encode(f" {text},") for text in compared]
    likely = _score(model.model, part, start, tokens)
    scores = [each + _BONUS * _is_name(text, names) for each, text in zip(likely, compared, strict=True)]
    best = int(np.argmax(scores))
    probability = math.exp(likely[best] / len(tokens[best]))
    is_better = compared[best] in nearby and compared[best] != _simplify(heard)
    return Rescored(compared[best], probability) if is_better and probability >= _MIN_PROBABILITY else None


def _is_name(text: str, names: SpokenNames) -> bool:
    """Return whether a text is a type of product, with or without a brand before it."""
    rests = (text.removeprefix(f"{brand} ") for brand in names.brands)
    return text in names.types or any(rest != text and rest in names.types for rest in rests)


def _score(model: Any, encoded: Floats, start: Sequence[int], tokens: list[list[int]]) -> list[float]:
    """Return the log probability of each text's tokens in a recording (1, frames, width)."""
    import ctranslate2

    scores: list[float] = []
    for first in range(0, len(tokens), _BATCH):
        batch = tokens[first : first + _BATCH]
        repeated = np.ascontiguousarray(np.repeat(encoded, len(batch), axis=0))
        view = ctranslate2.StorageView.from_array(repeated)
        aligned = model.align(view, list(start), batch, 2 * encoded.shape[1])
        scores += [float(np.log(np.maximum(each.text_token_probs, 1e-9)).sum()) for each in aligned]
    return scores


def _simplify(text: str) -> str:
    """Return a text in small letters, without punctuation."""
    return " ".join(re.sub(r"[^\w\s]", "", text.casefold().replace("-", " ")).split())
