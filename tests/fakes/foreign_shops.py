"""Three shops with indexes of their own: fields, analyzers, queries and write patterns that are not Attune's.

The mappings follow what Magento's catalogue search, WooCommerce with ElasticPress and a headless shop with
nested variants create; they and the products were written for these tests.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mappings.types import JsonObject


@dataclass(frozen=True)
class Thing:
    """A product of every shop."""

    sku: str
    name: str
    brand: str
    category: str
    text: str
    color: str
    price: float


@dataclass(frozen=True)
class ForeignShop:
    """A shop: the body of its index, how it writes a product, and how its search box asks."""

    name: str
    body: JsonObject
    document: Callable[[Thing], JsonObject]
    query: Callable[[str], JsonObject]
    rename: Callable[[str], JsonObject]
    """The partial update that gives a product another name."""


_TABLE = """
laptop-1|Falcon G15 notebook|Aerix|Laptops|Gaming laptop with RTX graphics and 16 GB memory|black|1299
laptop-2|Falcon Air 13 notebook|Aerix|Laptops|Light office laptop with long battery life|silver|899
laptop-3|Workmate 14 notebook|Norda|Laptops|Business laptop with fingerprint reader and docking port|grey|1049
laptop-4|Titan 17 notebook|Voltan|Laptops|Gaming notebook, fast graphics card, RGB keyboard|black|1899
bag-1|Notebook sleeve 15 inch|Norda|Bags|Padded sleeve for laptops up to 15 inches|blue|25
bag-2|Gaming backpack|Voltan|Bags|Backpack with room for a laptop and a headset|black|79
paper-1|Notebook A5 lined|Papira|Stationery|Paper notebook with 120 lined pages|red|6
paper-2|Notebook for gaming notes|Papira|Stationery|Paper notebook for scores of board games|green|7
game-1|Castle board game|Ludo House|Games|Board game for two to four players|multicolour|35
game-2|Gaming cards deck|Ludo House|Games|Deck of playing cards|multicolour|9
mouse-1|Glide wireless mouse|Aerix|Mice|Cordless optical mouse with USB receiver|black|29
mouse-2|Glide corded mouse|Aerix|Mice|Optical mouse with a two metre cable|white|15
mouse-3|Strike gaming mouse|Voltan|Mice|Mouse with 16,000 dpi sensor and eight buttons|black|59
pad-1|Mouse pad large|Norda|Mice|Cloth pad for wireless and wired mice|grey|12
phone-1|Pixelon 8 smartphone|Pixelon|Phones|Phone with 128 GB memory and triple camera|blue|599
phone-2|Pixelon 8 case|Pixelon|Phone accessories|Silicone case for the Pixelon 8 phone|red|19
phone-3|Pixelon fast charger|Pixelon|Phone accessories|USB-C charger for phones, 30 watts|white|29
head-1|Calm wireless headphones|Sonora|Headphones|Over-ear headphones with noise cancelling|black|199
head-2|Calm in-ear headphones|Sonora|Headphones|Wired earphones with microphone|white|39
head-3|Headphone stand|Norda|Headphones|Aluminium stand for over-ear headphones|silver|24
tv-1|Vista 55 television|Vista|Televisions|55 inch 4K television with three HDMI ports|black|549
tv-2|Vista wall mount|Vista|Televisions|Wall mount for televisions up to 65 inches|black|45
print-1|Inkwell 300 printer|Inkwell|Printers|Colour inkjet printer and scanner|white|89
print-2|Inkwell 300 ink cartridge|Inkwell|Printers|Black ink cartridge for the Inkwell 300 printer|black|17
"""

THINGS = tuple(
    Thing(*fields[:-1], price=float(fields[-1]))
    for fields in (line.split("|") for line in _TABLE.strip().splitlines())
)


def _settings(analysis: JsonObject) -> JsonObject:
    return {"index": {"number_of_shards": 2, "number_of_replicas": 0, "analysis": analysis, "knn": True}}


def _magento_document(thing: Thing) -> JsonObject:
    return {
        "store_id": 1,
        "sku": thing.sku,
        "status": 1,
        "visibility": 4,
        "name": thing.name,
        "description": f"<p>{thing.text}</p>",
        "manufacturer": abs(hash(thing.brand)) % 1000,
        "manufacturer_value": thing.brand,
        "color_value": thing.color,
        "price_0_1": thing.price,
        "is_in_stock": 1,
        "category_ids": [2, len(thing.category)],
        "name_category_3": thing.category,
        "position_category_3": 10,
        "url_key": thing.sku,
    }


_STEMMED = {
    "analyzer": {
        "default": {"type": "custom", "tokenizer": "standard", "filter": ["lowercase", "shop_stemmer"]},
        "sku": {"type": "custom", "tokenizer": "keyword", "filter": ["lowercase"]},
    },
    "filter": {"shop_stemmer": {"type": "stemmer", "language": "english"}},
}

MAGENTO = ForeignShop(
    name="magento2_product_1_v3",
    body={
        "settings": _settings(_STEMMED),
        "mappings": {
            "dynamic_templates": [
                {
                    "price_mapping": {
                        "match": "price_*",
                        "match_mapping_type": "double",
                        "mapping": {"type": "double", "store": True},
                    }
                },
                {
                    "string_mapping": {
                        "match": "*",
                        "match_mapping_type": "string",
                        "mapping": {"type": "text", "copy_to": ["_search"]},
                    }
                },
            ],
            "properties": {
                "_search": {"type": "text"},
                "sku": {"type": "text", "analyzer": "sku", "copy_to": ["_search"]},
                "name": {"type": "text", "copy_to": ["_search"]},
                "color_value": {"type": "keyword", "copy_to": ["_search"]},
                "status": {"type": "integer"},
                "visibility": {"type": "integer"},
                "category_ids": {"type": "integer"},
            },
        },
    },
    document=_magento_document,
    query=lambda text: {
        "query": {
            "bool": {
                "must": [{"terms": {"visibility": [3, 4]}}, {"term": {"status": 1}}],
                "should": [
                    {"match": {"_search": {"query": text, "boost": 1}}},
                    {"match_phrase_prefix": {"name": {"query": text, "boost": 2}}},
                ],
                "minimum_should_match": 1,
            }
        },
        "aggs": {"color": {"terms": {"field": "color_value"}}},
        "highlight": {"fields": {"name": {}}},
    },
    rename=lambda name: {"name": name},
)


def _woocommerce_document(thing: Thing) -> JsonObject:
    def term(name: str) -> JsonObject:
        return {"term_id": len(name), "slug": name.lower().replace(" ", "-"), "name": name, "parent": 0}

    return {
        "ID": abs(hash(thing.sku)) % 10_000,
        "post_id": abs(hash(thing.sku)) % 10_000,
        "post_type": "product",
        "post_status": "publish",
        "post_title": thing.name,
        "post_content": f"<p>{thing.text}</p>",
        "post_excerpt": "",
        "post_name": thing.sku,
        "permalink": f"https://shop.example/product/{thing.sku}",
        "terms": {
            "product_cat": [term(thing.category)],
            "product_brand": [term(thing.brand)],
            "pa_color": [term(thing.color)],
        },
        "meta": {
            "_price": [{"value": str(thing.price), "double": thing.price}],
            "_sku": [{"value": thing.sku, "raw": thing.sku}],
            "_stock_status": [{"value": "instock", "raw": "instock"}],
        },
    }


_TERM = {
    "properties": {
        "name": {"type": "text", "fields": {"raw": {"type": "keyword"}}},
        "slug": {"type": "keyword"},
    }
}

WOOCOMMERCE = ForeignShop(
    name="shopexample-post-1",
    body={
        "settings": _settings(
            {
                "analyzer": {
                    "default": {
                        "tokenizer": "standard",
                        "filter": ["lowercase", "ewp_snowball"],
                        "char_filter": ["html_strip"],
                    }
                },
                "filter": {"ewp_snowball": {"type": "snowball", "language": "English"}},
            }
        ),
        "mappings": {
            "date_detection": False,
            "properties": {
                "post_title": {"type": "text", "fields": {"raw": {"type": "keyword"}}},
                "post_content": {"type": "text"},
                "post_excerpt": {"type": "text"},
                "post_type": {"type": "keyword"},
                "post_status": {"type": "keyword"},
                "permalink": {"type": "keyword"},
                "terms": {
                    "properties": {"product_cat": _TERM, "product_brand": _TERM, "pa_color": _TERM},
                },
                "meta": {
                    "properties": {
                        "_price": {"properties": {"value": {"type": "text"}, "double": {"type": "double"}}},
                        "_sku": {"properties": {"value": {"type": "text"}, "raw": {"type": "keyword"}}},
                    }
                },
            },
        },
    },
    document=_woocommerce_document,
    query=lambda text: {
        "query": {
            "function_score": {
                "query": {
                    "multi_match": {
                        "query": text,
                        "fields": ["post_title^3", "post_content", "terms.product_cat.name"],
                    }
                },
                "functions": [
                    {
                        "field_value_factor": {
                            "field": "meta._price.double",
                            "modifier": "log1p",
                            "factor": 0.01,
                        }
                    }
                ],
                "score_mode": "sum",
                "boost_mode": "sum",
            }
        },
        "post_filter": {
            "bool": {"must": [{"terms": {"post_type": ["product"]}}, {"term": {"post_status": "publish"}}]}
        },
        "aggs": {"cat": {"terms": {"field": "terms.product_cat.slug"}}},
        "highlight": {"fields": {"post_title": {}, "post_content": {}}},
    },
    rename=lambda name: {"post_title": name},
)


def _headless_document(thing: Thing) -> JsonObject:
    return {
        "title": {"en": thing.name, "de": f"{thing.name} (deutsch)"},
        "summary": {"en": thing.text, "de": f"{thing.text} (deutsch)"},
        "maker": {"name": thing.brand, "country": "NL"},
        "categories": [{"id": 7, "name": {"en": thing.category, "de": thing.category}}],
        "popularity": len(thing.name),
        "variants": [
            {
                "sku": f"{thing.sku}-{size}",
                "price": {"amount": thing.price + number, "currency": "EUR"},
                "stock": number,
                "options": {"color": thing.color, "size": size},
            }
            for number, size in enumerate(("S", "L"), 1)
        ],
    }


def _languages(analyzers: dict[str, str]) -> JsonObject:
    return {
        "properties": {
            language: {"type": "text", "analyzer": analyzer} for language, analyzer in analyzers.items()
        }
    }


HEADLESS = ForeignShop(
    name="catalog-live",
    body={
        "settings": _settings({}),
        "mappings": {
            "dynamic": "strict",
            "properties": {
                "title": _languages({"en": "english", "de": "german"}),
                "summary": _languages({"en": "english", "de": "german"}),
                "maker": {"properties": {"name": {"type": "keyword"}, "country": {"type": "keyword"}}},
                "categories": {
                    "properties": {
                        "id": {"type": "long"},
                        "name": _languages({"en": "english", "de": "german"}),
                    }
                },
                "popularity": {"type": "rank_feature"},
                "image_vector": {
                    "type": "knn_vector",
                    "dimension": 2,
                    "method": {"name": "hnsw", "engine": "lucene", "space_type": "l2"},
                },
                "variants": {
                    "type": "nested",
                    "properties": {
                        "sku": {"type": "keyword"},
                        "price": {
                            "properties": {"amount": {"type": "double"}, "currency": {"type": "keyword"}}
                        },
                        "stock": {"type": "integer"},
                        "options": {
                            "properties": {"color": {"type": "keyword"}, "size": {"type": "keyword"}}
                        },
                    },
                },
            },
        },
    },
    document=_headless_document,
    query=lambda text: {
        "query": {
            "bool": {
                "must": [{"multi_match": {"query": text, "fields": ["title.en^2", "summary.en"]}}],
                "should": [{"rank_feature": {"field": "popularity", "boost": 0.1}}],
                "filter": [
                    {
                        "nested": {
                            "path": "variants",
                            "query": {"range": {"variants.price.amount": {"lte": 2000}}},
                        }
                    }
                ],
            }
        },
        "aggs": {
            "variants": {
                "nested": {"path": "variants"},
                "aggs": {"color": {"terms": {"field": "variants.options.color"}}},
            }
        },
        "highlight": {"fields": {"title.en": {}, "summary.en": {}}},
    },
    rename=lambda name: {"title": {"en": name}},
)

SHOPS = (MAGENTO, WOOCOMMERCE, HEADLESS)


def fill_shop(client: Any, shop: ForeignShop, index: str = "", body: JsonObject | None = None) -> None:
    """Create the shop's index, under another name where given, and write every product."""
    name = index or shop.name
    client.indices.create(index=name, body=body or shop.body)
    lines: list[JsonObject] = []
    for thing in THINGS:
        lines += [{"index": {"_index": name, "_id": thing.sku}}, shop.document(thing)]
    answer = client.bulk(body=lines, params={"refresh": "true"})
    assert not answer["errors"], answer
