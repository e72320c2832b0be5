"""Evaluation items planted into ordinary pages: which are found, which near misses are not, and what choose does."""

import json
import random
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any
from unicodedata import normalize

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lakeloom.evaluate import questions, tasks
from lakeloom.evaluate.tasks import TaskFile
from lakeloom.filters.recipe import Recipe
from lakeloom.jobs import choose, decontaminate, dedup, evalitems
from lakeloom.jobs.choose import ChooseConfig
from lakeloom.jobs.decontaminate import DecontaminateConfig
from lakeloom.jobs.oracle_filters import rows as lines
from lakeloom.lakehouse.errors import ConfigError, Incomplete
from lakeloom.lakehouse.pools import PoolConfig
from lakeloom.lakehouse.report import Report
from lakeloom.lakehouse.store import Lakehouse, LakehouseConfig
from tests.jobs.test_cut import uncut
from tests.jobs.test_dedup import RAW, filled, page
from tests.jobs.test_dedup import config as dedup_config

TASK = "gpqa_main"  # one of the two whose file is not known by its hash
COMMON = ["the", "of", "and", "a", "in", "to", "is", "was", "for", "that", "with", "as", "on", "by"]
RARE = [
    f"{a}{b}{c}" for a in ("br", "c", "fl", "m", "st") for b in ("a", "o", "i") for c in ("nd", "té", "rk", "lffin")
]
Rows = list[dict[str, Any]]


def config(root: str, data: str | None, pool: PoolConfig | None = None, **changes: Any) -> DecontaminateConfig:
    given: dict[str, Any] = {
        "tasks": [TASK], "leave_out": [], "ngram": 13, "min_words": 8, "max_documents": 0, "threshold": 0.5,
        "action": "drop", "max_removed_share": 1.0,
    }  # fmt: skip
    pool = pool or PoolConfig("p", "warc", "", "", "", "", 0, 0)
    return DecontaminateConfig(LakehouseConfig(root, ""), pool, **{"recipe": RAW, "data": data} | given | changes)


def unset(lake: Lakehouse, pool: PoolConfig, recipe: Recipe = RAW) -> DecontaminateConfig:
    """Of a job that doesn't ask for it."""
    return config(lake.cfg.root, None, pool, recipe=recipe)


def prose(seed: int, num_words: int) -> str:
    """Sentences of an invented topic: half of the words are common ones, so short phrases occur again and again."""
    rng = random.Random(seed)  # noqa: S311 (a test's text, not a secret)
    words = [rng.choice(COMMON if rng.random() < 0.5 else RARE) for _ in range(num_words)]
    ends = [", " if rng.random() < 0.1 else ". " if rng.random() < 0.1 else " " for _ in words]
    return "".join(word + end for word, end in zip(words, ends, strict=True)).strip()


def write_items(folder: Path, texts: list[str], task: str = TASK) -> Path:
    """A task's file in the form that DCLM makes of GPQA."""
    path = folder / "gpqa_data" / f"{task}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"query": text, "choices": ["yes", "no"], "gold": 0} for text in texts]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return folder


def inside(leak: str, seed: int) -> str:
    """A leak in the middle of an ordinary page."""
    return f"{prose(seed, 120)}\n{leak}\n{prose(seed + 1, 120)}"


def changed(text: str, old: str, new: str) -> str:
    return text.translate(dict(zip(map(ord, old), new, strict=True)))


LETTERS = "abcdefghijklmnopqrstuvwxyz"
# Copies that must be found, whole items in the middle of a page.
CHANGES: dict[str, Callable[[str], str]] = {
    "exact": str,
    "upper case": str.upper,
    "punctuation": lambda text: re.sub(r" ", " - ", text).replace(".", "").replace(",", ";"),
    "line breaks": lambda text: text.replace(" ", "\n\t"),
    "composed": lambda text: normalize("NFC", text),
    "decomposed": lambda text: normalize("NFD", text),
    "full width": lambda text: changed(text, LETTERS, "".join(chr(ord(one) + 0xFEE0) for one in LETTERS)),
    "ligatures": lambda text: text.replace("ffi", "\ufb03").replace("fl", "\ufb02").replace("st", "\ufb06"),
    "no-break": lambda text: text.replace(" ", "\u00a0").replace("an", "a\u200bn").replace("or", "o\u00adr"),
    "accents lost": lambda text: changed(text, "éÉ", "eE"),
    "one word changed": lambda text: " ".join("other" if n == 20 else one for n, one in enumerate(text.split())),
}


def halves(text: str) -> tuple[str, str]:
    words = text.split()
    return " ".join(words[: len(words) // 2]), " ".join(words[len(words) // 2 :])


def near_misses(text: str) -> list[str]:
    """What an ordinary page may have in common with an item: less than 13 of its words in a row, or a small part."""
    words = text.split()
    return [
        " ".join(words[:12]),
        " ".join(word if n % 13 else "other" for n, word in enumerate(words)),
        " ".join(reversed(words)),
        " ".join(words[10:24]),
        " ".join(sorted(words)),
    ]


ITEMS = [prose(1000 + number, 60) for number in range(30)]
SHORT = prose(5000, 9)
TOO_SHORT = "five words are too few"


def planted() -> Rows:
    """Pages named after what they have: copies of items 0 to 10, halves of 11 to 15, near misses of 16 to 29."""
    pages = {f"clean/{number}": prose(number, 300) for number in range(60)}
    for seed, (kind, change) in enumerate(CHANGES.items()):
        for item in range(10):
            pages[f"{kind}/{item}"] = inside(change(ITEMS[item]), 10_000 + 100 * seed + 2 * item)
    for item in range(11, 16):
        for number, half in enumerate(halves(ITEMS[item])):
            pages[f"half/{item} {number}"] = inside(half, 20_000 + 2 * item + number)
    for item in range(16, 30):
        for number, text in enumerate(near_misses(ITEMS[item])):
            pages[f"miss/{item} {number}"] = inside(text, 30_000 + 20 * item + 2 * number)
    pages |= {"short": inside(SHORT.title(), 40_000), "short miss": inside(SHORT.rsplit(" ", 1)[0], 40_002)}
    pages |= {"too short": inside(TOO_SHORT, 40_004), "empty": "", "marks": "... ---"}
    rows = [page(name, text) for name, text in pages.items()]
    rows.append(page("null", None))
    rows.append(page("dropped", None, dropped_by="num_words", dropped_at=0))
    return [*rows, page("other pool", ITEMS[0], pool="q")]


@pytest.fixture
def data(tmp_path: Path) -> str:
    """Items between the words of a prompt; after the thirty, a short one, one too short, and an empty one."""
    texts = [f"Question: {text}\nAnswer:" for text in [*ITEMS, SHORT, TOO_SHORT, ""]]
    return str(write_items(tmp_path / "eval", texts))


def found(lake: Lakehouse, cfg: DecontaminateConfig) -> Rows:
    """The rows of a run, by document and item."""
    decontaminate.run(lake.spark, cfg)
    rows = decontaminate.read(lake, cfg).drop("decontamination_id").orderBy("doc_id", "item_id")
    return [row.asDict() for row in rows.toLocalIterator()]


def measure(flagged: set[str], names: set[str]) -> dict[str, tuple[int, int]]:
    """By kind of page, how many there are and how many are flagged; printed for whoever runs pytest -s."""
    kinds = {name: name.partition("/")[0] for name in names}
    counts = dict.fromkeys(sorted(set(kinds.values())), (0, 0))
    for name, kind in kinds.items():
        total, hit = counts[kind]
        counts[kind] = total + 1, hit + (name in flagged)
    for kind, (total, hit) in counts.items():
        sys.stdout.write(f"{kind:<20}{hit:>4} of {total:>4} flagged\n")
    return counts


@pytest.mark.spark
def test_planted_leaks_are_found_and_near_misses_are_not(spark: SparkSession, lake: Lakehouse, data: str) -> None:
    rows = planted()
    cfg = config(filled(lake, rows).cfg.root, data)
    report = decontaminate.run(spark, cfg)
    kept = {row["doc_id"] for row in rows if row["pool"] == "p" and row["dropped_by"] is None}
    flagged = {row["doc_id"] for row in decontaminate.flagged(cfg, decontaminate.read(lake, cfg)).collect()}
    leaks = {name for name in kept if name.partition("/")[0] in {*CHANGES, "short"}}
    measure(flagged, kept)
    sys.stdout.write(f"recall {len(flagged & leaks)}/{len(leaks)}, precision {len(flagged & leaks)}/{len(flagged)}\n")
    assert flagged == leaks
    assert (report.rows_in, report.rows_out, report.dropped) == (len(kept), len(kept) - len(leaks), len(leaks))
    assert report.facts["contaminated"] == len(leaks) == 111
    (line,) = report.sheets[0].rows
    # Items: 33; two too short; 10 leaked whole and the short one; five known from their halves only.
    assert line[:3] == (TASK, 33, 2) and line[4:] == (11, 5, 111)
    assert list(lake.folder("scratch").iterdir()) == []


@pytest.mark.spark
def test_rows_say_what_of_an_item_is_where(lake: Lakehouse, data: str) -> None:
    first, _ = halves(ITEMS[11])
    texts = {"whole": inside(ITEMS[11], 1), "first": inside(first, 3), "twice": f"é {SHORT} x {SHORT}"}
    cfg = config(filled(lake, [page(name, text) for name, text in texts.items()]).cfg.root, data)
    rows = {(row["doc_id"], row["item_id"]): row for row in found(lake, cfg)}
    assert sorted(rows) == [("first", "11"), ("twice", "30"), ("whole", "11")]
    whole, part, twice = rows["whole", "11"], rows["first", "11"], rows["twice", "30"]
    assert (whole["num_ngrams"], whole["num_matched"], whole["share"]) == (48, 48, 1.0)
    assert (whole["task"], whole["matched"]) == (TASK, list(range(48)))
    assert (part["num_ngrams"], part["num_matched"], part["share"]) == (48, 18, 18 / 48)
    assert part["matched"] == list(range(18))
    for name, row, expected in (("whole", whole, ITEMS[11]), ("first", part, first)):
        ((start, end),) = zip(row["starts"], row["ends"], strict=True)
        assert texts[name].encode()[start:end].decode() == expected.rstrip(".,")
    assert (twice["num_matched"], twice["starts"][0], len(twice["starts"])) == (1, 3, 2)
    items = {row["item_id"]: row for row in lake.read("silver.eval_items").collect()}
    assert (len(items), items["30"]["num_words"], items["30"]["num_ngrams"]) == (33, 9, 1)
    assert (items["31"]["num_words"], items["31"]["num_ngrams"], items["31"]["ngrams"]) == (6, 0, [])
    assert items["0"]["places"] == list(range(48)) and len(set(items["0"]["checks"])) == 48


@pytest.mark.spark
def test_a_second_run_finds_the_first_and_other_thresholds_search_nothing(
    spark: SparkSession, lake: Lakehouse, data: str
) -> None:
    cfg = config(filled(lake, planted()[::7]).cfg.root, data)
    first = decontaminate.run(spark, cfg)
    versions = {name: lake.version(name) for name in ("silver.eval_items", "silver.contamination")}
    again = decontaminate.run(spark, cfg)
    assert (first.facts["was_there"], again.facts["was_there"]) == (0, 1)
    assert replace(again, facts={}) == replace(first, facts={})
    stricter = decontaminate.run(spark, replace(cfg, threshold=1.0, action="mask"))
    assert stricter.dropped == 0 and 0 < int(stricter.facts["contaminated"]) < int(first.facts["contaminated"])
    assert versions == {name: lake.version(name) for name in versions}
    same = [cfg, replace(cfg, threshold=0.1), replace(cfg, action="none"), replace(cfg, max_removed_share=0.0)]
    others = [replace(cfg, ngram=8), replace(cfg, min_words=9), replace(cfg, max_documents=10)]
    assert len({decontaminate.identify(lake, one) for one in same}) == 1
    assert len({decontaminate.identify(lake, one) for one in [cfg, *others]}) == 4
    write_items(Path(data), [*ITEMS, "another item of the same task, of words enough to be searched for"])
    assert decontaminate.identify(lake, cfg) != first.facts["decontamination_id"]
    with pytest.raises(ConfigError, match="run lakeloom decontaminate with the same settings first"):
        decontaminate.read(lake, cfg)


@pytest.mark.spark
@pytest.mark.slow
def test_partitions_and_order_change_nothing(spark: SparkSession, tmp_path: Path, data: str) -> None:
    rows, results = planted()[::5], list[Rows]()
    kept = spark.conf.get("spark.sql.shuffle.partitions")
    try:
        for number in (1, 3):
            lake = Lakehouse(spark, LakehouseConfig(str(tmp_path / str(number)), ""))
            shuffled = random.Random(number).sample(rows, len(rows))  # noqa: S311 (an order, not a secret)
            spark.conf.set("spark.sql.shuffle.partitions", number)
            results.append(found(filled(lake, shuffled, number), config(lake.cfg.root, data, max_documents=30)))
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", str(kept))
    assert results[0] and results[0] == results[1]


@pytest.mark.spark
def test_too_many_contaminated_documents_publish_nothing(spark: SparkSession, lake: Lakehouse, data: str) -> None:
    pages = [page(f"d{number}", inside(ITEMS[0], number) if number < 2 else prose(number, 50)) for number in range(8)]
    cfg = config(filled(lake, pages).cfg.root, data, max_removed_share=0.2)
    with pytest.raises(Incomplete, match=r"drop 2 of 8 documents \(25\.00%\) of pool 'p'.*allowed: 20\.00%"):
        decontaminate.run(spark, cfg)
    assert not lake.exists("silver.contamination") and list(lake.folder("scratch").iterdir()) == []
    assert decontaminate.run(spark, replace(cfg, action="none")).facts["contaminated"] == 2
    with pytest.raises(Incomplete, match="decontaminate would drop 2 of 8"):
        choose.run(spark, chosen(lake, cfg))


@pytest.mark.spark
def test_ngrams_in_many_documents_do_not_count_where_a_bound_is_set(lake: Lakehouse, data: str) -> None:
    phrase = " ".join(ITEMS[0].split()[:20])  # eight n-grams of 48
    pages = [page(f"d{number}", inside(phrase, number)) for number in range(4)] + [page("whole", inside(ITEMS[0], 9))]
    cfg = config(filled(lake, pages).cfg.root, data)
    assert {row["doc_id"]: row["num_matched"] for row in found(lake, cfg)} == dict.fromkeys(
        ("d0", "d1", "d2", "d3"), 8
    ) | {"whole": 48}
    (row,) = found(lake, replace(cfg, max_documents=4))
    assert (row["doc_id"], row["num_ngrams"], row["num_matched"], row["share"]) == ("whole", 40, 40, 1.0)


@pytest.mark.spark
def test_eight_words_find_more_than_thirteen(lake: Lakehouse, data: str) -> None:
    words = ITEMS[0].split()
    often = " ".join("other" if n % 12 == 11 else word for n, word in enumerate(words))
    cfg = config(filled(lake, [page("d", inside(often, 1))]).cfg.root, data)
    assert found(lake, cfg) == []
    (row,) = found(lake, replace(cfg, ngram=8, threshold=0.3))
    assert (row["num_ngrams"], row["num_matched"], len(row["starts"])) == (53, 20, 5)


def chosen(lake: Lakehouse, cfg: DecontaminateConfig, methods: Sequence[str] = (), **changes: Any) -> ChooseConfig:
    duplicates = replace(dedup_config(lake.cfg.root), methods=list(methods), pool=cfg.pool, recipe=cfg.recipe)
    given: dict[str, Any] = {"dataset": "d", "holdout_share": 0.0, "seed": 0, "decontaminated": True}
    return ChooseConfig(lake.cfg, cfg.pool, cfg.recipe, duplicates, uncut(duplicates), cfg, **given | changes)


def corpus(lake: Lakehouse, cfg: ChooseConfig) -> tuple[dict[str, str], Report]:
    report = choose.run(lake.spark, cfg)
    rows = lake.read("gold.corpus").where(f"corpus_id = '{report.facts['corpus_id']}'").collect()
    assert all(len(row["text"]) == row["num_chars"] for row in rows)
    return {row["doc_id"]: row["text"] for row in rows}, report


@pytest.mark.spark
def test_choose_drops_or_masks_what_was_found(lake: Lakehouse, data: str) -> None:
    texts = {
        "clean": prose(1, 50),
        "part": inside(halves(ITEMS[1])[0], 2),
        "leak": f"é before {ITEMS[0]} \u2014 between {SHORT}, after",
        "only": ITEMS[2],
    }
    cfg = config(filled(lake, [page(name, text) for name, text in texts.items()]).cfg.root, data)
    with pytest.raises(ConfigError, match="run lakeloom decontaminate with the same settings first"):
        choose.run(lake.spark, chosen(lake, cfg))
    decontaminate.run(lake.spark, cfg)
    dropped, report = corpus(lake, chosen(lake, cfg))
    assert dropped == {name: texts[name] for name in ("clean", "part")}
    assert (report.rows_in, report.rows_out, report.dropped, report.facts["contaminated"]) == (4, 2, 2, 2)
    masked, report = corpus(lake, chosen(lake, replace(cfg, action="mask")))
    rest = ITEMS[0][len(ITEMS[0].rstrip(".,")) :]
    assert masked == {**dropped, "leak": f"é before {rest} \u2014 between , after"}
    assert (report.rows_out, report.facts["contaminated"]) == (3, 2)
    assert (
        len({choose.identify(lake, one) for one in (chosen(lake, cfg), chosen(lake, replace(cfg, threshold=0.6)))}) == 2
    )


@pytest.mark.spark
def test_a_cluster_whose_representative_is_left_out_gives_nothing_to_train(lake: Lakehouse, data: str) -> None:
    texts = {
        "a": inside(ITEMS[0], 1),
        "b": prose(2, 50),
        "c": inside(ITEMS[1], 3),
        "d": prose(4, 50),
        "e": prose(5, 50),
    }
    cfg = config(filled(lake, [page(name, text) for name, text in texts.items()]).cfg.root, data)
    decontaminate.run(lake.spark, cfg)
    ours = chosen(lake, cfg, methods=["text"])
    dedup_id = dedup.identify(lake, ours.dedup)
    pairs = [("a", "a"), ("b", "a"), ("c", "d"), ("d", "d")]  # contaminated are a representative and another member
    clusters = lake.spark.createDataFrame(pairs, "doc_id STRING, cluster_id STRING").selectExpr(
        "*", "doc_id = cluster_id as is_representative", "'' as method", "1.0 as similarity", "'' as reason"
    )
    rows = clusters.withColumn("dedup_id", F.lit(dedup_id))
    lake.append(rows, "silver.clusters", txn=f"dedup/{dedup_id}")
    assert sorted(corpus(lake, ours)[0]) == ["d", "e"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"action": "drpo"}, "decontaminate.action: no action 'drpo'; nearest: drop"),
        ({"tasks": ["arc_esy"]}, "decontaminate.tasks: no task or group of tasks 'arc_esy'; nearest: arc_easy"),
        ({"leave_out": ["squat"]}, "decontaminate.leave_out: no task or group of tasks 'squat'; nearest: squad"),
        ({"leave_out": [TASK]}, "no task is left"),
        ({"min_words": 14}, "min_words=14, ngram=13"),
        ({"min_words": 0}, "from 1, the smaller first"),
        ({"threshold": 0.0}, "above 0 and at most 1"),
        ({"max_documents": -1}, r"0 \(no bound\) or more"),
        ({"max_removed_share": 1.5}, "from 0 to 1"),
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config("root", None, **wrong)


def test_without_data_there_is_nothing_to_search_for(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"none of 1 tasks has data.*evaluate\.data is not set.*say evaluate\.data=FOLDER"
    ):
        _ = config("root", None).items
    with pytest.raises(ConfigError, match=r"no file gpqa_data/gpqa_main.jsonl\[.zst\] in"):
        _ = config("root", str(tmp_path)).items
    with pytest.raises(ConfigError, match="is no folder"):
        _ = config("root", str(tmp_path / "absent")).items
    cfg = config("root", str(write_items(tmp_path, ITEMS[:1])), tasks=[TASK, "gpqa_diamond"])
    assert [one.task for one in cfg.items.absent] == ["gpqa_diamond"]
    assert [task.name for task, _ in cfg.items.files] == [TASK]
    with pytest.raises(ConfigError, match=r"say decontaminate\.action=drop or mask, not none"):
        ours = replace(cfg, action="none")
        ChooseConfig(
            cfg.lakehouse,
            cfg.pool,
            RAW,
            dedup_config("root"),
            uncut(dedup_config("root")),
            ours,
            "d",
            0.1,
            0,
            decontaminated=True,
        )


def test_the_table_of_ngrams_is_the_same_after_a_file(tmp_path: Path, data: str) -> None:
    items = config("root", data).items
    evalitems.write(items, tmp_path)
    known = evalitems.load(tmp_path, 8)
    assert (len(known.firsts), known.lengths.tolist(), known.head) == (30 * 48 + 1, [9, 13], 8)
    evalitems.write(config("root", str(write_items(Path(data), [TOO_SHORT, ""]))).items, tmp_path)
    assert len(evalitems.load(tmp_path, 8).firsts) == 0


REAL = ["arc_challenge", "gsm8k_cot", "hellaswag_zeroshot", "winograd", "triviaqa_sm_sub"]


@pytest.mark.spark
@pytest.mark.slow
@pytest.mark.parametrize("ngram", [13, 8])
def test_real_items_in_real_pages(spark: SparkSession, lake: Lakehouse, shared: Path, ngram: int) -> None:
    """Items of the benchmark, every tenth page with one; clean pages are those that the parity check has."""
    folder = shared / "data" / "eval"
    texts = [row["text"] for row in islice(lines(shared / "oracle" / "pages.jsonl.zst"), 300)]
    pages = {f"clean/{number}": text for number, text in enumerate(texts)}
    for task in tasks.choose(REAL):
        file = tasks.locate(task, folder)
        assert isinstance(file, TaskFile)
        asked = [one for one in questions.read(task, file) if len(one.text.split()) > 10]
        for seed, (kind, change) in enumerate(CHANGES.items()):
            leak, host = asked[7 * seed], texts[20 * seed]
            pages[f"{kind}/{task.name} {leak.item_id}"] = f"{host[:2000]}\n{change(leak.text)}\n{host[2000:]}"
    cfg = config(filled(lake, [page(name, text) for name, text in pages.items()]).cfg.root, str(folder))
    cfg = replace(cfg, tasks=REAL, ngram=ngram)
    decontaminate.run(spark, cfg)
    rows = decontaminate.flagged(cfg, decontaminate.read(lake, cfg)).collect()
    sys.stdout.write(f"\n{ngram} words\n")
    measure({row["doc_id"] for row in rows}, set(pages))
    named = {row["doc_id"] for row in rows if row["doc_id"].endswith(f"/{row['task']} {row['item_id']}")}
    assert named >= {name for name in pages if not name.startswith(("clean", "one word"))}
    assert {row["doc_id"] for row in rows} == named


@pytest.mark.spark
def test_a_page_that_says_an_item_again_and_again_costs_what_it_is_long(lake: Lakehouse, tmp_path: Path) -> None:
    """30,000 places of one n-gram are counted once, and united where they touch; a fold of them took minutes."""
    items = str(write_items(tmp_path / "eval", [ITEMS[0]]))
    phrase = " ".join(ITEMS[0].split()[:13])
    filled(lake, [page("again", " x ".join([phrase] * 30_000)), page("once", phrase)])
    rows = {row["doc_id"]: row for row in found(lake, config(lake.cfg.root, items))}
    assert (len(rows["again"]["starts"]), len(rows["once"]["starts"])) == (30_000, 1)
    assert rows["again"]["num_matched"] == rows["once"]["num_matched"] == 1


@pytest.mark.spark
def test_a_task_without_items_has_none(spark: SparkSession, lake: Lakehouse, tmp_path: Path) -> None:
    filled(lake, [page("page", ITEMS[0])])
    report = decontaminate.run(spark, config(lake.cfg.root, str(write_items(tmp_path / "eval", []))))
    assert report.sheets[0].rows == ((TASK, 0, 0, 0, 0, 0, 0),)
