"""Rows to shards, and the data source `webdataset` around it: what is visible is complete."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql.types import BinaryType, LongType, StructField, StructType

from lakeloom.lakehouse import shard_writer
from lakeloom.lakehouse.errors import BadInput, ConfigError, Incomplete
from lakeloom.lakehouse.members import DTYPES
from lakeloom.lakehouse.shard_rows import ROWS, Target, rows, written
from lakeloom.lakehouse.shard_source import WebDatasetReader, WebDatasetSource, WebDatasetWriter
from lakeloom.lakehouse.shards import Shard, listed, places

SEQUENCES = np.random.default_rng(0).integers(0, 60_000, (23, 5)).astype("<u2")
NAMES = ("shard", "place", "tokens")
OPTIONS = {"seq_len": "5", "shard_sequences": "4"}
SCHEMA = StructType(
    [StructField("shard", LongType()), StructField("place", LongType()), StructField("tokens", BinaryType())]
)


def batches(sequences: np.ndarray, rows: int, size: int = 7) -> Iterator[pa.RecordBatch]:
    """Rows (shard, place, tokens), shards of `size`, in batches of `rows`."""
    table = pa.table(
        {
            "shard": [index // size for index in range(len(sequences))],
            "place": [index % size for index in range(len(sequences))],
            "tokens": pa.array([sequence.tobytes() for sequence in sequences], pa.binary()),
        }
    )
    return iter(table.to_batches(max_chunksize=rows))


def target(folder: Path, **options: str) -> Target:
    made = Target.of({"path": str(folder), **OPTIONS, **options})
    shard_writer.begin(folder, made.owner)
    return made


def read(folder: Path, shards: tuple[Shard, ...]) -> list[list[int]]:
    found: list[list[int]] = []
    for shard in shards:
        path = folder / f"{shard.shard}.tar"
        content = path.read_bytes()
        found += [np.frombuffer(content, "<u2", 5, start).tolist() for start, _ in places(path, shard)]
    return found


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 25), number=st.integers(0, 23), size=st.integers(1, 9))
def test_rows_in_any_batches_are_the_same_shards(
    tmp_path_factory: pytest.TempPathFactory, rows: int, number: int, size: int
) -> None:
    given = SEQUENCES[:number]
    placed = target(tmp_path_factory.mktemp("placed") / "data")
    found = tuple(written(placed, NAMES, 0, batches(given, rows, size)))
    assert [shard.num_sequences for shard in found] == [len(given[at : at + size]) for at in range(0, number, size)]
    assert read(placed.aside, found) == given.tolist()
    in_turn = target(tmp_path_factory.mktemp("turn") / "data")
    found = tuple(written(in_turn, ("tokens",), 3, (one.select(["tokens"]) for one in batches(given, rows))))
    assert [shard.number for shard in found] == [30_000 + at for at in range(-(-number // 4))]
    assert [shard.num_sequences for shard in found] == [len(given[at : at + 4]) for at in range(0, number, 4)]
    assert read(in_turn.aside, found) == given.tolist()


def test_a_lost_row_and_a_row_of_another_length_are_named(tmp_path: Path) -> None:
    made = target(tmp_path / "data")
    (batch,) = batches(SEQUENCES, 100)
    with pytest.raises(Incomplete, match="shard_00000000: found place 3 where 2 was expected"):
        list(written(made, NAMES, 0, iter([batch.slice(0, 2), batch.slice(3)])))
    long = pa.RecordBatch.from_pydict({"tokens": pa.array([bytes(10), bytes(12)], pa.binary())})
    with pytest.raises(BadInput, match="12 bytes of tokens, expected 5 tokens of uint16: 10"):
        list(written(made, ("tokens",), 0, iter([long])))
    with pytest.raises(BadInput, match="no tokens"):
        list(written(made, ("tokens",), 0, iter([pa.RecordBatch.from_pydict({"tokens": pa.nulls(1, pa.binary())})])))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"path": ""}, r"needs save\(folder\)"),
        ({"seq_len": ""}, "option seq_len=''; give a whole number, 1 or more"),
        ({"seq_len": "0"}, "option seq_len='0'"),
        ({"shard_sequences": "many"}, "option shard_sequences='many'"),
        ({"dtype": "int8"}, "no dtype 'int8'"),
        ({"members": "pkl"}, "no form of members 'pkl'"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Target.of({"path": "/x", **OPTIONS, **options})


def test_a_killed_write_leaves_nothing_visible_and_the_next_begins_anew(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    WebDatasetWriter(Target.of({"path": str(folder), **OPTIONS}), SCHEMA, False).write(batches(SEQUENCES, 5))
    assert [path.name for path in tmp_path.iterdir()] == [".data.partial"]
    again = WebDatasetWriter(Target.of({"path": str(folder), **OPTIONS}), SCHEMA, False)
    message = again.write(batches(SEQUENCES[:7], 5))
    again.commit([message, None])
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.jsonl", "shard_00000000.tar"]
    with pytest.raises(ConfigError, match="is never overwritten"):
        WebDatasetWriter(Target.of({"path": str(folder), **OPTIONS}), SCHEMA, False)


def test_what_is_no_dataset_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"load\(folder\) of a dataset: '.*' has no manifest.jsonl"):
        WebDatasetReader(str(tmp_path), "binary")
    with pytest.raises(ConfigError, match="no form of tokens 'text'"):
        WebDatasetSource({"path": str(tmp_path), "tokens": "text"}).schema()
    writer = WebDatasetWriter(Target.of({"path": str(tmp_path / "data"), **OPTIONS}), SCHEMA, False)
    writer.commit([writer.write(batches(SEQUENCES, 5))])
    reader = WebDatasetReader(str(tmp_path / "data"), "binary")
    assert len(reader.partitions()) == 4
    (tmp_path / "data" / "shard_00000002.tar").write_bytes(b"")
    with pytest.raises(BadInput, match=r"shard_00000002.tar: 0 bytes, the manifest says \d+"):
        reader.partitions()


def test_what_can_not_be_is_not_published(tmp_path: Path) -> None:
    options = {"path": str(tmp_path / "data"), **OPTIONS}
    with pytest.raises(ConfigError, match="needs a binary column tokens; there are shard"):
        WebDatasetWriter(Target.of(options), StructType([SCHEMA["shard"]]), False)
    writer = WebDatasetWriter(Target.of(options), SCHEMA, False)
    with pytest.raises(Incomplete, match="no row was given; nothing was published"):
        writer.commit([])
    writer = WebDatasetWriter(Target.of(options), SCHEMA, False)
    messages = [writer.write(batches(SEQUENCES, 5)) for _ in range(2)]
    with pytest.raises(Incomplete, match="shard_00000000 was written by two tasks; repartition by shard"):
        writer.commit([*messages])
    WebDatasetWriter(Target.of(options), SCHEMA, False).abort([None])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ext", ["bin", "json.gz"])
@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
def test_what_was_written_is_read_back(tmp_path: Path, ext: str, dtype: str) -> None:
    sequences = SEQUENCES.astype(DTYPES[dtype])
    made = target(tmp_path / "data", members=ext, dtype=dtype)
    shards = tuple(written(made, NAMES, 0, batches(sequences, 5)))
    for kind in ROWS:
        found = pa.Table.from_batches(
            [batch for shard in shards for batch in rows(made.aside / f"{shard.shard}.tar", shard, kind)]
        )
        assert found.schema == ROWS[kind]
        assert found["shard"].to_pylist() == [index // 7 for index in range(23)]
        assert found["place"].to_pylist() == [index % 7 for index in range(23)]
        expected = sequences.tolist() if kind == "array" else [sequence.tobytes() for sequence in sequences]
        assert found["tokens"].to_pylist() == expected


def test_batches_read_are_bounded_and_an_id_that_no_int_holds_is_refused(tmp_path: Path) -> None:
    long = np.arange(7 << 19, dtype="<u4").reshape(7, -1)
    made = target(tmp_path / "data", seq_len=str(long.shape[1]), dtype="uint32")
    given = pa.record_batch({"tokens": pa.array([one.tobytes() for one in long], pa.binary())})
    (first, second) = written(made, ("tokens",), 0, iter([given]))
    found = list(rows(made.aside / "shard_00000000.tar", first, "array"))
    assert [len(batch) for batch in found] == [2, 2]
    assert max(batch.nbytes for batch in found) < 5 << 20
    assert second.num_sequences == 3
    made = target(tmp_path / "large", seq_len="2", dtype="uint32")
    given = pa.record_batch({"tokens": pa.array([np.array([1, 1 << 31], "<u4").tobytes()], pa.binary())})
    (one,) = written(made, ("tokens",), 0, iter([given]))
    with pytest.raises(BadInput, match=r"token id 2147483648 doesn't fit ARRAY<INT>; .*tokens=binary"):
        list(rows(made.aside / "shard_00000000.tar", one, "array"))
    assert sum(len(batch) for batch in rows(made.aside / "shard_00000000.tar", one, "binary")) == 1


@pytest.mark.spark
def test_spark_writes_any_rows_and_a_failed_task_leaves_nothing(spark: SparkSession, tmp_path: Path) -> None:
    spark.dataSource.register(WebDatasetSource)
    rows = [(index, sequence.tobytes()) for index, sequence in enumerate(SEQUENCES)]
    frame = spark.createDataFrame(rows, "number BIGINT, tokens BINARY").repartitionByRange(2, "number")
    frame = frame.sortWithinPartitions("number").select("tokens")
    save = frame.write.format("webdataset").mode("append").options(seq_len=5, shard_sequences=4)
    save.save(str(tmp_path / "data"))
    shards = listed(tmp_path / "data")
    assert read(tmp_path / "data", shards) == SEQUENCES.tolist()
    assert {shard.num_sequences for shard in shards} <= {1, 2, 3, 4}
    load = spark.read.format("webdataset").option("tokens", "array")
    load.load(str(tmp_path / "data")).write.parquet(str(tmp_path / "parquet"))
    again = spark.read.parquet(str(tmp_path / "parquet")).orderBy("shard", "place").toArrow()
    assert again["tokens"].to_pylist() == SEQUENCES.tolist()
    shutil.rmtree(tmp_path / "parquet")
    with pytest.raises(PySparkException, match=r"BadInput: .*expected 6 tokens"):
        save.option("seq_len", 6).save(str(tmp_path / "failed"))
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
