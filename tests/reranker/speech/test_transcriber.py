"""Whisper on espeak-ng's voice: run where the extra `speech` and espeak-ng are installed."""

import shutil
import subprocess
from pathlib import Path

import pytest

from mappings.errors import ModelError
from mappings.settings import SpeechSettings
from reranker.speech.audio import read_audio
from reranker.speech.transcriber import Transcriber, locate_model

pytest.importorskip("faster_whisper", reason="needs pip install 'attune[speech]'")

SETTINGS = SpeechSettings(search=True)


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


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="speech model"):
        Transcriber(tmp_path, SETTINGS)
