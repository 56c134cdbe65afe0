"""Files and folders of a run that are complete or absent, whenever the run is killed."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mappings.errors import ModelError


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """Hand out a name to write to; what is there becomes `path` when the block ends without an error."""
    unfinished = path.with_name(f"unfinished-{path.name}")
    yield unfinished
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(unfinished, path)


def write_json(path: Path, value: object) -> None:
    """Write a value as JSON, the whole or nothing."""
    with write_atomically(path) as unfinished:
        unfinished.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file of a run. Raises ModelError where it is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path} is damaged: start over with --fresh") from error
