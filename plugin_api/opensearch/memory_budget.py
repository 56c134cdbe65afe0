"""A budget of memory that all requests of a process share."""

import threading

FREE_BYTES = 65_536
"""Bytes of a request that don't count: short requests and answers always find a place."""


class MemoryBudget:
    """Bytes of request bodies and of answers that a process may hold at a time. Thread-safe."""

    def __init__(self, total_bytes: int) -> None:
        self._available, self._lock = total_bytes, threading.Lock()

    def open_account(self) -> "MemoryAccount":
        """Return an account for one request; close it when the request has ended."""
        return MemoryAccount(self)

    def change(self, size: int) -> bool:
        """Take `size` bytes, or give back where it is negative; return whether there were as many."""
        with self._lock:
            if size > self._available:
                return False
            self._available -= size
            return True


class MemoryAccount:
    """What one request holds of the budget. Thread-safe."""

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget, self._lock = budget, threading.Lock()
        self._size, self._counted, self._is_closed = 0, 0, False

    def take(self, size: int) -> bool:
        """Hold `size` more bytes; return False where there are not as many, or the account is closed."""
        with self._lock:
            grown = max(0, self._size + size - FREE_BYTES) - self._counted
            if self._is_closed or not self._budget.change(grown):
                return False
            self._size, self._counted = self._size + size, self._counted + grown
            return True

    def close(self) -> None:
        """Give everything back."""
        with self._lock:
            self._is_closed = True
            self._budget.change(-self._counted)
            self._counted = 0
