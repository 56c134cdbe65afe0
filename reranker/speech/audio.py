"""Read recordings that others sent: WAV, FLAC, OGG or WebM, within limits, as one channel of 16 kHz."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np

from mappings.errors import BadAudio
from mappings.settings import SpeechSettings
from reranker.types import Floats

RATE = 16_000
"""Samples a second, as Whisper takes them."""

_HEADS = {b"RIFF": "wav", b"fLaC": "flac", b"OggS": "ogg", b"\x1a\x45\xdf\xa3": "matroska"}
"""First bytes of a file → its format. Others are never tried: some formats name further files to read."""


def read_audio(data: bytes, settings: SpeechSettings) -> Floats:
    """Return the samples (n,) of a recording, from -1 to 1.

    No more is unpacked than `speech.max_seconds`. Raises BadAudio for data that is too large or too long, of
    another format, broken or silent, and ImportError where PyAV is not installed.
    """
    if len(data) > settings.max_bytes:
        raise BadAudio(f"a recording of {len(data):,} bytes: at most {settings.max_bytes:,} are read")
    kind = _HEADS.get(data[:4])
    if kind is None:
        raise BadAudio("not a WAV, FLAC, OGG or WebM recording")
    import av

    try:
        with av.open(io.BytesIO(data), mode="r", format=kind) as container:
            resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
            samples = list(_decode(container, resampler, settings.max_seconds))
    except BadAudio:
        raise
    except Exception as error:  # PyAV raises a dozen kinds for broken data
        raise BadAudio(f"a recording that can't be read: {error}") from error
    if not samples or not any(part.any() for part in samples):
        raise BadAudio("the recording is empty")
    return np.concatenate(samples)


def _decode(container: Any, resampler: Any, most_seconds: float) -> Iterator[Floats]:
    """Yield the samples. Raises BadAudio before more than so many seconds are unpacked.

    A frame is measured before it is resampled: one of a few kB may claim to last for hours.
    """
    seconds = 0.0
    for frame in container.decode(audio=0):
        seconds += frame.samples / max(frame.sample_rate, 1)
        if seconds > most_seconds:
            raise BadAudio(f"a recording of more than {most_seconds:g} s")
        for resampled in resampler.resample(frame):
            yield _as_floats(resampled)
    for resampled in resampler.resample(None):  # what it still holds
        yield _as_floats(resampled)


def _as_floats(frame: Any) -> Floats:
    samples: Floats = frame.to_ndarray().ravel().astype(np.float32) / 32768
    return samples
