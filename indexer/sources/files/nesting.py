"""How deep the values of a record may be nested."""

MAX_LEVELS = 20
"""Deeper records are rejected: code that walks through them would run out of stack."""


def check_levels(value: object) -> None:
    """Raise ValueError for objects and lists that are nested more than 20 levels deep."""
    layer = [value]
    for _ in range(MAX_LEVELS + 1):
        layer = [
            inner
            for outer in layer
            for inner in (outer.values() if isinstance(outer, dict) else outer)  # type: ignore[attr-defined]
            if isinstance(inner, dict | list)
        ]
        if not layer:
            return
    raise ValueError(f"nested more than {MAX_LEVELS} levels deep")
