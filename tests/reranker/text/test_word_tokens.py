import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from reranker.text.word_tokens import _stem, classify_number, hash_words, split_words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Wireless Mice", ("wireless", "mice")),
        ("phones PHONE phone's", ("phone", "s")),
        ("TN-2110", ("tn", "2110", "tn2110")),
        ("WD40", ("wd40", "wd", "40")),
        ("128GB", ("128gb", "128", "gb")),
        ("3.5 mm", ("3.5", "mm", "3.5mm")),
        ("24 inches", ("24", "inch", "24inch")),
        ("wi-fi 5-6", ("wi", "fi", "5", "6")),
        ("ＤＥＬＬ", ("dell",)),
        ("苹果手机 case", ("苹果", "果手", "手机", "case")),
        ("", ()),
        ("!?", ()),
    ],
)
def test_words_are_folded_stemmed_and_split(text: str, expected: tuple[str, ...]) -> None:
    assert split_words(text) == expected


def test_plural_and_singular_are_one_word() -> None:
    assert split_words("headphones batteries") == split_words("headphone battery")


def test_hashes_are_crc32() -> None:
    assert hash_words(["hello"]).tolist() == [0x3610A686]
    assert hash_words([]).dtype == np.uint32


@pytest.mark.parametrize(
    ("word", "kind"),
    [("tn2110", "model"), ("128gb", "unit"), ("3.5mm", "unit"), ("13", "number"), ("mouse", "")],
)
def test_words_with_digits_are_told_apart(word: str, kind: str) -> None:
    assert classify_number(word) == kind


def test_threads_do_not_mix_their_words_up() -> None:
    starts = ("connect", "charg", "print", "adapt", "mount")
    endings = ("ing", "ed", "ion", "ions", "able", "ers", "ational", "fulness", "ousli", "ization")
    texts = [start + ending for start in starts for ending in endings] * 8
    expected = list(map(split_words, texts))
    _stem.cache_clear()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            for _ in range(5):
                assert list(pool.map(split_words, texts)) == expected
                _stem.cache_clear()
    finally:
        sys.setswitchinterval(interval)
