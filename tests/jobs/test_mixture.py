"""What a mixture asks for: sources parsed and refused, epochs from weights and tokens, copies by hash."""

import json
import math
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from lakeloom.jobs import markers, mixture, mixture_file, shares
from lakeloom.jobs.mixture import Limits, Source
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.pools import SourceFile
from tests.webserver import serving

KEYS = [sha256(str(number).encode()).hexdigest() for number in range(4000)]
FREE = Limits(tokens=0, allow_repeats=True, max_epochs=100)
STRICT = Limits(tokens=0, allow_repeats=False, max_epochs=4)


def by(amount: str, **values: float) -> list[Source]:
    return [Source(name, "files", f"./{name}", amount, value) for name, value in values.items()]


@pytest.mark.spark
def test_copies_are_dclms_and_more_epochs_take_every_document_at_least_as_often(spark: SparkSession) -> None:
    wanted = [0, 1e-9, 0.2, 0.5, 0.999, 1, 1.3, 2.09, 2.25, 7.5, 8]
    keys = spark.createDataFrame([(key,) for key in KEYS], "key STRING")
    rows = keys.select("key", *(shares.num_copies("key", epochs).alias(str(epochs)) for epochs in wanted)).collect()
    assert all(list(row[1:]) == sorted(row[1:]) for row in rows)
    for epochs in wanted:
        whole, part = math.floor(epochs), epochs - math.floor(epochs)
        drawn = {row["key"]: int(row["key"][:13], 16) / 2**52 for row in rows}
        assert all(row[str(epochs)] == whole + (drawn[row["key"]] < part) for row in rows)
        number = sum(row[str(epochs)] for row in rows)
        assert abs(number - epochs * len(KEYS)) <= 5 * math.sqrt(len(KEYS) * part * (1 - part)) + 1


@given(st.lists(st.tuples(st.integers(1, 10**12), st.integers(1, 1000)), min_size=1, max_size=6))
def test_weights_without_a_total_give_their_shares_and_use_up_one_source(sizes: list[tuple[int, int]]) -> None:
    total = sum(weight for _, weight in sizes)
    sources = by("weight", **{f"s{nth}": weight / total for nth, (_, weight) in enumerate(sizes)})
    available = {f"s{nth}": number for nth, (number, _) in enumerate(sizes)}
    found = mixture.epochs(sources, available, STRICT)
    assert max(found.values()) == 1
    tokens = {name: found[name] * available[name] for name in found}
    whole = sum(tokens.values())
    assert all(tokens[source.name] / whole == pytest.approx(source.value) for source in sources)


def test_amounts_are_epochs_of_what_there_is() -> None:
    available = {"a": 1000, "b": 10}
    assert mixture.epochs(by("tokens", a=250, b=10), available, STRICT) == {"a": 0.25, "b": 1}
    assert mixture.epochs(by("epochs", a=2.3, b=0), available, STRICT) == {"a": 2.3, "b": 0}
    half = Limits(tokens=100, allow_repeats=True, max_epochs=5)
    assert mixture.epochs(by("weight", a=0.5, b=0.5), available, half) == {"a": 0.05, "b": 5}
    mixed = [*by("tokens", a=100), *by("epochs", b=3)]
    assert mixture.epochs(mixed, available, STRICT) == {"a": 0.1, "b": 3}


@pytest.mark.parametrize(
    ("sources", "limits", "said"),
    [
        (
            by("tokens", a=50, b=20),
            STRICT,
            r"source 'b' has 10 tokens to train on, 20 are wanted: 2 epochs; .*repeats=true",
        ),
        (by("weight", a=0.5, b=0.5), Limits(100, False, 4), r"'b' .*: 5 epochs; .* a smaller weight or mix.tokens"),
        (by("weight", a=0.5, b=0.5), Limits(100, True, 4), r"'b' would be repeated 5 times, mix.max_epochs=4"),
        (by("epochs", a=4.5, b=1), STRICT, r"'a' would be repeated 4.5 times"),
        (by("tokens", a=1, c=1), STRICT, r"'c' has no document to train on"),
    ],
)
def test_what_sources_are_too_small_for_is_refused(sources: list[Source], limits: Limits, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        mixture.epochs(sources, {"a": 1000, "b": 10, "c": 0}, limits)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "sources is"),
        ("web", "sources is 'web'"),
        (["web"], "source 0: 'web' is not a mapping"),
        ([{"name": "a", "files": "x", "wieght": 1}], "no key 'wieght'; nearest: weight"),
        ([{"files": "x", "weight": 1}], "name=''"),
        ([{"name": "a/b", "files": "x", "weight": 1}], "name='a/b'"),
        ([{"name": "a", "weight": 1}], "exactly one of dataset, table, files, reference; has none"),
        ([{"name": "a", "files": "x", "table": "y", "weight": 1}], "has table and files"),
        ([{"name": "a", "files": "x"}], "exactly one of weight, tokens, epochs"),
        ([{"name": "a", "files": "", "weight": 1}], "files is empty"),
        ([{"name": "a", "files": "x", "weight": -1}], "weight is -1; give a finite number from 0"),
        ([{"name": "a", "files": "x", "epochs": math.nan}], "epochs is nan"),
        ([{"name": "a", "files": "x", "tokens": math.inf}], "tokens is inf"),
        ([{"name": "a", "files": "x", "weight": True}], "weight is True"),
        ([{"name": "a", "files": "x", "weight": 1, "where": "true"}], "where belongs to a table"),
        ([{"name": "a", "table": "x", "weight": 1, "version": -3}], "version is -3"),
        ([{"name": n, "files": "x", "weight": 0.5} for n in "aa"], "two sources named 'a'"),
        ([{"name": n, "files": "x", "weight": 0.7} for n in "ab"], "weights sum to 1.4"),
        ([{"name": "a", "files": "x", "weight": 1}, {"name": "b", "files": "y", "epochs": 1}], "b without a weight"),
    ],
)
def test_odd_sources_are_refused_by_name(rows: object, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        mixture.parse(rows, "mix.sources")


def test_a_source_says_where_and_how_much() -> None:
    row = {"name": "t", "table": "/data/t", "version": 3, "column": "body", "where": "n > 1", "tokens": 10}
    assert mixture.parse([row], "x") == (Source("t", "table", "/data/t", "tokens", 10.0, "body", "n > 1", 3),)


DCLM = {
    "sources": [
        {"source": "COMMON_CRAWL", "markers": ["common_crawl", "cc"]},
        {"source": "WIKI", "markers": ["wikipedia"]},
        {"source": "UNKNOWN", "markers": []},
    ],
    "sampling_frequencies": {"COMMON_CRAWL": 0.92, "WIKI": 2.27, "UNKNOWN": 0},
}


def files(*keys: str) -> list[SourceFile]:
    return [SourceFile(key, f"/{key}", 1) for key in keys]


def test_files_go_to_the_first_source_with_a_marker_in_their_key() -> None:
    keys = ("rpj/cc/wikipedia.jsonl", "rpj/wikipedia/1.jsonl", "rpj/wikipedia/2.jsonl", "rpj/other.jsonl")
    found = markers.sources(DCLM, files(*keys), "rpj.yaml")
    assert [(one.name, one.amount, one.value, [file.path for file in one.files]) for one in found] == [
        ("COMMON_CRAWL", "epochs", 0.92, [keys[0]]),
        ("WIKI", "epochs", 2.27, [keys[1], keys[2]]),
        ("UNKNOWN", "epochs", 0.0, [keys[3]]),
    ]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({**DCLM, "sampling_frequencies": {"WIKI": 1}}, "none of source 'COMMON_CRAWL', which has 1 files"),
        (
            {"sources": DCLM["sources"], "sampling_frequencies": {"COMMON_CRAWL": "x"}},
            "frequency of COMMON_CRAWL is 'x'",
        ),
        ({"sources": [], "sampling_frequencies": {}}, "1 files have no source's marker .* no source UNKNOWN"),
        ({"sources": ["a"], "sampling_frequencies": {}}, "'a' is no source"),
        ({"sources": [{"source": "A", "markers": [""]}], "sampling_frequencies": {}}, "empty marker"),
        ({"sources": 3, "sampling_frequencies": {}}, "sources is 3"),
        ({"sources": [], "sampling_frequencies": []}, "sampling_frequencies is"),
        ({**DCLM, "seed": 1}, "no key 'seed'"),
    ],
)
def test_odd_mixing_files_are_refused(config: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        markers.sources(config, files("cc.jsonl"), "rpj.yaml")


@pytest.mark.parametrize(
    ("place", "path", "key"),
    [
        ("data/c4", "a/1.jsonl", "data/c4/a/1.jsonl"),
        ("/data/c4/", "1.jsonl", "/data/c4/1.jsonl"),
        ("s3://bucket/rpj", "cc/1.jsonl", "rpj/cc/1.jsonl"),
        ("s3://bucket", "cc/1.jsonl", "cc/1.jsonl"),
        ("data/1.jsonl", "1.jsonl", "data/1.jsonl"),
    ],
)
def test_keys_are_paths_as_given_and_s3_keys_without_the_bucket(place: str, path: str, key: str) -> None:
    assert markers.key_of(place, path) == key


def test_files_of_one_key_on_several_hosts_are_all_taken(tmp_path: Path) -> None:
    """Each by its address, where its key isn't enough; markers are looked for in the key alone."""
    for name in ("wikipedia/pile/cc_1.jsonl", "wikipedia/pile/wikipedia.jsonl", "b/pile/cc_1.jsonl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text('{"text": "a"}\n')
    mixing = tmp_path / "mixing.yaml"
    mixing.write_text(json.dumps(DCLM))
    with serving(tmp_path / "wikipedia") as one, serving(tmp_path / "b") as other:
        places = [one.address_of("pile/"), other.address_of("pile/"), one.address_of("pile/cc_1.jsonl")]
        web, wiki = mixture_file.load(str(mixing), [], places)
        (alone,) = mixture_file.load(str(mixing), [], places[1:2])
    shared = sorted(server.address_of("pile/cc_1.jsonl") for server in (one, other))
    assert [(file.path, file.address) for file in web.files] == [(address, address) for address in shared]
    assert [file.path for file in wiki.files] == ["pile/wikipedia.jsonl"]
    assert [file.path for file in alone.files] == ["pile/cc_1.jsonl"]


def test_a_mixture_is_in_a_file_or_in_the_command(tmp_path: Path) -> None:
    rows = [{"name": "a", "files": "x", "weight": 1}]
    path = tmp_path / "mixture.yaml"
    path.write_text("sources:\n  - {name: a, files: x, weight: 1}\n")
    assert mixture_file.load(str(path), [], []) == mixture_file.load("", rows, [])
    with pytest.raises(ConfigError, match="neither was given"):
        mixture_file.load("", [], [])
    with pytest.raises(ConfigError, match="both were given"):
        mixture_file.load(str(path), rows, [])
    with pytest.raises(ConfigError, match=r"mix\.inputs are for a mixing YAML"):
        mixture_file.load("", rows, ["x"])
    for text, said in (("[1]", "holds list"), ("a: [", "is no YAML"), ("source: []", "nearest: sources")):
        path.write_text(text)
        with pytest.raises(ConfigError, match=said):
            mixture_file.load(str(path), [], [])
    with pytest.raises(ConfigError, match="No such file"):
        mixture_file.load(str(tmp_path / "none.yaml"), [], [])
    path.write_text("sources: []\nsampling_frequencies: {}")
    with pytest.raises(ConfigError, match=r"say mix\.inputs"):
        mixture_file.load(str(path), [], [])
