"""The domains that come with Attune, each a folder, and how such a folder is read."""

from mappings.domains.domain import (
    SHOP_DOMAIN,
    ClientRule,
    Domain,
    DomainClient,
    DomainLanguage,
    DomainPage,
    DomainQuery,
    list_domains,
    load_domain,
    read_word_lines,
)

__all__ = [
    "SHOP_DOMAIN",
    "ClientRule",
    "Domain",
    "DomainClient",
    "DomainLanguage",
    "DomainPage",
    "DomainQuery",
    "list_domains",
    "load_domain",
    "read_word_lines",
]
