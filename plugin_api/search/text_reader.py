"""Read the texts of searches by what their indexes record: settings, and the catalogue's vocabulary."""

from dataclasses import replace
from typing import TypeVar

from mappings.settings import Settings
from plugin_api.opensearch.client import OpenSearchClient
from plugin_api.search.calls.demand_filter import filter_by_demands
from plugin_api.search.deadline import Deadline
from plugin_api.search.memory.index_records import IndexRecords
from plugin_api.search.memory.index_words import IndexWords
from plugin_api.search.query.types import FallbackRequest, RerankRequest, SearchCall, TextSearch
from reranker.understanding.demands import Understanding
from reranker.understanding.interpreter import QueryInterpreter

_Request = TypeVar("_Request", FallbackRequest, RerankRequest | FallbackRequest)
_Search = TypeVar("_Search", bound=TextSearch)


class TextReader:
    """Reads texts. Thread-safe. A record of an index is waited for up to `seconds`."""

    def __init__(
        self, client: OpenSearchClient, records: IndexRecords, settings: Settings, seconds: float
    ) -> None:
        self._records, self._index_words = records, IndexWords(client)
        self._settings, self._origins = settings.search, settings.origins
        self._user_header = settings.shoppers.user_header.lower()
        self._seconds = seconds

    def read_request(self, request: _Request) -> _Request:
        """Return the request with what the index of its search records: its settings, and a vocabulary by
        which the text's demands are read.
        """
        if isinstance(request, RerankRequest):
            return self.read(request)
        return replace(request, search=self.read(request.search)) if request.search else request

    def read(self, search: _Search) -> _Search:
        """Return the text of a search with the settings that are in force for it, and what it demands."""
        record = self._records.find(search.call, self._seconds)
        tuned = record.tuned.over(self._settings, self._origins)
        options = search.options.with_shopper(search.call.headers.get(self._user_header, ""))
        search = replace(search, options=options, settings=options.over(tuned), made_with=record.model)
        interpreter = record.interpreter
        if interpreter is None or search.options.verbatim or search.fixed:
            return search
        understanding = self._correct(search, interpreter)
        return replace(search, text=understanding.core, understanding=understanding, interpreter=interpreter)

    def _correct(self, search: TextSearch, interpreter: QueryInterpreter) -> Understanding:
        """Return what a text demands, with its words corrected that neither vocabulary nor index know."""
        understanding = interpreter.understand(search.text, corrects=not search.query.is_prefix)
        unknown = interpreter.corrector.list_unknown(understanding.corrections)
        known = self._index_words.find(search, unknown, Deadline.after(self._seconds))
        return interpreter.understand(search.text, keep=known) if known else understanding

    def add_conditions(self, call: SearchCall, search: TextSearch) -> SearchCall:
        """Return the call for what meets those demands of its text that the settings make conditions."""
        self.find_interpreter(call)  # wait for it: a condition holds from the first search on
        return filter_by_demands(call, self.read(search), self._settings.filter_kinds)

    def understand(self, call: SearchCall, text: str) -> Understanding | None:
        """Return what a text demands of the products in a call's index; None where nothing tells."""
        interpreter = self.find_interpreter(call)
        return interpreter.understand(text) if interpreter else None

    def find_interpreter(self, call: SearchCall) -> QueryInterpreter | None:
        """Return what understands the queries of a call's index; None where it has no vocabulary."""
        return self._records.load_interpreter(call)
