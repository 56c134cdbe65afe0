"""The domains that come with Attune, each a folder, and how such a folder is read."""

from mappings.domains.concepts import Concept, make_concept_id, read_concepts
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
)

__all__ = [
    "SHOP_DOMAIN",
    "ClientRule",
    "Concept",
    "Domain",
    "DomainClient",
    "DomainLanguage",
    "DomainPage",
    "DomainQuery",
    "list_domains",
    "load_domain",
    "make_concept_id",
    "read_concepts",
]
