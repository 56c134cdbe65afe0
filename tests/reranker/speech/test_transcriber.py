"""Whisper on espeak-ng's voice: run where the extra `speech` and espeak-ng are installed."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from mappings.errors import ModelError
from mappings.settings import SpeechSettings
from reranker.speech.audio import RATE, read_audio
from reranker.speech.transcriber import Transcriber, locate_model
from reranker.understanding.spoken_hints import SpokenNames

pytest.importorskip("faster_whisper", reason="needs pip install 'attune[speech]'")

SETTINGS = SpeechSettings(search=True)
HINTS = "printer, mouse, keyboard, monitor"


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="needs espeak-ng")
def test_a_spoken_query_is_understood_by_the_words_of_the_catalogue() -> None:
    spoken = subprocess.run(
        ["espeak-ng", "-v", "en-us", "-s", "130", "I am looking for a laptop", "--stdout"],
        capture_output=True,
        check=True,
    ).stdout
    samples = read_audio(spoken, SETTINGS)
    transcriber = Transcriber(locate_model(SETTINGS), SETTINGS)
    heard = transcriber.transcribe(samples, "printer, laptop, keyboard, monitor")
    assert "laptop" in heard.text.lower()
    assert 0.3 <= heard.probability <= 1


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="needs espeak-ng")
def test_what_is_misheard_is_corrected_to_the_catalogues_names_and_said() -> None:
    command = ["espeak-ng", "-v", "en-gb", "-s", "130", "toner cartridge", "--stdout"]
    spoken = read_audio(subprocess.run(command, capture_output=True, check=True).stdout, SETTINGS)
    samples = np.pad(spoken, RATE // 3)
    transcriber = Transcriber(locate_model(SETTINGS), SETTINGS)
    before = transcriber.transcribe(samples, HINTS)
    assert before.text.casefold() != "toner cartridge"
    heard = transcriber.transcribe(samples, HINTS, SpokenNames(("printer", "toner cartridge", "mouse")))
    assert (heard.text, heard.uncorrected) == ("toner cartridge", before.text)
    other = transcriber.transcribe(samples, HINTS, SpokenNames(("washing machine",)))
    assert (other.text, other.uncorrected) == (before.text, "")


def test_noise_is_no_name_of_the_catalogue() -> None:
    noise = np.random.default_rng(1).normal(0, 0.05, 2 * RATE).astype(np.float32)
    transcriber = Transcriber(locate_model(SETTINGS), SETTINGS)
    assert transcriber.transcribe(noise, names=SpokenNames(("printer", "adapter", "mouse"))).text == ""


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="speech model"):
        Transcriber(tmp_path, SETTINGS)
