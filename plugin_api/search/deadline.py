"""The moment by which a search, or a part of it, must be done."""

import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment `at` seconds on the monotonic clock, set by a time limit of `seconds`."""

    at: float
    seconds: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """Return the deadline that a time limit sets from now on."""
        return cls(time.monotonic() + seconds, seconds)

    def remaining(self) -> float:
        """Return the seconds that are left. Raises TimeoutError where there are none."""
        seconds = self.at - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("the deadline has passed")
        return seconds

    @property
    def has_passed(self) -> bool:
        """Whether there is no time left."""
        return time.monotonic() >= self.at
