"""make oracle-ingest POOL=folder: ingests any folder of archives twice, and shows that every record is accounted for.

Exit 1 where records differ from the rows in the tables, a document id is there twice, or the second ingest added a row.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from pyspark.sql import functions as F
from rich.console import Console

from lakeloom.jobs import cli, config, ingest, screen
from lakeloom.lakehouse.errors import LakeloomError
from lakeloom.lakehouse.report import Report, Sheet, Value
from lakeloom.lakehouse.session import SparkConfig, spark
from lakeloom.lakehouse.store import Lakehouse


def check(lake: Lakehouse, first: Report, second: Report) -> list[tuple[str, Value, Value, bool]]:
    """Each promise: its name, the two numbers that must be equal, and whether they are."""
    rows = lake.read("bronze.pages").agg(F.count("*").alias("rows"), F.count_distinct("doc_id").alias("ids")).first()
    dead = lake.read("bronze.dead_letters").agg(F.coalesce(F.sum("num_records"), F.lit(0)).alias("n")).first()
    assert rows is not None and dead is not None  # noqa: S101 (aggregates without groups have one row)
    pairs: list[tuple[str, Value, Value]] = [
        ("records read = rows in pages + records in dead_letters", first.rows_in, rows["rows"] + dead["n"]),
        ("pages reported = rows in pages", first.rows_out, rows["rows"]),
        ("rows in pages = distinct document ids", rows["rows"], rows["ids"]),
        ("records after a second ingest = records before", second.rows_in, first.rows_in),
        ("table versions after a second ingest = before", str(second.versions), str(first.versions)),
        ("new files in a second ingest = 0", second.facts["new_files"], 0),
    ]
    return [(name, left, right, left == right) for name, left, right in pairs]


def main(folder: str) -> int:
    """Print the counts and the checks; the exit code."""
    console = Console(width=120)
    with TemporaryDirectory(prefix="lakeloom-oracle-") as scratch:
        overrides = [f"pool={Path(folder).absolute()}", f"lakehouse.root={scratch}"]
        session = spark(config.build(SparkConfig, "spark", config.tree(overrides)))
        cfg: ingest.IngestConfig = cli.load("ingest", *overrides)
        first, second = ingest.run(session, cfg), ingest.run(session, cfg)
        lake = Lakehouse(session, cfg.lakehouse)
        checks = check(lake, first, second)
        reasons = [(name, count) for name, count in first.facts.items() if "/" in name]
        counts = f"{first.rows_in:,} records = {first.rows_out:,} pages + {first.dropped:,} dead letters"
        console.print(f"{first.facts['files']} files: {counts}")
        screen.show_sheet(console, Sheet("dead letters by stage and reason", ("reason", "records"), tuple(reasons)))
        for name, left, right, holds in checks:
            console.print(f"{'ok  ' if holds else 'FAIL'} {name}: {left} and {right}", markup=False)
        session.stop()
    return 0 if all(holds for *_, holds in checks) else 1


if __name__ == "__main__":
    try:
        if len(sys.argv) != 2 or not sys.argv[1]:
            sys.stderr.write("usage: make oracle-ingest POOL=folder\n")
            sys.exit(2)
        sys.exit(main(sys.argv[1]))
    except LakeloomError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.exit(error.exit_code)
