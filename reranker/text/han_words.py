"""Words of Chinese text, which is written without spaces: those that recur in a catalogue."""

from collections import Counter
from collections.abc import Iterable

from reranker.text.word_tokens import find_cjk_runs

_LONGEST = 5
"""Characters of the longest word."""

_LEAST_TEXTS = 4
"""Texts in which a sequence of characters recurs, to be a word."""


class HanWords:
    """The character sequences that recur in some texts, as a dictionary to split texts by."""

    def __init__(self, texts: Iterable[str]) -> None:
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update({
                run[start : start + length]
                for run in find_cjk_runs(text)
                for length in range(2, _LONGEST + 1)
                for start in range(len(run) - length + 1)
            })  # fmt: skip
        self._counts = {word: n for word, n in counts.items() if n >= _LEAST_TEXTS}

    def split(self, run: str) -> list[str]:
        """Return the words of a run of Han characters, in order; what is not known stays a character.

        Of all ways to split it, the one whose words are most firmly joined: a word of n characters that
        stands in k texts counts (n - 1) x log k.
        """
        best: list[tuple[float, int]] = [
            (0.0, 0)
        ]  # of the first i characters: score, where the last word begins
        for end in range(1, len(run) + 1):
            options = [(best[end - 1][0], end - 1)]
            for start in range(max(0, end - _LONGEST), end - 1):
                count = self._counts.get(run[start:end])
                if count:
                    options.append((best[start][0] + (end - start - 1) * count.bit_length(), start))
            best.append(max(options))
        words: list[str] = []
        end = len(run)
        while end:
            start = best[end][1]
            words.append(run[start:end])
            end = start
        return words[::-1]
