"""Which documents of a mixture are trained on and how often, and which are held out: by hashes and counts alone.

The same expressions decide over the rows of silver.lengths, to know what a mix will be, and over the texts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakeloom.jobs import lengths, shares
from lakeloom.jobs.choose import HOLDOUT, TRAIN
from lakeloom.jobs.mix_sources import Opened

_HEX = 32


@dataclass(frozen=True)
class Part:
    """A source of a mixture, with the lengths of its documents."""

    opened: Opened
    lengths: DataFrame

    @property
    def name(self) -> str:
        return self.opened.source.name


@dataclass(frozen=True)
class Stock:
    """What a source has: records that are documents or are dropped, and the tokens that may be trained on."""

    num_documents: int
    dropped: Mapping[str, int]
    available_tokens: int
    has_equals: bool  # whether several documents have text and address in common


@dataclass(frozen=True)
class Taken:
    """What is taken of a source. Documents count once here, rows with their copies; tokens are those of the rows."""

    num_held_text: int
    num_taken: int
    num_holdout: int
    num_rows: int
    num_tokens: int


@dataclass(frozen=True)
class Rule:
    """What decides, beside the documents: a held-out document's text is trained on in no source."""

    seed: int
    holdout_share: float

    def stock(self, parts: Sequence[Part]) -> dict[str, Stock]:
        """What each source has."""
        tokens = F.sum(F.when(~F.col("is_held") & ~F.col("is_barred"), F.col("num_tokens"))).alias("tokens")
        numbers = (F.count("*").alias("n"), F.max("nth").alias("last"), tokens)
        judged = reduce(DataFrame.unionByName, self._lengths(parts).values())
        rows = judged.groupBy("source", "error").agg(*numbers).collect()
        found: dict[str, Stock] = {}
        for name in (part.name for part in parts):
            ours = [row for row in rows if row["source"] == name]
            good = [row for row in ours if row["error"] is None]
            dropped = {row["error"]: int(row["n"]) for row in ours if row["error"] is not None}
            number, tokens_ = sum(int(row["n"]) for row in good), sum(int(row["tokens"] or 0) for row in good)
            found[name] = Stock(number, dropped, tokens_, any(row["last"] for row in good))
        return found

    def taken(self, parts: Sequence[Part], epochs: Mapping[str, float]) -> dict[str, Taken]:
        """What each source gives where it is taken so often."""
        judged = [
            rows.where(F.col("error").isNull()).withColumn("copies", shares.num_copies("key", epochs[name]))
            for name, rows in self._lengths(parts).items()
        ]
        rows = reduce(DataFrame.unionByName, judged)
        is_train = ~F.col("is_held") & ~F.col("is_barred") & (F.col("copies") > 0)
        sums = rows.groupBy("source").agg(
            F.count_if(F.col("is_barred")).alias("num_held_text"),
            F.count_if(is_train).alias("num_taken"),
            F.count_if(F.col("is_held") & (F.col("copies") > 0)).alias("num_holdout"),
            F.sum(F.when(is_train, F.col("copies")).otherwise(0)).alias("num_rows"),
            F.sum(F.when(is_train, F.col("copies") * F.col("num_tokens")).otherwise(0)).alias("num_tokens"),
        )
        names = [field.name for field in fields(Taken)]
        found = {row["source"]: Taken(*(int(row[name]) for name in names)) for row in sums.collect()}
        return {part.name: found.get(part.name, Taken(0, 0, 0, 0, 0)) for part in parts}

    def texts(self, part: Part, epochs: float, held: DataFrame | None, *, has_equals: bool) -> DataFrame:
        """The documents that are taken of a source, with their copies and split; columns of gold.corpus."""
        rows = lengths.identified(part.opened.documents, has_equals=has_equals)
        judged = self._judged(rows, part.name, held).where(~F.col("is_barred"))
        copies = shares.num_copies("key", epochs)
        times = judged.withColumn("times", F.when(F.col("is_held"), F.least(copies, F.lit(1))).otherwise(copies))
        copied = times.where("times > 0").withColumn("copy", F.explode(F.sequence(F.lit(0), F.col("times") - 1)))
        place = F.concat_ws("/", F.lit(f"mixed/{part.name}"), "document", "nth", "copy")
        return copied.select(
            F.substring(F.sha2(place, 256), 1, _HEX).alias("doc_id"),
            "url",
            "text",
            F.length("text").alias("num_chars"),
            F.when(F.col("is_held"), F.lit(HOLDOUT)).otherwise(F.lit(TRAIN)).alias("split"),
            F.lit(part.name).alias("source"),
            "origin",
            "copy",
        )

    def held(self, parts: Sequence[Part]) -> DataFrame | None:
        """Hashes of held-out texts; none where nothing but the text's own hash decides, so that all copies agree."""
        if all(part.opened.source.kind != "dataset" for part in parts):
            return None
        rows = [part.lengths.where(F.col("error").isNull() & self._is_held()).select("text_sha") for part in parts]
        return reduce(DataFrame.union, rows).distinct()

    def _lengths(self, parts: Sequence[Part]) -> dict[str, DataFrame]:
        held = self.held(parts)
        return {part.name: self._judged(part.lengths, part.name, held) for part in parts}

    def _judged(self, rows: DataFrame, name: str, held: DataFrame | None) -> DataFrame:
        """Rows with `source`, `is_held`, `is_barred` (held out in another source), and `key` to be taken by."""
        key = F.sha2(F.concat_ws("/", F.lit(f"mix/{self.seed}/{name}"), "document", "nth"), 256)
        known = rows.withColumns({"source": F.lit(name), "is_held": self._is_held(), "key": key})
        if held is None:
            return known.withColumn("is_barred", F.lit(False))
        joined = known.join(held.withColumn("is_known", F.lit(True)), "text_sha", how="left")
        return joined.withColumn("is_barred", F.col("is_known").isNotNull() & ~F.col("is_held")).drop("is_known")

    def _is_held(self) -> Column:
        """As the document's dataset has it, else by its text's hash."""
        hashed = F.sha2(F.concat(F.lit(f"holdout/{self.seed}/"), "text_sha"), 256)
        by_hash = F.coalesce(shares.is_below(hashed, self.holdout_share), F.lit(False))
        return F.when(F.col("split").isNotNull(), F.col("split") == HOLDOUT).otherwise(by_hash)
