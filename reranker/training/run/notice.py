"""The licence note that goes with every model folder: what it was made from, and on whose terms."""

from collections.abc import Mapping
from typing import Any

NOTICE = "NOTICE.txt"

DISTILLED_MINILM = (
    "sentence-transformers/all-MiniLM-L6-v2, tuned by itself and all-mpnet-base-v2 (both Apache-2.0)"
)
"""The shipped query encoder, as `origin["query_tower"]` names it."""

_BASE = """\
The base model, shipped with Attune under the Apache License, Version 2.0, was trained on product texts
from Icecat (https://icecat.com, Open Content License of Open Icecat, provided "as is"), on an excerpt of the
Amazon Shopping Queries Dataset (ESCI, Apache-2.0), on judgements of the Chorus project (Apache-2.0) and on
The Complete Journey (dunnhumby / 84.51°, CC0 1.0)."""


def render_notice(origin: Mapping[str, Any], encoders: Mapping[str, str]) -> str:
    """Return the note for a model of this `origin`; `encoders` are those named instead of the base's."""
    lines = ["This model was trained by Attune (Apache License, Version 2.0).", ""]
    for part in ("query encoder", "product encoder"):
        if part in encoders:
            lines.append(f"The {part} starts from {encoders[part]}: its own licence applies.")
    if "query encoder" not in encoders:
        lines.append(f"The query encoder is {origin.get('query_tower', 'the base model’s')}.")
    if not encoders:
        lines += ["", _BASE]
    lines += [
        "",
        "Trained on your data: what a product tower, a scorer and their vectors keep of it is yours, and",
        "subject to the terms under which you have it.",
        "",
    ]
    for source, name in origin.get("sources", {}).items():
        lines.append(f"  {source}: {name}")
    return "\n".join(lines) + "\n"
