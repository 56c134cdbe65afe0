"""The clients' own test suites, straight to OpenSearch and through the sidecar: the same results?

Give it a checkout of opensearch-py or opensearch-js whose own dependencies are installed, and an OpenSearch
that holds nothing: the suites wipe it. The sidecar stands in front of that same OpenSearch.

    python -m tests.bench.client_suites --suite ../opensearch-py --python ../opensearch-py/.venv/bin/python \
        --direct http://localhost:9200 --sidecar http://localhost:8080

The REST tests that all of OpenSearch's clients share are in its repository (zip it), and in the artifact
`org.elasticsearch:rest-api-spec:7.10.2`, of the version that OpenSearch was made from.
"""

import json
import os
import random
import re
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import click

from mappings.types import JsonObject
from tests.bench.inputs import machine

PYTHON_TESTS = ("test_opensearchpy/test_server", "test_opensearchpy/test_async/test_server")
PYTHON_LEFT_OUT = {
    "test_opensearchpy/test_server/test_grpc": "gRPC has a port of its own, the sidecar speaks HTTP",
    "test_opensearchpy/test_server/test_rest_api_spec.py": "its tests are another repository's: --rest-tests",
    "test_opensearchpy/test_async/test_server/test_rest_api_spec.py": "the same again",
}
REST_TESTS = "test_opensearchpy/test_server/test_rest_api_spec.py"
REST_TEST = re.compile(r"rest-api-spec/test/(?P<folder>[^/]+)/(?!.*_with_types)[^/]+\.yml$")
REST_FOLDERS = frozenset({
    "count", "explain", "field_caps", "msearch", "scroll", "search", "search.aggregation",
    "search.highlight", "search.inner_hits", "search_shards", "suggest",
})  # fmt: skip
"""Those about search. Files named `_with_types` test what OpenSearch has no more."""

OLDER = re.compile(rb'version: *"? *- *[67]\.[^"\n]*"?')
NO_VERSION = b'version: " - 0.9.99"'
"""A test that skips what is older than 7.1 means Elasticsearch's versions, not OpenSearch 1 to 3."""

ARCHIVE_FOLDER = "OpenSearch-main/rest-api-spec/src/main/resources"
PLUGIN = "given_rest_tests"
PLUGIN_TEXT = '''
"""The suite downloads its REST tests; here they are read from a file."""
import os, types, urllib3

download = urllib3.PoolManager.request

def request(self, method, url, *args, **kwargs):
    if not url.endswith("/archive/main.zip"):
        return download(self, method, url, *args, **kwargs)
    with open(os.environ["REST_TESTS"], "rb") as file:
        return types.SimpleNamespace(data=file.read())

urllib3.PoolManager.request = request
'''

NODE_TESTS = ("test/integration/helpers", "test/integration/serializer")
NODE_LEFT_OUT = {"test/integration/index.js": "downloads its tests from another repository"}
NODE_FIXTURE = "test/fixtures/stackoverflow.ndjson"
"""Questions that opensearch-js indexes. Where a checkout lacks the file, one that fits its tests is made."""

TAP_LINE = re.compile(
    r"^(?P<indent> *)(?P<not>not )?ok \d+ - (?P<name>.*?)(?P<skip> # SKIP.*)?(?: # time=\S+)?( {)?$"
)
TAP_FILE = re.compile(r"^# Subtest: (?P<file>\S+)$")

Results = Mapping[str, str]
"""Test → passed, failed, error or skipped."""


@click.command()
@click.option("--suite", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--direct", required=True, help="OpenSearch. All its indices are deleted.")
@click.option("--sidecar", required=True, help="The sidecar in front of it.")
@click.option(
    "--python",
    default=sys.executable,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Python that has what opensearch-py's tests need.",
)
@click.option(
    "--rest-tests",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Zip or jar with rest-api-spec/test/*.yml: of these, opensearch-py's suite runs those about search.",
)
def main(suite: Path, direct: str, sidecar: str, python: Path, rest_tests: Path | None) -> None:
    """Run a client's suite both ways; print one JSON object; fail where a test ends differently."""
    of_python = (suite / PYTHON_TESTS[0]).is_dir()
    made = not of_python and made_fixture(suite / NODE_FIXTURE)

    def run(url: str) -> Results:
        return python_suite(suite, url, python, rest_tests) if of_python else node_suite(suite, url)

    left_out = dict(PYTHON_LEFT_OUT if of_python else NODE_LEFT_OUT)
    if rest_tests:
        left_out.pop(REST_TESTS, None)
    found = compared(run(direct), run(sidecar))
    report = {
        "measures": "a client's own tests, straight to OpenSearch and through `attune serve`",
        "suite": suite.resolve().name,
        **found,
        "left_out": left_out,
        "made_fixture": made,
        "machine": machine(),
    }
    click.echo(json.dumps(report, indent=2))
    sys.exit(1 if found["different"] or not found["tests"] else 0)


def compared(direct: Results, sidecar: Results) -> JsonObject:
    """How many tests ended how, which ended differently, and which do not pass either way."""
    names = sorted({*direct, *sidecar})
    both = [(name, direct.get(name, "missing"), sidecar.get(name, "missing")) for name in names]
    return {
        "tests": len(names),
        "direct": dict(sorted(Counter(direct.values()).items())),
        "sidecar": dict(sorted(Counter(sidecar.values()).items())),
        "same": sum(one == other for _, one, other in both),
        "different": [
            {"test": name, "direct": one, "sidecar": other} for name, one, other in both if one != other
        ],
        "not_passed_either_way": [
            name for name, one, other in both if one == other and one in ("failed", "error")
        ],
    }


def python_suite(suite: Path, url: str, python: Path, rest_tests: Path | None) -> Results:
    """Results of opensearch-py's tests against a server."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        report = folder / "junit.xml"
        ignored = [f"--ignore={path}" for path in PYTHON_LEFT_OUT if path != REST_TESTS or not rest_tests]
        command = [
            str(python.absolute()),
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            *PYTHON_TESTS,
            *ignored,
        ]
        environment = {"OPENSEARCH_URL": url}
        if rest_tests:
            _pack(rest_tests, folder / "main.zip")
            (folder / f"{PLUGIN}.py").write_text(PLUGIN_TEXT, encoding="utf-8")
            environment |= {"PYTHONPATH": name, "REST_TESTS": str(folder / "main.zip")}
            command += ["-p", PLUGIN]
        _run([*command, f"--junitxml={report}"], suite, environment)
        if not report.exists():
            raise click.ClickException(f"{python} wrote no results: has it pytest and pytest-asyncio?")
        cases = ElementTree.parse(report).iter("testcase")
        return {f"{case.get('classname')}::{case.get('name')}": _outcome(case) for case in cases}


def _pack(source: Path, target: Path) -> None:
    """Put the tests about search where the suite looks for them in OpenSearch's own archive."""
    with zipfile.ZipFile(source) as given, zipfile.ZipFile(target, "w") as packed:
        for name in given.namelist():
            found = REST_TEST.search(name)
            if found and found["folder"] in REST_FOLDERS:
                text = OLDER.sub(NO_VERSION, given.read(name))
                packed.writestr(f"{ARCHIVE_FOLDER}/{found[0]}", text)


def _outcome(case: ElementTree.Element) -> str:
    ends = {"failure": "failed", "error": "error", "skipped": "skipped"}
    return next((ends[child.tag] for child in case if child.tag in ends), "passed")


def node_suite(suite: Path, url: str) -> Results:
    """Results of opensearch-js's tests against a server, each assertion for itself."""
    if not (suite / "node_modules/.bin/tap").exists():
        raise click.ClickException(f"{suite} has no node_modules/.bin/tap: run `npm install` there")
    files = sorted(
        str(file.relative_to(suite)) for name in NODE_TESTS for file in (suite / name).glob("*.test.js")
    )
    command = ["node_modules/.bin/tap", "--no-coverage", "--jobs=1", "--reporter=tap", *files]
    return tap_results(_run(command, suite, {"TEST_OPENSEARCH_SERVER": url}))


def tap_results(text: str) -> Results:
    """Assertions of a TAP report by file, place and name; those of a test carry its number in the file."""
    found: dict[str, str] = {}
    file, test = "", 1
    for line in text.splitlines():
        if subtest := TAP_FILE.match(line):
            file, test = subtest["file"], 1
        elif ended := TAP_LINE.match(line):
            depth = len(ended["indent"]) // 4
            outcome = "failed" if ended["not"] else "skipped" if ended["skip"] else "passed"
            place = (file, f"test {test}") if depth == 2 else (file,) if depth == 1 else ()
            name = " > ".join((*place, ended["name"]))
            seen = sum(other.startswith(name) for other in found) if depth == 2 else 0
            found[f"{name} #{seen + 1}" if seen else name] = outcome
            test += depth == 1
    return found


def made_fixture(path: Path) -> bool:
    """Write a stand-in for the questions that opensearch-js's tests count on; False where they are there."""
    if path.exists() or not path.parent.is_dir():
        return False
    topics = ["javascript"] * 106 + ["ruby"] * 29 + ["css", "linux", "sql"] * 1621
    random.Random(1).shuffle(topics)
    given = {500: "45924372", 4242: "19273860"}
    with path.open("w", encoding="utf-8") as file:
        for number, topic in enumerate(topics, 1):
            title = f"How is number {number} done in {topic}?"
            file.write(json.dumps({"id": given.get(number, str(number)), "title": title}) + "\n")
    return True


def _run(command: list[str], folder: Path, environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=False,  # a suite that has failures exits 1; what failed is in its report
    )
    return done.stdout


if __name__ == "__main__":
    main()
