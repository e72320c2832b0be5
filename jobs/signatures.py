"""What duplicates are found by, a row a document, made once: text hash, address, MinHash bands (silver.signatures).

The unit is the ingest batch: only batches without signatures are read. One whose documents are others (a takedown) is
signed anew.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakeloom.filters import fingerprints, minhash
from lakeloom.filters.minhash import MinHashParams
from lakeloom.filters.normalizers import NORMALIZERS
from lakeloom.jobs import documents
from lakeloom.jobs.documents import Batch, Documents
from lakeloom.lakehouse.errors import Incomplete
from lakeloom.lakehouse.ids import Json, identity
from lakeloom.lakehouse.session import ddl
from lakeloom.lakehouse.store import Lakehouse

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


def signed(lake: Lakehouse, given: Documents, scheme: Scheme) -> DataFrame:
    """Signatures of the kept documents; missing ones are made first. BadInput if two documents have one doc_id.

    Columns doc_id, text_sha, url_key, bands.
    """
    pools = sorted({pool for pool, _ in given.batches})
    ours = (F.col("signature_id") == scheme.signature_id) & F.col("pool").isin(pools)
    # At one version: what is missing there is added once, also by two jobs at a time, and where others deleted it.
    version = at = lake.ensure(TABLE)
    known = documents.by_batch(lake.read(TABLE, version).where(ours), F.lit(True)) if version else {}
    nothing = Batch(0, "0-0")
    others = {key for key in known.keys() | given.batches if known.get(key, nothing) != given.batches.get(key, nothing)}
    stale, new = sorted(others & known.keys()), sorted(key for key in others if given.batches.get(key, nothing).number)
    if stale:
        lake.remove(TABLE, ours & F.col("batch_id").isin([batch for _, batch in stale]))
        at = lake.version(TABLE)
    if new:
        rows = given.kept.where(F.col("batch_id").isin([batch for _, batch in new]))
        made = sign(rows, scheme).withColumn("signature_id", F.lit(scheme.signature_id))
        txn = f"sign/{identity(scheme.signature_id, [list(key) for key in new], version)}"
        at = lake.append(made, TABLE, txn=txn, since=version).version
    found = lake.read(TABLE, at).where(ours).select("doc_id", "text_sha", "url_key", "bands")
    _check(given, found)
    return found


def sign(rows: DataFrame, scheme: Scheme) -> DataFrame:
    """Rows of documents (doc_id, pool, batch_id, url, text) to rows of silver.signatures but the signature_id."""
    return rows.select("doc_id", "pool", "batch_id", "url", "text").mapInArrow(_sign(scheme), ddl(_OUT))


def normalized(text: pa.StringArray, form: str) -> pa.StringArray:
    """The texts in a form of FORMS."""
    if form == "none":
        return text
    normalize = NORMALIZERS[FORMS[form]]
    return pa.array([None if one is None else normalize(one) for one in text.to_pylist()], pa.string())


def _check(given: Documents, found: DataFrame) -> None:
    """Refuse documents that have one doc_id, and a table that others changed."""
    num_rows = found.count()
    if num_rows == given.num_kept:
        documents.refuse_twins(found)
    else:
        raise Incomplete(
            f"{TABLE} has {num_rows} rows of {given.num_kept} kept documents; nothing was published; "
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
