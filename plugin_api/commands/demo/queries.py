"""The queries of the shop's demo, and what each of them shows."""

from mappings.domains import SHOP_DOMAIN, DomainQuery, load_domain

DemoQuery = DomainQuery
DEMO_QUERIES = load_domain(SHOP_DOMAIN).demo.queries
CHINESE_QUERIES = (
    DemoQuery("购买新款手机", '"buy a new phone": phones; by keyword, a phone cord comes first'),
    DemoQuery("華為手機", '"Huawei phone" in Traditional characters: titles are in Simplified ones'),
)
"""Asked of the Chinese catalogue."""
