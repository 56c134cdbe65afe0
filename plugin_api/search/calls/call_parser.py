"""Parse the searches of one domain: for what their clients may be shown, with the concepts that they name."""

from collections.abc import Callable, Mapping

from mappings.settings import SearchSettings
from plugin_api.clients.rules import ShownPart, load_client_rules
from plugin_api.opensearch.client import OpenSearchClient
from plugin_api.search.calls.client_search import restrict_call, shows_marked
from plugin_api.search.calls.concept_search import load_concept_search
from plugin_api.search.calls.marked_page import MarkedPage
from plugin_api.search.deadline import Deadline
from plugin_api.search.query.field_types import IndexSchema
from plugin_api.search.query.request import parse_call, parse_count
from plugin_api.search.query.types import FallbackRequest, RerankRequest, SearchCall, TextSearch
from plugin_api.search.retrieval.index_schemas import IndexSchemas


class CallParser:
    """Parses calls. Thread-safe. Methods raise BadRequest for a call that is refused.

    OpenSearch must tell within `schema_seconds` what an index is like. `demand` returns the call of a text
    for what meets its demands, where the settings make some of them conditions.
    """

    def __init__(
        self,
        client: OpenSearchClient,
        settings: SearchSettings,
        domain: str,
        schema_seconds: float,
        demand: Callable[[SearchCall, TextSearch], SearchCall],
    ) -> None:
        self._settings, self._schema_seconds, self._demand = settings, schema_seconds, demand
        self._schemas = IndexSchemas(client)
        self.rules = load_client_rules(domain)
        self._concepts = load_concept_search(domain)

    def parse(self, call: SearchCall) -> RerankRequest | FallbackRequest:
        """Decide what to do with a search."""
        return self.parse_part(self._restrict(call))

    def parse_part(self, restricted: SearchCall) -> RerankRequest | FallbackRequest:
        """Decide what to do with a search that was restricted to a part already."""
        restricted = self._filter(restricted)
        request = self._parse(restricted)
        search = find_text(request)
        if not search or not self._concepts:
            return request
        said = self.rules.drop_absent(search.text)
        reinforced = self._concepts.reinforce(restricted, search, said)
        return request if reinforced is restricted else self._parse(reinforced)

    def parse_count(self, call: SearchCall) -> FallbackRequest:
        """Return what is sent for a `_count`."""
        return parse_count(self._filter(self._restrict(call)), self._settings, self._schema(call))

    def shows_marked(self, call: SearchCall) -> bool:
        """Return whether a search asks for what does not suit its client, too."""
        return bool(self.rules) and shows_marked(call)

    def split_marked(self, call: SearchCall) -> MarkedPage:
        """Return the parts of a search that shows what does not suit its client."""
        said = self._read_client(call)
        parts = (ShownPart.SUITING, ShownPart.BREAKING, ShownPart.REQUESTED)
        return MarkedPage(*(restrict_call(call, self.rules, said, part) for part in parts))

    def _restrict(self, call: SearchCall) -> SearchCall:
        """Return a call for what its client may be shown, whom the call or its text tells of."""
        return restrict_call(call, self.rules, self._read_client(call)) if self.rules else call

    def _filter(self, call: SearchCall) -> SearchCall:
        """Return a call for what meets those demands of its text that the settings make conditions."""
        search = find_text(self._parse(call)) if self._settings.filter_kinds else None
        return self._demand(call, search) if search else call

    def _read_client(self, call: SearchCall) -> Mapping[str, object]:
        """Return what the text of a call says of its client."""
        search = find_text(self._parse(restrict_call(call, self.rules, {})))
        return self.rules.read_client(search.text) if search else {}

    def _parse(self, call: SearchCall) -> RerankRequest | FallbackRequest:
        return parse_call(call, self._settings, self._schema(call))

    def _schema(self, call: SearchCall) -> IndexSchema:
        """Return what the index of a call is like, as far as OpenSearch tells in time."""
        return self._schemas.find(call, Deadline.after(self._schema_seconds))


def find_text(request: RerankRequest | FallbackRequest) -> TextSearch | None:
    """Return the text that a request searches for; None where it has none."""
    return request if isinstance(request, RerankRequest) else request.search
