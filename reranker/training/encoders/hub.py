"""Encoders in Hugging Face's format: a folder, or a name on the hub where the network allows."""

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers import AutoConfig, AutoTokenizer
from transformers.utils import logging

from mappings.errors import ModelError
from reranker.model import read_tokenizer


def load_config(source: str | Path) -> Any:
    """Return the config of the model at `source`. Raises ModelError."""
    try:
        return AutoConfig.from_pretrained(str(source))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{source} is not a model that can be loaded: {explain_failure(source, error)}"
        ) from error


def load_network(kind: Any, source: str | Path, **options: Any) -> Any:
    """Return the network of class `kind` (AutoModel, GPT2Model) with the weights at `source`, for inference.

    Raises ModelError.
    """
    # Progress bars, and the unused heads of language models listed as unexpected, would only be noise.
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        return kind.from_pretrained(str(source), **options).eval()
    except (OSError, ValueError, ImportError) as error:
        raise ModelError(
            f"the weights of {source} can't be loaded: {explain_failure(source, error)}"
        ) from error
    finally:
        logging.set_verbosity(level)
        logging.enable_progress_bar()


def load_tokenizer(source: str | Path) -> Tokenizer:
    """Return the fast tokenizer at `source`, without padding and truncation.

    From tokenizer.json as it is, or built from what the hub has instead: vocab.txt of a WordPiece, vocab.json
    and merges.txt of a byte-level BPE. Raises ModelError where there is only one that runs in Python.
    """
    file = Path(source) / "tokenizer.json"
    if file.is_file():
        return read_tokenizer(file)
    try:
        loaded = AutoTokenizer.from_pretrained(str(source))
    except (OSError, ValueError, ImportError) as error:
        raise ModelError(
            f"{source} has no tokenizer that can be loaded: {explain_failure(source, error)}"
        ) from error
    if not loaded.is_fast:
        raise ModelError(
            f"{source} has a slow tokenizer only ({type(loaded).__name__}), and serving runs fast ones: "
            "convert it to a tokenizer.json, or choose another model"
        )
    tokenizer: Tokenizer = loaded.backend_tokenizer
    if tokenizer.get_vocab_size() <= len(loaded.all_special_ids):  # one is made up where there are no files
        raise ModelError(f"{source} has neither a tokenizer.json nor a vocabulary such as vocab.txt")
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def explain_failure(source: str | Path, error: Exception) -> str:
    """Say in a line why a source can't be loaded, and what to do."""
    if Path(source).is_dir():
        return f"{_first_line(error)} (a folder needs config.json, model.safetensors and a tokenizer's files)"
    return (
        f"there is no such folder, and the hub did not serve it ({_first_line(error)}): "
        "check the name and the network, or download the model and name its folder"
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0].rstrip(".") or type(error).__name__
