"""The queries of the shop's demo, and what each of them shows."""

from mappings.domains import SHOP_DOMAIN, DomainQuery, load_domain

DemoQuery = DomainQuery
DEMO_QUERIES = load_domain(SHOP_DOMAIN).demo.queries
