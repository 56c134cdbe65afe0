"""Every setting with its type, limits, default and description. A section of the settings is a class here."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Literal

from msgspec import Meta

from mappings.domains import SHOP_DOMAIN
from mappings.settings.value_types import (
    AnyCount,
    AnySeconds,
    DemandKinds,
    FusionMethod,
    HeapSize,
    HostList,
    HttpUrl,
    NonNegative,
    PlainFile,
    PositiveCount,
    QueryKinds,
    ShareOfOne,
)

SECRETS = ("opensearch.password", "sidecar.api_keys", "database.url", "shoppers.key")
"""Settings whose values are never shown."""

ENV_PREFIX = "ATTUNE_"


def _split_list(text: str) -> tuple[str, ...]:
    """Return the parts of a text that commas separate, without blanks around them and empty ones."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


@dataclass(frozen=True)
class OpenSearchSettings:
    """The cluster, and who Attune's own commands are there."""

    url: HttpUrl = "http://localhost:9200"
    """Address of the cluster."""
    user: str = ""
    """User name for Attune's own calls. Callers' credentials are passed on unchanged."""
    password: str = ""
    """Password of that user. Better set in the environment than in a file."""
    ca_file: str = ""
    """Certificate authority of a cluster that has its own, a PEM file."""
    verify_certificates: bool = True
    """Check the cluster's certificate. Turn it off for experiments only."""
    client_certificate: str = ""
    """Certificate that Attune shows to the cluster, a PEM file. Callers' requests use it too: give it no
    rights of its own.
    """
    client_key: str = ""
    """Private key of that certificate, where it is in a file of its own."""
    timeout_seconds: Annotated[float, Meta(gt=0)] = 30.0
    """Longest wait, in seconds, for the answer to one of Attune's own calls."""


@dataclass(frozen=True)
class SidecarSettings:
    """The HTTP sidecar (`attune serve`)."""

    host: str = "127.0.0.1"
    """Address that the sidecar listens on. `0.0.0.0` is every interface."""
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    """Port that the sidecar listens on; 0 takes any free port."""
    workers: PositiveCount = 1
    """Processes. Each holds the model in memory."""
    threads: PositiveCount = 32
    """Requests that one process answers at a time."""
    deadline_ms: PositiveCount = 500
    """Milliseconds that a search may take in all. Afterwards the first-stage hits come back."""
    model_deadline_ms: PositiveCount = 10_000
    """Milliseconds that one call of the model routes may take in all, waiting included."""
    max_concurrent_reranks: AnyCount = 16
    """Searches that one process reranks at a time. Further searches come back at once, unranked."""
    max_body_bytes: AnyCount = 10_000_000
    """Largest request body, in bytes, that is read as a search or a model call."""
    max_documents: PositiveCount = 1000
    """Most texts in one call of `/v1/rerank`, `/v2/rerank`, `/rerank` or `/v1/embeddings`."""
    tls_certificate: str = ""
    """Certificate and chain, a PEM file. With it the sidecar speaks HTTPS only."""
    tls_key: str = ""
    """Private key of that certificate, where it is in a file of its own."""
    client_ca: str = ""
    """Certificate authority, a PEM file. With it callers must show a certificate of this authority; health
    and readiness need none.
    """
    api_keys: str = ""
    """Keys, separated by commas. With them Attune's own routes ask for one of them; searches do not."""
    log_format: Literal["text", "json"] = "text"
    """Format of the access log, one line a request."""
    tracing_endpoint: str = ""
    """OTLP/HTTP address that traces are sent to; empty sends none."""


@dataclass(frozen=True)
class SearchSettings:
    """How candidates are gathered, fused and reranked."""

    alias: Annotated[str, Meta(min_length=1)] = "products"
    """Alias that commands use where `--alias` is not given."""
    window: Annotated[int, Meta(ge=1, le=1000)] = 100
    """Number of candidates that are reranked."""
    recall: Literal["off", "fill", "widen"] = "widen"
    """When products that only the vectors find join those that a text finds: never, where the text finds
    fewer than 10, or always.
    """
    floor: ShareOfOne = 0.3
    """The least probability of a product that only the vectors find. One that has none of the text's words
    needs it before calibration, too.
    """
    rescue: bool = True
    """Whether they also join where a search for all words, a phrase or with operators finds nothing at all.
    """
    always: str = ""
    """Fields, separated by commas, whose filters hold before the nearest products are chosen: a tenant, a
    store, a language. An alias's own filter always does.
    """
    fusion: FusionMethod = "minmax"
    """How keyword and vector scores are fused to choose the candidates."""
    vector_weight: ShareOfOne = 0.4
    """Share of the vector score in the fusion, for queries of three or four words."""
    vector_weight_head: ShareOfOne = 0.4
    """The same, for queries of one or two words."""
    vector_weight_model: ShareOfOne = 0.3
    """The same, for queries with a model number in them."""
    vector_weight_sentence: ShareOfOne = 0.5
    """The same, for sentences: five words or more, function words, a question."""
    rrf_k: Annotated[int, Meta(ge=1, le=10_000)] = 60
    """Rank constant of the fusion `rrf`."""
    keyword_weight: NonNegative = 5.0
    """How much nearness to the best keyword hit moves the log-odds. 0 trusts the model alone."""
    keep_order: QueryKinds = ""
    """Kinds of queries, separated by commas, whose hits keep OpenSearch's order. `none` keeps it for none,
    whatever `attune tune` has chosen for an index.
    """
    filter_demands: DemandKinds = ""
    """Kinds of demands, separated by commas, that leave out the products which do not meet them. The others
    only change the order.
    """
    relevance_weight: NonNegative = 1.0
    """Weight of the scorer's relevance head."""
    click_weight: NonNegative = 0.5
    """Weight of the click head. Without training on clicks it equals the relevance head."""
    purchase_weight: NonNegative = 0.5
    """Weight of the purchase head. Without training on purchases it equals the others."""
    popularity: Annotated[float, Meta(ge=0, le=4)] = 2.0
    """Most log-odds that a product's popularity adds, as `attune count` counted it. 0 turns it off."""
    user_strength: Annotated[float, Meta(ge=0, le=4)] = 2.0
    """Most log-odds that the history of a shopper adds to a product, or takes, where a search names one."""
    explore: Annotated[int, Meta(ge=0, le=5)] = 0
    """Places of the first page, from the fourth on, where an experiment shows a product from below it."""
    cache_seconds: Annotated[float, Meta(ge=0, le=3600)] = 60.0
    """Seconds that a ranked window is reused for the next page or the same search, as long as the index
    does not change. 0 ranks every page anew.
    """

    @property
    def head_weights(self) -> tuple[float, float, float]:
        """Weights of the relevance, click and purchase heads."""
        return self.relevance_weight, self.click_weight, self.purchase_weight

    @property
    def kept_kinds(self) -> tuple[str, ...]:
        """Kinds of queries whose hits keep OpenSearch's order."""
        return _split_list(self.keep_order)

    @property
    def filter_kinds(self) -> tuple[str, ...]:
        """Kinds of demands that leave out what does not meet them."""
        return _split_list(self.filter_demands)

    @property
    def always_fields(self) -> tuple[str, ...]:
        """Names of the fields whose filters hold before the nearest products are chosen."""
        return _split_list(self.always)


@dataclass(frozen=True)
class IndexSettings:
    """How `attune index` writes."""

    engine: Literal["lucene", "faiss"] = "lucene"
    """k-NN engine of new indexes. The node of `attune up` has `lucene` alone: an index of `faiss` ends it."""
    vectors: Literal["byte", "float"] = "byte"
    """Type of the k-NN vectors' components. The engine `faiss` needs `float`."""
    shards: PositiveCount = 1
    """Primary shards of new indexes."""
    replicas: AnyCount = 0
    """Replicas of each shard."""
    batch: PositiveCount = 256
    """Products that are encoded and written at a time."""
    keep_previous: AnyCount = 1
    """Old indexes of an alias that are kept for `attune rollback`."""
    min_share: ShareOfOne = 0.5
    """A rebuild with a smaller share of the products that searches have now is refused."""
    max_rejected_share: ShareOfOne = 0.05
    """A rebuild that rejects a greater share of the catalogue's records, and more than 10, is refused. So is
    one that lost its way in a broken file. 1 accepts every catalogue.
    """
    max_unreadable_share: ShareOfOne = 0.05
    """A rebuild is refused where a field can't be read in a share of the records greater by this than for the
    index before. 1 accepts every catalogue.
    """
    retry_seconds: AnySeconds = 300.0
    """Seconds that a job keeps trying while OpenSearch is away or overloaded."""
    tune_seconds: AnySeconds = 20.0
    """Seconds that a rebuild may take at its end to try search settings on made queries, as `attune tune`
    does. 0 turns it off.
    """


@dataclass(frozen=True)
class DatabaseSettings:
    """A database that `attune index` reads."""

    url: str = ""
    """SQLAlchemy URL of the database that `attune index --table` reads. Better set in the environment than
    in a file.
    """
    overlap_seconds: AnySeconds = 60.0
    """Seconds before the last watermark that are read again: the longest that a transaction takes to
    commit.
    """


@dataclass(frozen=True)
class ModelSettings:
    """The model."""

    folder: str = ""
    """Folder of the model; empty is the one shipped with Attune for the language of the titles."""
    others: str = ""
    """Folders of further models, separated by commas. Each serves the indexes that it encoded, so that an
    index and its model change together.
    """
    threads: AnyCount = 0
    """Threads that encode. 0 is every core for products, and one thread for a query."""

    @property
    def other_folders(self) -> tuple[str, ...]:
        """Folders of the models that serve the indexes they encoded, beside the one of all other indexes."""
        return _split_list(self.others)


@dataclass(frozen=True)
class PictureSettings:
    """Pictures of products and pictures as queries (extra `pictures`)."""

    search: bool = False
    """Answer searches by picture. The sidecar loads the picture tower when it starts, about 2 s."""
    folder: str = ""
    """Folder of the picture tower; empty is the one shipped with Attune."""
    hosts: HostList = ""
    """Hosts, separated by commas, that `--images web` may fetch pictures from."""
    recheck: bool = False
    """Have `--images web` ask the servers (HEAD) whether another picture is at an address that was encoded
    before. Else an address stands for one picture.
    """
    per_product: Annotated[int, Meta(ge=1, le=20)] = 3
    """Pictures of a product that are encoded: its first ones, of which the mean is stored."""
    max_bytes: PositiveCount = 10_000_000
    """Largest picture, in bytes, that is read."""
    max_pixels: Annotated[int, Meta(ge=1, le=89_000_000)] = 40_000_000
    """Most pixels of a picture that is read: four bytes of memory each, for as long as that takes."""
    weight: Annotated[float, Meta(ge=0, le=100)] = 1.0
    """How much a picture in a search moves the log-odds of a product, beside the words. 0 leaves the order
    to the words.
    """

    @property
    def allowed_hosts(self) -> tuple[str, ...]:
        """Hosts that pictures may be fetched from."""
        return _split_list(self.hosts)


@dataclass(frozen=True)
class SpeechSettings:
    """Spoken queries (extra `speech`)."""

    search: bool = False
    """Answer spoken searches. The sidecar loads the speech model when it starts: 100 MB, 1 s."""
    folder: str = ""
    """Folder of a Whisper model that CTranslate2 reads; empty is the one of the extra, tiny for English."""
    language: str = "en"
    """Language that is spoken, as Whisper names it; empty has each recording tell."""
    max_bytes: PositiveCount = 5_000_000
    """Largest recording, in bytes, that is read."""
    max_seconds: Annotated[float, Meta(gt=0, le=300)] = 30.0
    """Longest recording, in seconds, that is read."""
    threads: PositiveCount = 1
    """Threads that transcribe one recording."""


@dataclass(frozen=True)
class ClickSettings:
    """How a click log becomes training data: whose searches count, and how much evidence it takes."""

    actions: str = ""
    """Further names of events in the log, such as `produktklick=click, kauf=purchase`."""
    id_column: str = ""
    """The catalogue's column that the log names products by, where it is not their id."""
    cart_counts: bool = True
    """Count what is put in the cart as bought: checkouts seldom carry the id of a query."""
    session_minutes: Annotated[float, Meta(gt=0)] = 30.0
    """Minutes within which the same search of a client counts once."""
    robot_searches_per_minute: PositiveCount = 30
    """A client that ever searched more often in a minute is a robot. Raise it for search-as-you-type."""
    robot_searches_per_day: PositiveCount = 500
    """A client that searched more often within 24 hours is a robot."""
    burst_clicks: PositiveCount = 5
    """More clicks than this within `clicks.burst_seconds` do not count."""
    burst_seconds: AnySeconds = 5.0
    """Seconds of a burst of clicks."""
    min_searches: AnyCount = 10
    """Searches that a query needs to count."""
    min_clients: AnyCount = 3
    """Clients that must have searched for a query."""
    min_clicks: AnyCount = 3
    """Clicks that a query needs to count."""
    min_examined: NonNegative = 5.0
    """Expected number of times that shoppers must have looked at a product."""
    prior_strength: Annotated[float, Meta(gt=0)] = 5.0
    """Number of looks that the mean click rate counts for: products with little evidence are drawn to it."""


@dataclass(frozen=True)
class ShopperSettings:
    """What is stored of shoppers, and what it is used for. Off without a key."""

    key: str = ""
    """Secret that shoppers' ids are hashed with before they are stored. Empty stores no events and knows no
    shopper. A new key forgets everybody. Better set in the environment than in a file.
    """
    retention_days: Annotated[int, Meta(ge=1, le=3650)] = 400
    """Days that events are kept. `attune count` deletes the months before."""
    origins: Annotated[
        str,
        Meta(
            pattern=r"^\s*(|\*|https?://[^\s,/]+(\s*,\s*https?://[^\s,/]+)*)\s*$",
            extra={"allowed": "origins such as https://shop.example.com, or *"},
        ),
    ] = ""
    """Origins, separated by commas, whose pages may send events. With it, events need no API key."""
    user_header: Annotated[
        str, Meta(pattern=r"^[A-Za-z0-9-]{0,100}$", extra={"allowed": "the name of an HTTP header"})
    ] = ""
    """Header of a search that names its shopper, where `ext.attune.user` does not. Set it only where none but
    the shop's own servers send it.
    """
    events_per_minute: PositiveCount = 600
    """Events that one client address may send a minute."""
    type_field: Annotated[str, Meta(min_length=1)] = "category"
    """Field of a product's type: when a product is due again, and what shoppers like, is learnt by type."""
    maker_field: Annotated[str, Meta(min_length=1)] = "brand"
    """Field of a product's maker."""

    @property
    def allowed_origins(self) -> tuple[str, ...]:
        """The origins whose pages may send events."""
        return _split_list(self.origins)


@dataclass(frozen=True)
class ExperimentSettings:
    """Two ways to rank, compared on the shop's own shoppers. Off without a name; needs `shoppers.key`."""

    name: Annotated[
        str,
        Meta(pattern=r"^[a-z0-9-]{0,40}$", extra={"allowed": "up to 40 small letters, digits and hyphens"}),
    ] = ""
    """Name of the experiment: another name starts another one. Empty is off."""
    method: Literal["interleave", "split", "bandit"] = "interleave"
    """Show both rankings in one list, show each shopper one of the two, or show what is clicked most."""
    first: str = ""
    """Settings of `[search]` in force for the first ranking, such as `keyword_weight=3, rrf_k=60`; empty is
    all as they are set.
    """
    second: str = ""
    """The same for the second ranking. A bandit tries up to four, separated by semicolons."""
    share: ShareOfOne = 1.0
    """Share of the shoppers, or of the texts where no shopper is named, that take part."""


@dataclass(frozen=True)
class DomainSettings:
    """What kind of things the catalogue holds."""

    name: Annotated[str, Meta(min_length=1)] = SHOP_DOMAIN
    """`shop`, `finance`, `medicine`, or a folder. Its settings replace the defaults of these."""


@dataclass(frozen=True)
class PreviewSettings:
    """The search preview page at `/_attune/`."""

    judgements: PlainFile = ""
    """CSV file that grades given on the preview page are saved in. Empty keeps them in the browser."""
    image_hosts: HostList = ""
    """Hosts, separated by commas, that the page may load product images from; empty is none."""
    shoppers: str = ""
    """Ids of shoppers, separated by commas, as whom the page can search and be recommended products. Needs
    `shoppers.key`. Whoever opens the page sees what they bought: name made-up ones.
    """

    @property
    def images(self) -> tuple[str, ...]:
        """The hosts that the page may load product images from."""
        return _split_list(self.image_hosts)

    @property
    def sample_shoppers(self) -> tuple[str, ...]:
        """The shoppers as whom the page can search."""
        return _split_list(self.shoppers)


@dataclass(frozen=True)
class NodeSettings:
    """The embedded OpenSearch node (`attune up`)."""

    home: str = ""
    """Folder of the node and its data; empty is `ATTUNE_HOME`."""
    heap: HeapSize = "1g"
    """Memory that the node's JVM takes for its heap."""


@dataclass(frozen=True)
class Settings:
    """All settings. `origins` maps `section.key` to where its value came from."""

    opensearch: OpenSearchSettings = field(default_factory=OpenSearchSettings)
    sidecar: SidecarSettings = field(default_factory=SidecarSettings)
    search: SearchSettings = field(default_factory=SearchSettings)
    index: IndexSettings = field(default_factory=IndexSettings)
    database: DatabaseSettings = field(default_factory=DatabaseSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    pictures: PictureSettings = field(default_factory=PictureSettings)
    speech: SpeechSettings = field(default_factory=SpeechSettings)
    clicks: ClickSettings = field(default_factory=ClickSettings)
    shoppers: ShopperSettings = field(default_factory=ShopperSettings)
    experiment: ExperimentSettings = field(default_factory=ExperimentSettings)
    domain: DomainSettings = field(default_factory=DomainSettings)
    preview: PreviewSettings = field(default_factory=PreviewSettings)
    node: NodeSettings = field(default_factory=NodeSettings)
    origins: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def rows(self) -> Iterator[tuple[str, object, str]]:
        """Yield (`section.key`, value, origin) for every setting, with secrets masked."""
        for name, value in self._values():
            yield name, "***" if name in SECRETS and value else value, self.origins.get(name, "default")

    def as_environment(self) -> dict[str, str]:
        """Return the variables that give another process these settings, secrets included."""
        return {environment_variable(name): str(value) for name, value in self._values()}

    def _values(self) -> Iterator[tuple[str, object]]:
        for section in SECTIONS:
            values = getattr(self, section)
            for key in fields(values):
                yield f"{section}.{key.name}", getattr(values, key.name)


SECTIONS: Mapping[str, Any] = {
    section.name: section.default_factory for section in fields(Settings) if section.name != "origins"
}
"""The class of each section, by the section's name."""


def environment_variable(name: str) -> str:
    """Return the variable that overrides the setting `section.key`: `ATTUNE_SECTION_KEY`."""
    return ENV_PREFIX + name.replace(".", "_").upper()
