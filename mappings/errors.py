"""Every error that Attune raises on purpose.

AttuneError
├── SettingsError        a setting is unknown, missing or of the wrong type
├── CatalogueError       a catalogue file can't be used as it is
├── LabelsError          a judgements file or click log can't be used as it is
├── EvaluationError      rankings can't be measured: a run file is broken, nothing to measure
├── ModelError           a model folder can't be used
│   ├── ModelMismatch    an index was made with another model version
│   └── UnreadableQuery  a query is in a script that the model doesn't know
├── NodeError            the embedded OpenSearch node can't be had or started
├── ClusterDown          OpenSearch does not answer
├── IndexingError        an index can't be written
│   └── JobRunning       another job is at work on the same alias
├── JobStopped           a job was told to stop before its end
├── InstallError         Attune can't be put inside a cluster
├── BadPicture           a picture is too large, broken or of an unknown format
├── BadAudio             a recording is too large, broken or of an unknown format
└── BadRequest           a caller's search request is malformed

The command line prints an AttuneError as one line and exits with its `exit_code`; the sidecar turns
it into OpenSearch's error shape.
"""


class AttuneError(Exception):
    """Base of the tree. The message says what is wrong, where, and what to do about it."""

    exit_code = 1


class SettingsError(AttuneError):
    """A setting, option or configuration file is unknown, missing or of the wrong type."""

    exit_code = 2


class CatalogueError(AttuneError):
    """A catalogue file is missing, of no known format, or holds no usable record."""


class LabelsError(AttuneError):
    """A judgements file or a click log is missing, unreadable, or holds nothing to learn from."""


class EvaluationError(AttuneError):
    """Rankings can't be measured: a run file is broken, or no judged query is left to measure them by."""


class ModelError(AttuneError):
    """A model folder lacks a file, or a file in it can't be read."""


class ModelMismatch(ModelError):
    """An index holds vectors of another model version than the one in hand."""


class UnreadableQuery(ModelError):
    """Most of a query is unknown to the model's tokenizer: its vector would say nothing."""


class NodeError(AttuneError):
    """The embedded OpenSearch node can't be downloaded, started or stopped."""


class ClusterDown(AttuneError):
    """OpenSearch does not answer at the configured address."""


class IndexingError(AttuneError):
    """OpenSearch refused the index or its documents."""


class JobRunning(IndexingError):
    """Another job is at work on the same alias; schedulers know it by its exit code."""

    exit_code = 3


class JobStopped(AttuneError):
    """A job was told to stop, as by SIGTERM, before its end."""


class InstallError(AttuneError):
    """A cluster lacks what Attune needs to rerank inside it, or refuses a step of putting it there."""


class BadPicture(AttuneError):
    """A picture is too large, broken or of an unknown format."""


class BadAudio(AttuneError):
    """A recording is too large or too long, broken, empty or of an unknown format."""


class BadRequest(AttuneError):
    """A search request is malformed; rendered as HTTP 400 in OpenSearch's error shape."""

    exit_code = 2

    def __init__(self, reason: str, kind: str = "illegal_argument_exception") -> None:
        super().__init__(reason)
        self.kind = kind
