"""What tells one hit from all others."""

HitKey = tuple[str, str]
"""Index and id: they identify a hit also where an alias spans several indexes."""
