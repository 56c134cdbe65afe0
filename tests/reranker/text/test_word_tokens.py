import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from reranker.text.intent import strip_intent, trim_query
from reranker.text.query_type import classify_query
from reranker.text.word_tokens import _stem_short, hash_words, split_words


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


HOSTILE = {
    "letters and digits": "a1" * 500_000,
    "digits": "1" * 1_000_000,
    "sizes": "1x" * 500_000,
    "joined": "a-1/" * 250_000,
    "endings": "ational" * 140_000,
    "numbers": "1,1 " * 250_000,
    "blanks": " " * 1_000_000,
    "distinct words": " ".join(f"w{k}ings" for k in range(100_000)),
    "ligatures": "\ufdfa" * 300_000,
    "Han": "\u4e70" * 1_000_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_megabyte_takes_time_in_proportion_to_its_length(text: str) -> None:
    def seconds(part: str) -> float:
        started = time.process_time()
        split_words(part)
        strip_intent(part)
        classify_query(part)
        return time.process_time() - started

    seconds("warm up 1")
    assert seconds(text) < 20 * max(seconds(text[:16_384]), 0.02)


def test_what_is_read_of_a_text_is_bounded() -> None:
    assert len(split_words(" ".join(f"w{k}" for k in range(50_000)))) < 40_000
    assert split_words("running " * 9 + "x" * 50_000 + "ings")[-1].endswith("xings")
    assert strip_intent("buy " * 200) == "buy " * 200
    assert len(trim_query("laptop " * 1000)) == 1000


def test_threads_do_not_mix_their_words_up() -> None:
    starts = ("connect", "charg", "print", "adapt", "mount")
    endings = ("ing", "ed", "ion", "ions", "able", "ers", "ational", "fulness", "ousli", "ization")
    texts = [start + ending for start in starts for ending in endings] * 8
    expected = list(map(split_words, texts))
    _stem_short.cache_clear()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            for _ in range(5):
                assert list(pool.map(split_words, texts)) == expected
                _stem_short.cache_clear()
    finally:
        sys.setswitchinterval(interval)
