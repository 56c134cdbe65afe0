"""A stand-in for the speech model, and recordings for it."""

import struct

from reranker.speech.transcriber import Transcriber, Transcript
from reranker.types import Floats
from reranker.understanding.spoken_hints import SpokenNames


class Listener(Transcriber):
    """Understands what it was told to."""

    def __init__(self, text: str, uncorrected: str = "") -> None:
        self.text, self.uncorrected = text, uncorrected
        self.seconds = 0.0

    def transcribe(self, samples: Floats, hints: str = "", names: SpokenNames = SpokenNames()) -> Transcript:
        self.seconds = len(samples) / 16_000
        return Transcript(self.text, "en", 0.9, self.uncorrected)


def record(seconds: float = 1.0, level: int = 5000, rate: int = 8000) -> bytes:
    """A WAV file with a square wave."""
    samples = b"".join(
        struct.pack("<h", level if i // 20 % 2 else -level) for i in range(int(seconds * rate))
    )
    head = struct.pack(
        "<4sI4s4sIHHIIHH", b"RIFF", 36 + len(samples), b"WAVE", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16
    )
    return head + struct.pack("<4sI", b"data", len(samples)) + samples
