"""The words of a domain, known to this process: its units and its intent words."""

from mappings.domains import DomainLanguage
from reranker.text.intent import use_phrases
from reranker.understanding.measures import use_units


def use_language(language: DomainLanguage) -> None:
    """Know a domain's words beside those of a shop, in place of another domain's.

    A process has one domain: call this before anything is indexed or searched.
    """
    use_units(language.units)
    use_phrases(language.before, language.after)
