"""Compare the documents of attached indexes with their vectors, and change nothing."""

from collections.abc import Iterator
from dataclasses import dataclass

from indexer.attach.attachment import Attachment
from indexer.attach.documents import ShopDocument, ShopProducts, fetch_documents
from indexer.attach.shards import BEFORE_ALL, list_changes, read_positions
from indexer.attach.shop_index import ShopIndex, find_shop_indexes
from indexer.store.bulk import split_chunks
from indexer.store.scan import refresh_index
from indexer.store.session import IndexSession
from mappings.errors import IndexingError

_EXAMPLES = 5


@dataclass(slots=True)
class VectorCheck:
    """How the documents behind a name and their vectors compare.

    Of `documents`, `same` have the vectors of their text, `missing` have none, `outdated` have those of
    another text, model or field map, and `without_text` have neither text nor vectors. `examples` are ids of
    documents to encode.
    """

    name: str
    indexes: tuple[str, ...] = ()
    documents: int = 0
    same: int = 0
    missing: int = 0
    outdated: int = 0
    without_text: int = 0
    examples: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether every document has the vectors of its text, and no others."""
        return not (self.missing or self.outdated)


def verify_vectors(session: IndexSession) -> VectorCheck:
    """Compare every document behind the session's name with its vectors.

    Raises IndexingError where an index is not attached, JobStopped and ClusterDown.
    """
    indexes = find_shop_indexes(session)
    check = VectorCheck(session.alias, tuple(index.name for index in indexes))
    for index in indexes:
        attachment = index.attachment
        if attachment is None:
            raise IndexingError(f"index {index.name} is not attached: attune attach {session.alias}")
        products = ShopProducts(attachment.field_map)
        for document in _read_documents(session, index):
            session.retry.check_stop()
            _compare(document, products, attachment, check)
            session.on_progress(check.documents, 1.0)
    return check


def _read_documents(session: IndexSession, index: ShopIndex) -> Iterator[ShopDocument]:
    """Yield every document of an index. Memory does not grow with their number."""
    client, retry = session.client, session.retry
    positions = read_positions(client, index.name, retry)[index.uuid]
    refresh_index(client, index.name, retry)
    for position in positions:
        for page in list_changes(client, index, position, BEFORE_ALL, retry):
            for keys in split_chunks(page.documents, session.settings.batch):
                yield from fetch_documents(client, index.name, keys, retry)


def _compare(
    document: ShopDocument, products: ShopProducts, attachment: Attachment, check: VectorCheck
) -> None:
    check.documents += 1
    product = products.read(document.key.id, document.source)
    if product is None and not document.attune:
        check.without_text += 1
    elif product and products.is_current(document.attune, product, attachment.model):
        check.same += 1
    else:
        if document.attune:
            check.outdated += 1
        else:
            check.missing += 1
        if len(check.examples) < _EXAMPLES:
            check.examples = (*check.examples, document.key.id)
