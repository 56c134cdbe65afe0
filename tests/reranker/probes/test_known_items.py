from mappings.types import Product
from reranker.probes.known_items import make_queries
from reranker.text.word_tokens import split_words

PRODUCTS = [
    Product("1", "Logitech M185 wireless mouse", "Logitech", "Mice", "A small mouse", {"colour": "Grey"}),
    Product("2", "Brother TN-2110 toner cartridge", "Brother", "Printer toner", "Prints 1500 pages"),
    Product("3", "USB cable"),
]


def test_queries_are_distinct_seeded_and_made_of_their_products_words() -> None:
    queries = make_queries(PRODUCTS, 30, seed=1)
    assert queries == make_queries(PRODUCTS, 30, seed=1)
    assert queries != make_queries(PRODUCTS, 30, seed=2)
    assert len({text.casefold() for text, _ in queries}) == len(queries) > 10
    for text, row in queries:
        p = PRODUCTS[row]
        texts = [p.title, p.brand, p.category, p.description, *map(str, p.attributes.values())]
        assert set(split_words(text)) <= set(split_words(" ".join(texts)))
