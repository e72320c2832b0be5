"""What duplicates are found by, a row a document, made once: text hash, address, MinHash bands (silver.signatures).

The unit is the ingest batch: only batches without signatures are read. One whose documents became fewer (a takedown)
is signed anew.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakeloom.filters import fingerprints, minhash
from lakeloom.filters.minhash import MinHashParams
from lakeloom.filters.normalizers import NORMALIZERS
from lakeloom.lakehouse.errors import BadInput, Incomplete
from lakeloom.lakehouse.ids import Json, identity
from lakeloom.lakehouse.session import ddl
from lakeloom.lakehouse.store import Lakehouse

log = logging.getLogger(__name__)

TABLE = "silver.signatures"
# Forms in which texts are compared; DCLM's names of the same are beside them.
FORMS = {"none": "", "lower": "normalize_whitespace_and_lowercase", "ccnet": "ccnet_dedup_normalizer"}
_VERSION = 1  # raise it when the same document would get another signature
_OUT = pa.schema(
    [
        pa.field("doc_id", pa.string()),
        pa.field("pool", pa.string()),
        pa.field("batch_id", pa.string()),
        pa.field("text_sha", pa.string()),
        pa.field("url_key", pa.string()),
        pa.field("bands", pa.list_(pa.int64())),
    ]
)
Batches = Iterator[pa.RecordBatch]


@dataclass(frozen=True)
class Scheme:
    """How documents are signed: recipe (its hash), normal form of the texts, and MinHash's parameters if wanted."""

    recipe_hash: str
    form: str
    minhash: MinHashParams | None

    @property
    def signature_id(self) -> str:
        params: Json = None if self.minhash is None else asdict(self.minhash)
        return identity("signatures", _VERSION, self.recipe_hash, self.form, params)


def signed(lake: Lakehouse, kept: DataFrame, batches: Mapping[tuple[str, str], int], scheme: Scheme) -> DataFrame:
    """Signatures of the kept documents, whose number per (pool, batch) is given; missing ones are made first.

    Columns doc_id, text_sha, url_key, bands. BadInput if two documents have one doc_id.
    """
    pools = sorted({pool for pool, _ in batches})
    ours = (F.col("signature_id") == scheme.signature_id) & F.col("pool").isin(pools)
    known = _known(lake, scheme, pools)
    lake.create(TABLE)
    stale = sorted({batch for (pool, batch), number in known.items() if batches.get((pool, batch), 0) != number})
    if stale:
        lake.remove(TABLE, ours & F.col("batch_id").isin(stale))
    new = sorted(key for key, number in batches.items() if number and known.get(key) != number)
    if new:
        rows = kept.where(F.col("batch_id").isin([batch for _, batch in new]))
        # With the version: what is missing at one version is added once, also where others deleted it before.
        txn = f"sign/{identity(scheme.signature_id, [[*key, batches[key]] for key in new], lake.version(TABLE))}"
        made = sign(rows, scheme).withColumn("signature_id", F.lit(scheme.signature_id))
        lake.append(made, TABLE, txn=txn)
    found = lake.read(TABLE, lake.version(TABLE)).where(ours).select("doc_id", "text_sha", "url_key", "bands")
    _check(found, sum(batches.values()))
    return found


def sign(documents: DataFrame, scheme: Scheme) -> DataFrame:
    """Rows of documents (doc_id, pool, batch_id, url, text) to rows of silver.signatures but the signature_id."""
    return documents.select("doc_id", "pool", "batch_id", "url", "text").mapInArrow(_sign(scheme), ddl(_OUT))


def normalized(text: pa.StringArray, form: str) -> pa.StringArray:
    """The texts in a form of FORMS."""
    if form == "none":
        return text
    normalize = NORMALIZERS[FORMS[form]]
    return pa.array([None if one is None else normalize(one) for one in text.to_pylist()], pa.string())


def _known(lake: Lakehouse, scheme: Scheme, pools: list[str]) -> dict[tuple[str, str], int]:
    """Signatures by (pool, batch): a row a commit of ingest."""
    if not lake.exists(TABLE):
        return {}
    rows = lake.read(TABLE).where((F.col("signature_id") == scheme.signature_id) & F.col("pool").isin(pools))
    counts = rows.groupBy("pool", "batch_id").agg(F.count("*").alias("n"))
    return {(row["pool"], row["batch_id"]): row["n"] for row in counts.toLocalIterator()}


def _check(found: DataFrame, expected: int) -> None:
    """Refuse documents that have one doc_id, and a table that others changed."""
    copies = found.groupBy("doc_id").agg(F.count("*").alias("n"))
    row = copies.agg(F.coalesce(F.sum("n"), F.lit(0)).alias("rows"), F.max("n").alias("most")).first()
    assert row is not None  # noqa: S101 (an aggregate without groups has one row)
    if (row["most"] or 0) > 1:
        twins = copies.where("n > 1").orderBy("doc_id").limit(3).collect()
        named = ", ".join(f"{twin['doc_id']} ({twin['n']} rows)" for twin in twins)
        raise BadInput(
            f"silver.documents has several kept documents with one doc_id: {named}; which of them is meant can't be "
            "told, so nothing was published; delete the rows that are too many; if two jobs ran at once, run again"
        )
    if row["rows"] != expected:
        raise Incomplete(
            f"{TABLE} has {row['rows']} rows of {expected} kept documents; nothing was published; "
            "if another job changes the tables, wait for its end, and run again"
        )


def _sign(scheme: Scheme) -> Callable[[Batches], Batches]:
    def sign(batches: Batches) -> Batches:
        for batch in batches:
            text = normalized(batch.column("text"), scheme.form)
            bands = pa.nulls(len(text), pa.list_(pa.int64()))
            if scheme.minhash is not None:
                bands = minhash.bands(minhash.signatures(text, scheme.minhash), scheme.minhash)
            columns = [*(batch.column(name) for name in ("doc_id", "pool", "batch_id"))]
            columns += [fingerprints.text_shas(text), fingerprints.url_keys(batch.column("url")), bands]
            yield pa.RecordBatch.from_arrays(columns, schema=_OUT)

    return sign
