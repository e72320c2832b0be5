"""Sources mixed to one dataset version: which documents, how often, in which split, and what is refused."""

import gzip
import json
import math
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lakeloom.jobs import cli, corpora, lengths, markers, mix, mix_sources, registry, report_facts, withdrawn
from lakeloom.jobs.mix import MixConfig
from lakeloom.jobs.mixture import Source
from lakeloom.lakehouse import takedowns
from lakeloom.lakehouse.errors import BadInput, ConfigError, Incomplete, LakeloomError
from lakeloom.lakehouse.pools import SourceFile
from lakeloom.lakehouse.report import Report
from lakeloom.lakehouse.shards import Manifest
from lakeloom.lakehouse.store import Lakehouse, LakehouseConfig
from lakeloom.lakehouse.tokens import Tokenizer, train_sentencepiece
from tests.webserver import serving

pytestmark = pytest.mark.spark

Docs = Sequence[tuple[str, str]]  # text and address

WEB = [(f"page {nth}: " + "the cat sat\n" * (nth % 7), f"https://web.example/{nth}") for nth in range(120)]
WIKI = [*[(f"article {nth} " * (1 + nth % 4), "") for nth in range(60)], ("the same", ""), ("the same", "")]
NOTES = [(f"note {nth} of the river", "") for nth in range(80)]
SHARE = 0.1


def lines(documents: Docs) -> str:
    return "".join(json.dumps({"text": text} | ({"url": url} if url else {})) + "\n" for text, url in documents)


def write(folder: Path, spark: SparkSession, order: int = 1, parts: int = 1) -> None:
    """The sources: JSON lines, plain and zstd, a Parquet file, a Delta table; with broken lines and without texts."""
    for name in ("web", "wiki"):
        (folder / name).mkdir(parents=True)
    web, size = WEB[::order], -(-len(WEB) // parts)
    for part in range(parts):
        (folder / f"web/{part}.jsonl").write_text(lines(web[part * size : (part + 1) * size]))
    with (folder / "web/0.jsonl").open("a") as file:
        file.write('{broken\n{"text": null}\n')
    (folder / "wiki/all.jsonl.zst").write_bytes(zstandard.compress(lines(WIKI[::order]).encode()))
    texts = [*[text for text, _ in NOTES[::order]], None, ""]
    pq.write_table(pa.table({"body": texts}), folder / "notes.parquet")
    rows = spark.createDataFrame([(text, nth) for nth, text in enumerate(texts)], "body STRING, n INT")
    rows.repartition(parts).write.format("delta").save(str(folder / "table"))


@pytest.fixture(scope="module")
def data(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    write(folder, spark)
    (folder / "small.model").write_bytes(train_sentencepiece([text for text, _ in [*WEB, *WIKI, *NOTES]], 290))
    return folder


def config(lake: Lakehouse, data: Path, *words: str) -> MixConfig:
    made = cli.load(
        "mix",
        f"lakehouse.root={lake.cfg.root}",
        "tokenizer=file",
        f"tokenizer.path={data / 'small.model'}",
        f"mix.holdout_share={SHARE}",
        "mix.dataset=ours",
        *words,
    )
    assert isinstance(made, MixConfig)
    return made


def run(lake: Lakehouse, data: Path, *words: str) -> Report:
    return cli.run("mix", lake.spark, config(lake, data, *words))


def thirds(folder: Path) -> str:
    """Three sources by weight."""
    web, wiki = (
        f"{{name: {name}, files: {folder}/{name}, weight: {share}}}" for name, share in (("web", 0.5), ("wiki", 0.3))
    )
    return f"mix.sources=[{web}, {wiki}, {{name: notes, files: {folder}/notes.parquet, column: body, weight: 0.2}}]"


def is_held(text: str) -> bool:
    text_sha = sha256(text.encode()).hexdigest()[:32]
    return int(sha256(f"holdout/0/{text_sha}".encode()).hexdigest()[:13], 16) < int(SHARE * 2**52)


def expected(documents: Docs, name: str, epochs: float) -> dict[str, tuple[str, str]]:
    """The rule in other words: split and text by doc_id."""
    found, seen = dict[str, tuple[str, str]](), Counter[str]()
    for text, url in documents:
        place = sha256(f"{sha256(text.encode()).hexdigest()}/{url}".encode()).hexdigest()[:32]
        place = f"{place}/{seen[place]}"
        seen[place.partition("/")[0]] += 1
        drawn = int(sha256(f"mix/0/{name}/{place}".encode()).hexdigest()[:13], 16) / 2**52
        times = math.floor(epochs) + (drawn < epochs - math.floor(epochs))
        for copy in range(min(times, 1) if is_held(text) else times):
            doc_id = sha256(f"mixed/{name}/{place}/{copy}".encode()).hexdigest()[:32]
            found[doc_id] = ("holdout" if is_held(text) else "train", text)
    return found


def corpus(lake: Lakehouse, report: Report) -> dict[str, tuple[str, str]]:
    rows = lake.read("gold.corpus").where(F.col("corpus_id") == report.facts["corpus_id"]).collect()
    assert len({row["doc_id"] for row in rows}) == len(rows)
    return {row["doc_id"]: (row["split"], row["text"]) for row in rows}


def mixes(lake: Lakehouse, report: Report) -> dict[str, dict[str, object]]:
    rows = lake.read("gold.mixes").where(F.col("corpus_id") == report.facts["corpus_id"]).collect()
    return {row["source"]: row.asDict() for row in rows}


def tokens(tokenizer: Tokenizer, texts: Iterable[str]) -> int:
    return sum(len(tokenizer.encode(text)) + 1 for text in texts)


def test_a_mix_by_weights_is_made_once_and_exported_whole(lake: Lakehouse, data: Path, tmp_path: Path) -> None:
    report = run(lake, data, thirds(data))
    rows, tokenizer = mixes(lake, report), Tokenizer.load(data / "small.model")
    documents = {"web": WEB, "wiki": WIKI, "notes": NOTES}
    wanted: dict[str, tuple[str, str]] = {}
    for name, weight in (("web", 0.5), ("wiki", 0.3), ("notes", 0.2)):
        available = tokens(tokenizer, (text for text, _ in documents[name] if not is_held(text)))
        assert rows[name]["available_tokens"] == available
        epochs = float(str(rows[name]["epochs"]))
        ours = expected(documents[name], name, epochs)
        assert rows[name]["num_tokens"] == tokens(
            tokenizer, (text for split, text in ours.values() if split == "train")
        )
        assert epochs * available * 0.5 == pytest.approx(float(str(rows["web"]["wanted_tokens"])) * weight)
        wanted |= ours
    assert max(float(str(row["epochs"])) for row in rows.values()) == 1
    assert corpus(lake, report) == wanted
    assert {name: row["dropped"] for name, row in rows.items()} == {
        "web": {"bad_json": 1, "no_text": 1},
        "wiki": {},
        "notes": {"no_text": 2},
    }
    num_in = len(WEB) + len(WIKI) + len(NOTES) + 4
    assert (report.rows_in, report.rows_out, report.dropped) == (num_in, len(wanted), num_in - len(wanted))
    assert [row[0] for row in report.sheets[0].rows] == ["notes", "web", "wiki"]
    assert sum(float(str(row[5]).rstrip("%")) for row in report.sheets[0].rows) == pytest.approx(100, abs=0.1)

    names = ("silver.lengths", "gold.corpus", "gold.mixes")
    versions = {name: lake.version(name) for name in names}
    again = run(lake, data, thirds(data))
    assert again.facts == report.facts | {"was_there": 1} and again.sheets == report.sheets
    (Path(lake.cfg.root) / "tables/gold/mixes").rename(tmp_path / "lost")  # as if killed before its last commit
    assert run(lake, data, thirds(data)).sheets == report.sheets
    assert {name: lake.version(name) for name in names[:2]} == {name: versions[name] for name in names[:2]}

    exported = export(lake, data)
    assert exported.facts["tokens_in"] == report.facts["tokens"]
    folder = Path(str(exported.facts["folder"]))
    facts = Manifest.load(folder).dataset
    assert (facts.name, facts.corpus_id, facts.recipe) == ("ours", report.facts["corpus_id"], "mix")
    with zstandard.open(folder / "holdout.jsonl.zst", "rt", encoding="utf-8") as file:
        held = {json.loads(line)["doc_id"] for line in file}
    assert held == {doc_id for doc_id, (split, _) in wanted.items() if split == "holdout"}

    (dataset,) = report_facts.datasets(lake, [("ours", facts.export_id)])  # on the page of lakeloom report
    assert dataset.steps == report.sheets[0]
    said = f"{report.facts['train']} to train, {report.facts['holdout']} held out"
    assert {"mix of": "notes, web, wiki", "documents": said}.items() <= dict(dataset.facts).items()


def export(lake: Lakehouse, data: Path) -> Report:
    words = (f"lakehouse.root={lake.cfg.root}", "tokenizer=file", f"tokenizer.path={data / 'small.model'}")
    return cli.run("export", lake.spark, cli.load("export", *words, "export.mix=ours", "export.context=16"))


def test_neither_files_nor_partitions_nor_order_decide(lake: Lakehouse, data: Path, tmp_path: Path) -> None:
    write(tmp_path / "other", lake.spark, order=-1, parts=3)
    words = "[{{name: web, files: {0}/web, epochs: 0.5}}, {{name: notes, table: {0}/table, column: body, epochs: 1.7}}]"
    one = run(lake, data, f"mix.sources={words.format(data)}")
    before = lake.spark.conf.get("spark.sql.shuffle.partitions") or "2"
    lake.spark.conf.set("spark.sql.shuffle.partitions", "5")
    try:
        other = run(lake, data, f"mix.sources={words.format(tmp_path / 'other')}")
    finally:
        lake.spark.conf.set("spark.sql.shuffle.partitions", before)
    wanted = expected(WEB, "web", 0.5) | expected(NOTES, "notes", 1.7)
    assert corpus(lake, one) == corpus(lake, other) == wanted
    assert one.facts["corpus_id"] != other.facts["corpus_id"]  # files and table are others


def test_a_larger_share_has_the_smaller_and_counts_nothing_again(lake: Lakehouse, data: Path) -> None:
    found = []
    for epochs in (0.3, 2.3):
        report = run(lake, data, f"mix.sources=[{{name: wiki, files: {data}/wiki, epochs: {epochs}}}]")
        found.append(corpus(lake, report))
        assert found[-1] == expected(WIKI, "wiki", epochs)
        assert lake.read("silver.lengths").count() == len(WIKI)
    assert set(found[0]) < set(found[1])
    times = Counter(text for split, text in found[1].values() if split == "train" and text != "the same")
    assert set(times.values()) == {2, 3}
    assert {text for split, text in found[1].values() if split == "holdout"}.isdisjoint(times)


def test_what_a_dataset_holds_out_is_trained_on_nowhere(lake: Lakehouse, data: Path, tmp_path: Path) -> None:
    first = run(lake, data, f"mix.sources=[{{name: web, files: {data}/web, epochs: 1}}]")
    held = {text for split, text in corpus(lake, first).values() if split == "holdout"}
    sources = f"[{{name: web, dataset: ours, epochs: 2}}, {{name: again, files: {data}/web, epochs: 1}}]"
    report = run(lake, data, "mix.dataset=both", "mix.holdout_share=0", f"mix.sources={sources}")
    found = corpus(lake, report)
    assert {text for split, text in found.values() if split == "holdout"} == held != set()
    assert {text for split, text in found.values() if split == "train"} == {text for text, _ in WEB} - held
    rows = mixes(lake, report)
    assert (rows["again"]["num_held_text"], rows["again"]["num_holdout"]) == (len(held), 0)
    assert rows["web"]["num_rows"] == 2 * (len(WEB) - len(held))
    mixed = lake.read("gold.corpus").where(F.col("corpus_id") == report.facts["corpus_id"]).where("source = 'web'")
    assert {row["origin"] for row in mixed.collect()} == set(corpus(lake, first))


def test_dclms_mixing_file_and_references_are_read_as_they_are(lake: Lakehouse, data: Path, tmp_path: Path) -> None:
    reference = tmp_path / "wiki.json"
    facts = {"uuid": "u-1", "name": "wiki_raw", "dataset_url": f"{data}/wiki/", "tokenized": False, "sources": []}
    reference.write_text(json.dumps(facts | {"data_key": "jsonl.zst", "num_tokens": None}))
    mixing = tmp_path / "rpj.yaml"
    mixing.write_text(
        "sources:\n- {source: WEB, markers: [/web/]}\n- {source: WIKI, markers: [wiki]}\n"
        "- {source: UNKNOWN, markers: []}\nsampling_frequencies: {WEB: 0.4, WIKI: 2.25, UNKNOWN: 0, BOOKS: 2.09}\n"
    )
    report = run(lake, data, f"mix.file={mixing}", f"mix.inputs=[{data}/web,{reference}]")
    assert corpus(lake, report) == expected(WEB, "WEB", 0.4) | expected(WIKI, "WIKI", 2.25)
    opened = mix_sources.open_source(lake, Source("WIKI", "reference", str(reference), "epochs", 1.0))
    assert json.loads(str(opened.reference)) == {"uuid": "u-1", "name": "wiki_raw", "sources": []}
    assert opened.documents.count() == len(WIKI)


def test_an_exported_mix_says_what_it_is_of(lake: Lakehouse, data: Path, tmp_path: Path) -> None:
    reference = tmp_path / "wiki.json"
    facts = {"uuid": "u-1", "name": "wiki_raw", "dataset_url": f"{data}/wiki/", "tokenized": False, "sources": []}
    reference.write_text(json.dumps(facts))
    web, wiki = f"{{name: web, files: {data}/web, epochs: 0.5}}", f"{{name: wiki, reference: {reference}, epochs: 2.0}}"
    run(lake, data, f"mix.sources=[{web},{wiki}]")
    export(lake, data)
    registry.sync(lake, tmp_path)
    [row] = lake.read("gold.datasets").collect()
    found = json.loads(row["reference"])
    assert found["sources"] == [{"uuid": "", "name": "web"}, {"uuid": "u-1", "name": "wiki_raw"}]
    mixing = found["sampling_yaml"]
    assert mixing["sampling_frequencies"] == {"web": 0.5, "wiki": 2.0, "UNKNOWN": 0}
    # As a mixing YAML of DCLM's it gives the same.
    [again] = markers.sources(mixing, [SourceFile(f"{data}/web/0.jsonl", "", 1)], "dataset.json")
    assert (again.name, again.value) == ("web", 0.5)


def test_a_source_is_known_by_what_is_in_it(lake: Lakehouse, data: Path, tmp_path: Path) -> None:
    def source_id(kind: str, place: Path) -> str:
        return mix_sources.open_source(lake, Source("a", kind, str(place), "epochs", 1.0, column="body")).source_id

    wiki, table = tmp_path / "wiki", tmp_path / "table"
    shutil.copytree(data / "wiki", wiki)
    shutil.copytree(data / "table", table)
    assert source_id("files", wiki) == source_id("files", data / "wiki")
    first = source_id("table", table)
    (wiki / "all.jsonl.zst").write_bytes(zstandard.compress(lines([*WIKI[:-1], ("the sane", "")]).encode()))
    lake.spark.createDataFrame([("more", 1)], "body STRING, n INT").write.format("delta").mode("append").save(
        str(table)
    )
    assert source_id("files", wiki) != source_id("files", data / "wiki")
    assert source_id("table", table) != first


@pytest.mark.parametrize(
    ("sources", "kind", "said"),
    [
        ("{name: a, files: DATA/nowhere, epochs: 1}", ConfigError, "source 'a': .*nowhere doesn't exist"),
        ("{name: a, files: TMP/empty, epochs: 1}", ConfigError, "source 'a' has no document: .* gave 2 bad_json"),
        ("{name: a, files: TMP/none, epochs: 1}", ConfigError, "source 'a' has no document: .* gave no records"),
        ("{name: a, files: DATA/table, epochs: 1}", ConfigError, "is a Delta table; say table:"),
        ("{name: a, files: TMP/tokens.json, epochs: 1}", ConfigError, "none of its 1 files is named .jsonl"),
        ("{name: a, files: TMP/shards, epochs: 1}", ConfigError, "holds a manifest.jsonl: shards of tokens"),
        (
            "{name: a, files: TMP/cut.jsonl.gz, epochs: 1}",
            BadInput,
            r"cut\.jsonl\.gz, line \d+: broken_stream: EOFError",
        ),
        ("{name: a, files: TMP/bad.parquet, epochs: 1}", BadInput, "bad.parquet: no readable Parquet file"),
        ("{name: a, files: DATA/notes.parquet, epochs: 1}", BadInput, "no column 'text' of texts; it has body string"),
        ("{name: a, table: DATA/web, epochs: 1}", ConfigError, "source 'a': no Delta table in"),
        ("{name: a, table: silver.document, epochs: 1}", ConfigError, "source 'a': "),
        ("{name: a, table: DATA/table, epochs: 1}", ConfigError, "no column of texts 'text'; choices: body"),
        ("{name: a, table: DATA/table, column: n, epochs: 1}", ConfigError, "no column of texts 'n'"),
        ("{name: a, table: DATA/table, column: body, version: 7, epochs: 1}", ConfigError, "no version 7, its newest"),
        ("{name: a, table: DATA/table, column: body, where: 'nn > 1', epochs: 1}", ConfigError, "source 'a': .*nn"),
        ("{name: a, dataset: webb, epochs: 1}", ConfigError, "source 'a': no dataset 'webb'"),
        ("{name: a, reference: TMP/tokens.json, epochs: 1}", ConfigError, "tokenised already, by EleutherAI/gpt-neox"),
        ("{name: a, reference: TMP/odd.json, epochs: 1}", ConfigError, "has no dataset_url, the folder .* lines$"),
        ("{name: a, reference: TMP/raw.json, epochs: 1}", ConfigError, "no dataset_url, .*, but json_path, archives"),
        ("{name: a, files: DATA/web, tokens: 1000000}", ConfigError, "are wanted: .* epochs; say mix.allow_repeats"),
        ("{name: a, files: DATA/web, epochs: 0}", Incomplete, "takes no document to train on"),
    ],
)
def test_odd_sources_publish_nothing(
    lake: Lakehouse, data: Path, tmp_path: Path, sources: str, kind: type[LakeloomError], said: str
) -> None:
    for name, text in (("empty", "{\n[\n"), ("none", "")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.jsonl").write_text(text)
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards/manifest.jsonl").write_text('{"shard": "shard_00000000", "num_sequences": 1}')
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(lines(WEB).encode())[:-40])
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and no more")
    facts = {"name": "x", "dataset_url": "s3://x/", "tokenized": True, "tokenizer": "EleutherAI/gpt-neox-20b"}
    (tmp_path / "tokens.json").write_text(json.dumps(facts))
    (tmp_path / "raw.json").write_text(json.dumps({"name": "x", "tokenized": False, "json_path": "s3://x/y.json"}))
    (tmp_path / "odd.json").write_text(json.dumps({"name": "x", "dataset_url": None}))
    words = sources.replace("DATA", str(data)).replace("TMP", str(tmp_path))
    with pytest.raises(kind, match=said) as caught:
        run(lake, data, f"mix.sources=[{words}]")
    assert "\n" not in str(caught.value)
    assert not lake.exists("gold.corpus") and not lake.exists("gold.mixes")


def test_bytes_that_are_no_utf8_are_repaired_as_in_tables(lake: Lakehouse, data: Path, tmp_path: Path) -> None:
    path = tmp_path / "odd.parquet"
    odd = pa.array([b"a\xffb", b"\xed\xa0\x80", "é".encode(), b"\xe2\x82", None], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": odd, "url": odd}), path)
    lake.spark.read.parquet(str(path)).write.format("delta").save(str(tmp_path / "table"))
    places = {"files": path, "table": tmp_path / "table"}
    found = [
        mix_sources.open_source(lake, Source("a", kind, str(place), "epochs", 1.0)) for kind, place in places.items()
    ]
    texts = [sorted(row["text"] or "" for row in one.documents.select("text").collect()) for one in found]
    assert texts[0] == texts[1] and "a\ufffdb" in texts[0] and "é" in texts[0]
    counted = lengths.find(lake, found[0], Tokenizer.load(data / "small.model"))
    assert counted.where("error is null").count() == 4


def test_a_file_that_is_gone_is_named(lake: Lakehouse) -> None:
    gone = Source("a", "files", "x", "epochs", 1.0, files=(SourceFile("x.jsonl", "/nowhere/x.jsonl", 1),))
    with pytest.raises(BadInput, match=r"source 'a': /nowhere/x\.jsonl can't be read: FileNotFoundError"):
        mix_sources.open_source(lake, gone)


def test_what_is_counted_of_a_file_that_changes_is_not_kept(lake: Lakehouse, data: Path, tmp_path: Path) -> None:
    path, tokenizer = tmp_path / "notes.jsonl", Tokenizer.load(data / "small.model")
    path.write_text(lines(NOTES))
    opened = mix_sources.open_source(lake, Source("a", "files", str(path), "epochs", 1.0))
    path.write_text(lines(NOTES[1:]))
    with pytest.raises(Incomplete, match=r"source 'a': file notes\.jsonl changed while it was read; nothing was"):
        lengths.find(lake, opened, tokenizer)
    path.unlink()
    with pytest.raises(BadInput, match=r"source 'a': .*notes\.jsonl"):
        mix_sources.refuse_changed(lake, opened)
    path.write_text(lines(NOTES))
    assert lengths.find(lake, opened, tokenizer).count() == len(NOTES)
    assert lake.read("silver.lengths").count() == len(NOTES)


def test_a_run_after_one_that_failed_makes_all_anew(lake: Lakehouse, data: Path) -> None:
    """As after a run that was killed when a file had changed, which was then put back."""
    tokenizer = Tokenizer.load(data / "small.model")
    wiki, other = (
        mix_sources.open_source(lake, Source("wiki", "files", str(data / name), "epochs", 1.0))
        for name in ("wiki", "web")
    )
    lengths.find(lake, replace(other, source_id=wiki.source_id), tokenizer)
    words = f"mix.sources=[{{name: wiki, files: {data}/wiki, epochs: 1}}]"
    with pytest.raises(Incomplete, match=r"source 'wiki' gave \d+ rows to train on .* run the job again"):
        run(lake, data, words)
    assert lake.read("gold.corpus").isEmpty() and not lake.exists("gold.mixes")
    report = run(lake, data, words)
    assert corpus(lake, report) == expected(WIKI, "wiki", 1)
    found = corpora.mixed(lake, "ours")  # what export reads
    rows = lake.read("gold.corpus", found.source.version).where(F.col("corpus_id") == found.corpus_id)
    assert rows.count() == len(expected(WIKI, "wiki", 1))


class Turn(list[tuple[str, str, str | None]]):
    """What a server was asked for: after so many requests the file is another one, of as many texts."""

    def __init__(self, path: Path, after: int) -> None:
        super().__init__()
        self.path, self.after = path, after

    def append(self, asked: tuple[str, str, str | None]) -> None:
        super().append(asked)
        if len(self) == self.after + 1:
            self.path.write_text(lines([(text.upper(), url) for text, url in NOTES]))


def test_a_file_that_changes_before_its_texts_are_read_is_in_no_mix(
    lake: Lakehouse, data: Path, tmp_path: Path
) -> None:
    path, tokenizer = tmp_path / "notes.jsonl", Tokenizer.load(data / "small.model")
    path.write_text(lines(NOTES))
    with serving(tmp_path) as web:
        place = web.address_of("notes.jsonl")
        opened = mix_sources.open_source(lake, Source("a", "files", place, "epochs", 1.0))
        num_to_open = len(web.asked)
        lengths.find(lake, opened, tokenizer)
        words = ("mix.holdout_share=0", f"mix.sources=[{{name: a, files: '{place}', epochs: 1}}]")
        web.asked = Turn(path, num_to_open)
        with pytest.raises(Incomplete, match=r"source 'a': file notes\.jsonl changed while it was read"):
            run(lake, data, *words)
        assert len(web.asked) > num_to_open and not lake.exists("gold.mixes")
        assert lake.read("gold.corpus").isEmpty() and lake.read("silver.lengths").isEmpty()
        path.write_text(lines(NOTES))
        report = run(lake, data, *words)
    assert {text for _, text in corpus(lake, report).values()} == {text for text, _ in NOTES}


def test_what_was_taken_down_is_in_no_mix(lake: Lakehouse, data: Path) -> None:
    web = Source("web", "files", str(data / "web"), "epochs", 1.0)
    before = mix_sources.open_source(lake, web)
    withdrawn.record(lake, [takedowns.request(WEB[3][1]), takedowns.request("d" * 32)], [])
    after = mix_sources.open_source(lake, web)
    found = [{row["url"] for row in one.documents.select("url").collect()} for one in (before, after)]
    assert found[0] - found[1] == {WEB[3][1]} and before.source_id != after.source_id
    again = mix_sources.open_source(lake, web)
    assert again.source_id == after.source_id


def test_odd_settings_are_config_errors(data: Path, spark: SparkSession) -> None:
    lake = Lakehouse(spark, LakehouseConfig("nowhere", ""))
    for word, said in (
        ("mix.dataset=a/b", "names a folder"),
        ("mix.holdout_share=1", "below 1"),
        ("mix.max_epochs=0.5", "from 1"),
        ("mix.tokens=-1", "or more"),
        ("mix.sources=web", "is a list"),
    ):
        with pytest.raises(ConfigError, match=said):
            config(lake, data, word)
    with pytest.raises(ConfigError, match=r"neither was given"):
        mix.run(spark, config(lake, data))
    with pytest.raises(ConfigError, match=r"no mixed dataset 'ours'"):
        export(lake, data)
