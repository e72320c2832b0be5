"""Every Delta table, once: its schema is used for creating, writing, reading and testing.

Names: `*_id` identity, `num_*` counts, `is_*` booleans, `*_at` UTC timestamps, `*_sha` SHA-256 hex.
"""

from dataclasses import dataclass

import pyarrow as pa

from lakeloom.lakehouse.errors import unknown

STRING, INT, LONG, DOUBLE, BOOL = pa.string(), pa.int32(), pa.int64(), pa.float64(), pa.bool_()
TIME = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class Table:
    """One Delta table. `keys` identify a row; `cluster_by` are the columns that readers filter on."""

    name: str
    about: str
    schema: pa.Schema
    keys: tuple[str, ...]
    cluster_by: tuple[str, ...] = ()

    @property
    def skip_by(self) -> tuple[str, ...]:
        """Columns whose smallest and largest value Delta keeps per file, so that readers skip files.

        Only what readers filter on: of all columns, texts and maps among them, it was most of a write's CPU time.
        """
        return tuple(name for name in self.schema.names if name in _FILTERED.union(self.cluster_by))


_FILTERED = frozenset(
    ("pool", "batch_id", "file_id", "fetched_at", "dataset", "corpus_id", "export_id", "evaluation_id", "run_id")
)


def _table(name: str, about: str, keys: str, fields: list[tuple[str, pa.DataType]], cluster_by: str = "") -> Table:
    schema = pa.schema([pa.field(column, kind) for column, kind in fields])
    return Table(name, about, schema, tuple(keys.split()), tuple(cluster_by.split()))


def _registered(name: str, about: str, more: list[tuple[str, pa.DataType]]) -> Table:
    """A table of the registry: what a thing is and was made from, and DCLM's reference JSON of it."""
    fields = [
        ("uuid", STRING),  # a reference's own; else made from content_sha
        ("name", STRING),
        ("origin", STRING),  # lakeloom, dclm
        ("content_sha", STRING),  # SHA-256 of the manifest, the weights or the scores; else of the reference
        ("path", STRING),  # file or folder that content_sha is of; null: none
        ("source_table", STRING),
        ("source_version", LONG),
        ("recipe_hash", STRING),
        ("code_commit", STRING),  # of the code that made it
        ("seed", LONG),
        ("reference", STRING),  # JSON, field for field as in DCLM's exp_data
        ("registered_at", TIME),
    ]
    return _table(name, about, "uuid", [*fields, *more])


_ALL = [
    _table(
        "bronze.batches",
        "one row per source file of a pool: the batch it belongs to, committed before any of its files is read",
        "file_id",
        [
            ("file_id", STRING),  # identity of pool, path and size
            ("pool", STRING),
            ("path", STRING),  # relative to the pool's address
            ("address", STRING),  # where it was found: a later run may list other files
            ("num_bytes", LONG),
            ("batch_id", STRING),  # the commit that the file belongs to
            ("plan", LONG),  # the pool's first ingest plans as 1, each later one as the next
            ("planned_at", TIME),
        ],
    ),
    _table(
        "bronze.files",
        "one row per source file that was read to its end, with its counts; a batch's files come in its last commit",
        "file_id",
        [
            ("file_id", STRING),
            ("pool", STRING),
            ("path", STRING),
            ("num_bytes", LONG),
            ("batch_id", STRING),
            ("num_records", LONG),
            ("num_pages", LONG),
            ("num_dead", LONG),
            ("dead_letters", pa.map_(STRING, LONG)),  # records by stage/error
            ("cpu_s", DOUBLE),
            ("ingested_at", TIME),
        ],
    ),
    _table(
        "bronze.pages",
        "one row per web page as crawled, with its extracted text",
        "doc_id",
        [
            ("doc_id", STRING),
            ("pool", STRING),
            ("batch_id", STRING),
            ("url", STRING),
            ("host", STRING),
            ("domain", STRING),  # registrable, by the Public Suffix List
            ("fetched_at", TIME),
            ("http_status", INT),
            ("content_type", STRING),
            ("http_headers", pa.map_(STRING, STRING)),
            ("charset", STRING),
            ("text", STRING),
            ("num_chars", INT),
            ("html_bytes", INT),
            ("extractor", STRING),
            ("html", pa.binary()),
            ("refusals", pa.list_(STRING)),  # noai, gptbot:noindex, tdm-reservation; null: not looked for
            ("licenses", pa.list_(STRING)),  # SPDX's name or an address; null: not looked for
            ("file_id", STRING),
            ("warc_file", STRING),
            ("warc_offset", LONG),
            ("payload_digest", STRING),
            ("ingested_at", TIME),
        ],
        cluster_by="batch_id",
    ),
    _table(
        "bronze.dead_letters",
        "one row per record that is no page, and why; types that never hold pages are tallied, a row a file and type",
        "file_id offset stage error",
        [
            ("pool", STRING),
            ("batch_id", STRING),
            ("file_id", STRING),
            ("source", STRING),  # file, relative to the pool's address
            ("offset", LONG),  # byte offset of the record; null in a tally
            ("stage", STRING),  # open, parse, select, decode, extract
            ("error", STRING),  # a short name, the same for the same fault
            ("detail", STRING),
            ("num_records", LONG),  # 1, or the tally
            ("num_bytes", LONG),
            ("seen_at", TIME),
        ],
    ),
    _table(
        "silver.documents",
        "one row per page (or part of one) and recipe: what was measured, and which step dropped it (null = kept)",
        "doc_id recipe_hash",
        [
            ("doc_id", STRING),
            ("pool", STRING),
            ("batch_id", STRING),
            ("recipe", STRING),
            ("recipe_hash", STRING),
            ("url", STRING),
            ("text", STRING),  # after edits; null when dropped (the page has it)
            ("num_chars", INT),
            ("dropped_by", STRING),
            ("dropped_at", INT),  # step number from 0
            ("error", STRING),
            ("signals", pa.map_(STRING, DOUBLE)),
            ("aggregated", pa.map_(STRING, STRING)),  # step/key -> JSON, of what a DCLM pipeline summarises
            ("keys", STRING),  # JSON of what steps wrote on a page besides its text; null when dropped
            ("part_of", STRING),  # doc_id of the page that a part was split off
            ("split_at", INT),  # step number
        ],
        cluster_by="recipe_hash batch_id",
    ),
    _table(
        "silver.signatures",
        "one row per kept document: what its duplicates are found by, without its text",
        "doc_id signature_id",
        [
            ("doc_id", STRING),
            ("signature_id", STRING),  # recipe, normal form and hashes
            ("pool", STRING),
            ("batch_id", STRING),
            ("text_sha", STRING),  # of the text's normal form; null: no word in it
            ("url_key", STRING),  # the address in its normal form
            ("bands", pa.list_(LONG)),  # MinHash, a hash a band; null: no word, or no near duplicates wanted
        ],
        cluster_by="signature_id batch_id",
    ),
    _table(
        "silver.pairs",
        "one row per pair of texts that share a band and were compared: how alike they are, whatever the threshold",
        "measure_id a b",
        [
            ("measure_id", STRING),  # normal form and n-gram
            ("a", STRING),  # first 32 digits of one text's SHA-256
            ("b", STRING),  # of the other's; the smaller
            ("similarity", DOUBLE),  # Jaccard of their n-grams
        ],
        cluster_by="measure_id",
    ),
    _table(
        "silver.clusters",
        "one row per document that has a duplicate: its cluster, the one that stays, and why they match",
        "doc_id dedup_id",
        [
            ("doc_id", STRING),
            ("dedup_id", STRING),
            ("cluster_id", STRING),  # the representative's doc_id
            ("is_representative", BOOL),
            ("method", STRING),  # the surest that joined it: exact_text, same_url, minhash
            ("similarity", DOUBLE),  # 1 of a copy; else to the nearest text; null: not measured
            ("reason", STRING),
        ],
        cluster_by="dedup_id",
    ),
    _table(
        "silver.cuts",
        "one row per document with parts that other documents have, or that repeat in it: what is cut out of its text",
        "doc_id cut_id",
        [
            ("doc_id", STRING),
            ("cut_id", STRING),
            ("starts", pa.list_(LONG)),  # of each span, in bytes of the document's text
            ("ends", pa.list_(LONG)),
            ("methods", pa.list_(STRING)),  # those that cut something here
            ("num_bytes", LONG),
            ("is_removed", BOOL),  # nothing but white space would be left
        ],
        cluster_by="cut_id",
    ),
    _table(
        "silver.lengths",
        "one row per record of a source of mixes and tokenizer: its tokens, or why it is no document; without its text",
        "source_id tokenizer_sha document nth",
        [
            ("source_id", STRING),
            ("tokenizer_sha", STRING),
            ("document", STRING),  # hash of text and address; null: no document
            ("nth", INT),  # from 0, where several records have both in common
            ("text_sha", STRING),
            ("split", STRING),  # where its dataset has one
            ("num_tokens", LONG),  # with the end of text
            ("error", STRING),  # no_text, bad_json, ...
        ],
        cluster_by="source_id tokenizer_sha",
    ),
    _table(
        "silver.eval_items",
        "one row per evaluation item and way to search: its n-grams, each once; none where it has too few words",
        "itemset_id task item_id",
        [
            ("itemset_id", STRING),  # identity of the task files and of the n-grams' sizes
            ("task", STRING),
            ("item_id", STRING),  # as in gold.items
            ("num_words", INT),
            ("num_ngrams", INT),
            ("ngrams", pa.list_(LONG)),  # hashes, to join by
            ("checks", pa.list_(LONG)),  # second hashes of the same
            ("places", pa.list_(INT)),  # number of the word that each begins with
        ],
        cluster_by="itemset_id",
    ),
    _table(
        "silver.contamination",
        "one row per document and evaluation item that have an n-gram in common: how much of the item, and where",
        "doc_id task item_id decontamination_id",
        [
            ("doc_id", STRING),
            ("decontamination_id", STRING),
            ("task", STRING),
            ("item_id", STRING),
            ("num_ngrams", INT),  # of the item
            ("num_matched", INT),  # of them in the document
            ("share", DOUBLE),
            ("matched", pa.list_(INT)),  # the item's words that they begin with
            ("starts", pa.list_(INT)),  # spans of the document's text, in bytes of UTF-8
            ("ends", pa.list_(INT)),
        ],
        cluster_by="decontamination_id",
    ),
    _table(
        "gold.corpus",
        "one row per document of a dataset version, with its split",
        "doc_id corpus_id",
        [
            ("corpus_id", STRING),
            ("dataset", STRING),
            ("doc_id", STRING),
            ("url", STRING),
            ("text", STRING),
            ("num_chars", INT),
            ("split", STRING),  # train, holdout
            ("dedup_id", STRING),  # whose clusters it was chosen by; null: by none
            ("source", STRING),  # of a mix: the source's name there
            ("origin", STRING),  # of a mix: its doc_id in a dataset, its file and line; null: a table's row
            ("copy", INT),  # of a mix: 0, and more where the source is repeated
        ],
        cluster_by="corpus_id",
    ),
    _table(
        "gold.mixes",
        "one row per mixed dataset version and source: what was wanted of it, and what it gave; written last",
        "corpus_id source",
        [
            ("corpus_id", STRING),
            ("dataset", STRING),
            ("source", STRING),
            ("source_id", STRING),
            ("kind", STRING),  # dataset, table, files, reference
            ("place", STRING),
            ("source_version", LONG),  # of a Delta table
            ("reference", STRING),  # JSON: uuid, name and sources of a DCLM reference
            ("amount", STRING),  # weight, tokens, epochs
            ("value", DOUBLE),  # of it, as it was asked for
            ("epochs", DOUBLE),  # what that is of the source's tokens
            ("num_records", LONG),  # all that the source has: documents and what is dropped
            ("dropped", pa.map_(STRING, LONG)),  # records that are no documents, by error
            ("num_documents", LONG),
            ("num_held_text", LONG),  # of them: not trained on, since another source holds out their text
            ("num_taken", LONG),  # of them: trained on, each counted once
            ("num_holdout", LONG),  # of them: held out, once each
            ("num_rows", LONG),  # to train on, with copies
            ("available_tokens", LONG),  # that may be trained on, an end of text with each document
            ("wanted_tokens", DOUBLE),
            ("num_tokens", LONG),  # of num_rows
            ("tokenizer_sha", STRING),
            ("seed", LONG),
        ],
        cluster_by="corpus_id",
    ),
    _table(
        "gold.shards",
        "one row per shard file of an exported dataset",
        "export_id shard",
        [
            ("export_id", STRING),
            ("dataset", STRING),
            ("shard", STRING),
            ("path", STRING),
            ("num_sequences", LONG),
            ("num_tokens", LONG),
            ("num_bytes", LONG),
            ("sha256", STRING),
            ("source_table", STRING),
            ("source_version", LONG),
            ("corpus_id", STRING),
            ("recipe_hash", STRING),
            ("tokenizer_sha", STRING),
            ("seed", LONG),
        ],
    ),
    _table(
        "gold.scores",
        "one row per evaluation, task and metric; what is absent has no value and a reason",
        "evaluation_id task metric",
        [
            ("evaluation_id", STRING),
            ("model_sha", STRING),
            ("model", STRING),
            ("dataset", STRING),
            ("export_id", STRING),
            ("scale", STRING),
            ("seed", LONG),
            ("task", STRING),
            ("task_version", STRING),
            ("metric", STRING),
            ("value", DOUBLE),
            ("stderr", DOUBLE),
            ("num_items", LONG),
            ("num_fewshot", INT),
            ("absent_reason", STRING),
            ("run_id", STRING),
        ],
    ),
    _registered(
        "gold.sources",
        "one row per raw or untokenised source: a pool of this lakehouse, or a reference of DCLM's",
        [("pool", STRING)],
    ),
    _registered(
        "gold.datasets",
        "one row per tokenised dataset, and again after each takedown: exports, and references of DCLM's",
        [
            ("export_id", STRING),
            ("corpus_id", STRING),
            ("tokenizer_sha", STRING),
            ("num_takedowns", LONG),  # documents that it had lost
            ("described_sha", STRING),  # of dataset.json without its takedowns
            ("holdout_sha", STRING),  # of the held-out documents
        ],
    ),
    _registered(
        "gold.models",
        "one row per model: those of lakeloom train, and references of DCLM's",
        [("model_sha", STRING), ("train_id", STRING), ("dataset_uuid", STRING), ("start_sha", STRING)],
    ),
    _registered(
        "gold.evaluations",
        "one row per evaluation of a model: those of lakeloom evaluate, and references of DCLM's",
        [("evaluation_id", STRING), ("model_uuid", STRING)],
    ),
    _table(
        "ops.funnel",
        "one row per run, recipe and step: pages in, out and dropped, and what it cost",
        "run_id job step_number",
        [
            ("run_id", STRING),
            ("batch_ids", pa.list_(STRING)),
            ("job", STRING),
            ("pool", STRING),
            ("recipe", STRING),
            ("recipe_hash", STRING),
            ("step_number", INT),
            ("step", STRING),
            ("rows_in", LONG),
            ("rows_out", LONG),
            ("dropped", LONG),
            ("split", LONG),  # pages that a mapper made several of
            ("errors", LONG),  # of the dropped
            ("num_bytes", LONG),
            ("cpu_s", DOUBLE),
        ],
    ),
    _table(
        "ops.takedowns",
        "one row per page or text that must go and document found for it: hashes only; no job reads those documents",
        "request_sha kind doc_id",
        [
            ("takedown_id", STRING),
            ("kind", STRING),  # url, doc_id, text_sha: what was asked for
            ("request_sha", STRING),  # SHA-256 of the URL, the doc_id itself, or the text's SHA-256
            ("doc_id", STRING),  # null: nothing was found
            ("requested_at", TIME),
        ],
    ),
    _table(
        "ops.recipes",
        "one row per recipe that was run: its steps, so that its measurements can be reused under other bounds",
        "recipe_hash recipe",
        [("recipe_hash", STRING), ("recipe", STRING), ("steps", pa.list_(STRING))],  # JSON: id, definition, bounds
    ),
]

TABLES: dict[str, Table] = {table.name: table for table in _ALL}


def table(name: str) -> Table:
    """The table of that name, or a ConfigError with the nearest names."""
    if name not in TABLES:
        raise unknown("table", name, TABLES)
    return TABLES[name]
