from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.types import Product
from reranker.understanding.demands import Correction
from reranker.understanding.spelling.corrector import SpellingCorrector
from reranker.understanding.spelling.spellings import Spellings, SpellingsLearner, find_letter_words
from reranker.understanding.words import list_words, normalise_text
from tests.fakes.small_catalogue import make_small_catalogue

TITLES = (
    "Acme wireless mouse",
    "Acme gaming mouse, wireless",
    "Bolt laser mouse",
    "Bolt keyboard with mouse",
    "Cobra stereo headset",
    "Cobra headset, wireless",
    "Dune head of a doll, tea set",
    "Elma Wi-Fi router",
    "Elma Wi-Fi router, dual band",
    "Acme laptop bag",
    "Bolt laptop bag, leather",
    "Cobra HDMI cable",
    "Cobra HDMI cable, gold",
    "Dune Bluetooth speaker",
    "Elma television",
    "Acme smart phone",
    "Acme mode dial",
)


def learn(titles: Sequence[str], **fields: str) -> SpellingCorrector:
    return SpellingCorrector(
        learn_spellings([Product(str(i), title=t, **fields) for i, t in enumerate(titles)])
    )


def learn_spellings(products: Sequence[Product]) -> Spellings:
    learner = SpellingsLearner()
    for product in products:
        learner.add(product)
    return learner.learn()


CORRECTOR = learn(TITLES)


@pytest.mark.parametrize(
    ("query", "corrected"),
    [
        ("wirless mose", "wireless mouse"),
        ("wirelss Mosue", "wireless mouse"),
        ("keybord", "keyboard"),
        ("speeker", "speaker"),
        ("head set", "headset"),
        ("blue tooth speaker", "bluetooth speaker"),
        ("blu toth speaker", "bluetooth speaker"),
        ("wifi router", "wi-fi router"),
        ("laptopbag", "laptop bag"),
        ("hdmicable 2m", "hdmi cable 2m"),
        ("smartphone", "smart phone"),
        ("hdmi cabel 1.5m under 20", "hdmi cable 1.5m under 20"),
    ],
)
def test_what_the_catalogue_does_not_know_is_corrected(query: str, corrected: str) -> None:
    assert CORRECTOR.correct(query).text == corrected


@pytest.mark.parametrize(
    "query",
    [
        "mode",
        "wi fi router",  # titles have both words side by side
        "wi-fi",
        "smart phone",
        "headsets",  # another form of a word that is known
        "HL-2140",
        "dcp 7030",  # the letters of a part number
        "4006381333931",
        "WH1000XM4",
        "mose 500",
        "mouse without lace",
        "tan headset",  # a colour
        "ohne kabel",
        "kaufen",
        "tv",
        "toaster",  # no word of the shop, but of English: it is not a poster
        "garden hose",
        "qwrtzpl xkcdvb",
        "无线鼠标",
        "ワイヤレスマウス",
        "???",
        "",
    ],
)
def test_all_else_stays_as_it_is(query: str) -> None:
    corrected = learn([*TITLES, "Movie poster", "Garden home"]).correct(query)
    assert (corrected.text, corrected.corrections) == (query, ())


def test_what_was_changed_is_told() -> None:
    corrected = CORRECTOR.correct("red Head Set for laptp")
    assert corrected.text == "red headset for laptop"
    assert corrected.corrections == (Correction("Head Set", "headset"), Correction("laptp", "laptop"))


def test_words_to_keep_are_kept() -> None:
    assert CORRECTOR.correct("wirless mose", keep={"mose"}).text == "wireless mose"


def test_words_that_the_catalogue_lacks_are_listed() -> None:
    corrected = CORRECTOR.correct("wirless head set")
    assert CORRECTOR.list_unknown(corrected.corrections) == ("wirless",)


def test_a_brand_of_a_field_of_its_own_is_known() -> None:
    assert learn([*TITLES, "Sports watch"], brand="Mause").correct("mause").corrections == ()


def test_two_words_stay_apart_where_titles_often_have_them_so() -> None:
    titles = ["Acme mousepad", "Bolt mouse pad", "Cobra mouse pad"]
    assert learn(titles).correct("mouse pad").corrections == ()
    assert learn(titles[:1]).correct("mouse pad").text == "mousepad"


def test_without_a_vocabulary_nothing_changes() -> None:
    assert SpellingCorrector(Spellings()).correct("wirless mose").text == "wirless mose"


SHELF = make_small_catalogue()
SHELF_CORRECTOR = SpellingCorrector(learn_spellings(SHELF))
TEXTS = [text for p in SHELF for text in (p.title, p.brand, *p.attributes, *map(str, p.attributes.values()))]
KNOWN = sorted({word.text for text in TEXTS for word in list_words(normalise_text(text))})


@given(st.lists(st.sampled_from(KNOWN), min_size=1, max_size=6).map(" ".join))
def test_words_that_the_catalogue_knows_are_never_changed(query: str) -> None:
    changed = SHELF_CORRECTOR.correct(query).corrections
    assert not [each for each in changed if " " not in each.original]
    together = {word for product in SHELF for word in find_letter_words(product.title)}
    assert all(each.corrected == each.original.replace(" ", "") in together for each in changed)


@given(st.sampled_from(TEXTS), st.data())
def test_texts_of_the_catalogue_are_never_changed(text: str, data: st.DataObject) -> None:
    words = normalise_text(text).split()
    start = data.draw(st.integers(0, len(words) - 1))
    query = " ".join(words[start : start + data.draw(st.integers(1, len(words)))])
    assert SHELF_CORRECTOR.correct(query).text == query


@given(st.text(max_size=60))
def test_any_text_can_be_corrected(text: str) -> None:
    query = normalise_text(text)
    corrected = CORRECTOR.correct(query)
    assert bool(corrected.corrections) == (corrected.text != query)
