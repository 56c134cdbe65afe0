import pytest
from opensearchpy import OpenSearch
from opensearchpy.exceptions import ConnectionError as NoConnection
from opensearchpy.exceptions import NotFoundError

from plugin_api.commands.serve.index_models import other_models


class Transport:
    """Answers every request with one body, or raises it."""

    def __init__(self, answer: object, **_: object) -> None:
        self._answer = answer

    def perform_request(self, *_: object, **__: object) -> object:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def said(answer: object, *versions: str) -> list[str]:
    client = OpenSearch()
    client.close()
    client.transport = Transport(answer)  # type: ignore[assignment]
    return list(other_models(client, "shop", versions or ("aaa",)))


def mapping(model: str) -> dict[str, object]:
    return {"mappings": {"_meta": {"attune": {"model": model}}}}


def test_only_indexes_of_another_model_are_named() -> None:
    lines = said({"shop-1": mapping("bbb"), "shop-2": mapping("aaa"), "plain": {"mappings": {}}})
    assert len(lines) == 1
    assert "shop-1 was made with model bbb, this is aaa" in lines[0]


def test_each_of_several_models_serves_its_own_indexes() -> None:
    assert said({"shop-1": mapping("bbb"), "shop-2": mapping("aaa")}, "aaa", "bbb") == []


@pytest.mark.parametrize("answer", ["", "at your service", [], {"shop": None}, {"shop": {"mappings": []}}])
def test_an_answer_that_is_no_mapping_says_nothing(answer: object) -> None:
    assert said(answer) == []


def test_nothing_is_said_where_nothing_can_be_known() -> None:
    assert said(NotFoundError(404, "index_not_found_exception", {})) == []
    assert said(NoConnection("N/A", "refused", Exception("refused"))) == []
