"""JSON Lines: one object a line, from a file or a stream; a broken line costs one record."""

import json
from collections.abc import Iterable, Iterator

from indexer.catalogue.records import Record, Reject
from indexer.sources.lines import MAX_LINE_BYTES, Line
from mappings.errors import CatalogueError


def json_records(lines: Iterable[Line], name: str) -> Iterator[Record | Reject]:
    """Yield the record of every line that isn't blank; `name` is the file's, for errors.

    Raises CatalogueError when the first line opens one JSON array.
    """
    for line in lines:
        raw = line.data.decode("utf-8", errors="replace").rstrip("\r\n")
        if line.too_long:
            yield Reject(line.number, f"line longer than {MAX_LINE_BYTES} bytes", raw)
            continue
        if not raw.strip():
            continue
        try:
            value = json.loads(line.data.decode("utf-8"))
        except UnicodeDecodeError as error:
            yield Reject(line.number, f"not UTF-8: byte {line.data[error.start]:#04x}", raw)
        except (ValueError, RecursionError) as error:
            if line.number == 1 and raw.lstrip().startswith("["):
                raise _one_array(name) from error
            yield Reject(line.number, f"broken JSON: {error}", raw)
        else:
            if isinstance(value, dict):
                yield Record(line.number, value, raw, line.share)
            elif line.number == 1 and isinstance(value, list):
                raise _one_array(name)
            else:
                yield Reject(line.number, f"wrong type: a JSON {type(value).__name__}, not an object", raw)


def _one_array(name: str) -> CatalogueError:
    return CatalogueError(
        f"{name} is one JSON array, and Attune reads one product a line: jq -c '.[]' {name} > products.jsonl"
    )
