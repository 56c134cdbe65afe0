from mappings.types import Product
from reranker.understanding.spelling.spellings import Spellings, SpellingsLearner


def learn(*products: Product) -> Spellings:
    learner = SpellingsLearner()
    for product in products:
        learner.add(product)
    return learner.learn()


def test_words_of_titles_brands_and_categories_are_counted() -> None:
    spellings = learn(
        Product("1", title="Wireless mouse", brand="Acme", category="Computers > Mice"),
        Product("2", title="Mouse pad mouse", description="A velvet pad"),
    )
    assert spellings.products == 2
    assert spellings.words == {"mouse": 2, "wireless": 1, "acme": 1, "mice": 1, "pad": 1}


def test_pairs_are_counted_as_titles_write_them() -> None:
    spellings = learn(
        Product("1", title="Wi-Fi router, dual band"),
        Product("2", title="Wi-Fi stick"),
        Product("3", title="Wi Fi"),
    )
    assert spellings.pairs == {"wi-fi": 2, "fi router": 1, "dual band": 1, "fi stick": 1, "wi fi": 1}
    assert spellings.count_apart("wi", "fi") == 3
    assert spellings.count_apart("router", "dual") == 0


def test_all_texts_words_are_known_in_any_form() -> None:
    product = Product(
        "1",
        title="Headset",
        description="Leichtes Kopfbügelmikrofon",
        attributes={"cable colour": "Velvet", "made of": ("steel", "cork")},
    )
    spellings = learn(product)
    for word in ("headset", "headsets", "leichtes", "kopfbügelmikrofon", "colour", "velvet", "steel", "cork"):
        assert spellings.knows(word)
    assert not any(map(spellings.knows, ("hedset", "head", "mouse")))


def test_numbers_and_chinese_are_no_words() -> None:
    spellings = learn(Product("1", title="苹果手机 iPhone 13 128GB MG6Q3"))
    assert spellings.words == {"iphone": 1, "gb": 1, "mg": 1}
    assert spellings.pairs == {}


def test_brands_of_chinese_titles_are_known_by_both_names() -> None:
    spellings = learn(Product("1", title="华为 Mate 40 手机", brand="华为"))
    assert spellings.words == {"mate": 1, "huawei": 1}
    assert spellings.knows("huawei")


def test_few_unknown_words_pass_for_known() -> None:
    spellings = learn(*(Product(str(i), title=_spell(i)) for i in range(2000)))
    assert all(spellings.knows(_spell(i)) for i in range(2000))
    assert sum(spellings.knows(_spell(i)) for i in range(2000, 12_000)) < 20


def _spell(number: int) -> str:
    return "x" + "".join(chr(ord("a") + int(digit)) for digit in str(number)) + "x"
