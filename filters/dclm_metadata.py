"""DCLM's metadata filters and enrichers, translated (specification, sections 2.6 and 2.9)."""

from typing import Literal

from lakeloom.filters.dclm_content import Model, Tokenizer, listed, words_row
from lakeloom.filters.dclm_plan import Plan, Row, translates
from lakeloom.filters.parameters import Regex
from lakeloom.lakehouse.errors import ConfigError

_LID = "baselines/mappers/enrichers/language_id_enrichment_models/lid.176.bin"
_QUALITY = "baselines/mappers/enrichers/quality_prediction_enrichment_models"
Detector = Literal["fasttext", "langdetect"]


@translates(reads_text=False)
def random_sampling_filter(plan: Plan, *, keep_probability: float = 0.1) -> list[Row]:
    """DCLM's generator has no seed; here it is seeded with the page's id, and the place among such filters."""
    if not 0 <= keep_probability <= 1:
        raise ConfigError(f"keep_probability: {keep_probability} is not between 0 and 1")
    plan.num_samplings += 1
    salt = "" if plan.num_samplings == 1 else f"/{plan.num_samplings}"
    return [{"signal": "random_number", "salt": salt, "below": keep_probability}]


@translates(reads_text=False)
def language_filter(
    plan: Plan,
    *,
    keep_languages: tuple[str, ...],
    key: str = "language_id_whole_page_langdetect",
    threshold: float = 0.0,
) -> list[Row]:
    return [{"signal": "language_probability", "key": key, "languages": list(keep_languages), "above": threshold}]


@translates(reads_text=False)
def quality_filter(
    plan: Plan,
    *,
    key: str = "fasttext_hq_prob",
    threshold: float = 0.0,
    lower_better: bool = False,
    key_must_exist: bool = True,
) -> list[Row]:
    bound = "max" if lower_better else "min"
    return [{"signal": "page_value", "key": key, "is_required": key_must_exist, bound: threshold}]


@translates(reads_text=False)
def url_substring_filter(
    plan: Plan,
    *,
    banlist: tuple[str, ...] | str | None = None,
    banlist_from_fname: str | None = None,
    ignore_chars: tuple[str, ...] | str | None = None,
    num_banned_substrs: float = 1,
    exact_domain_match: bool = False,
    match_substrings: bool = True,
    case_sensitive: bool = False,
) -> list[Row]:
    if banlist_from_fname is not None and banlist_from_fname.endswith((".pkl", ".pickle")):
        raise ConfigError(f"{banlist_from_fname}: a pickle can run any code and is not read; give the list as text")
    ignore = list(ignore_chars or ())
    options: Row = {"ignore": ignore, "case_sensitive": case_sensitive}
    if exact_domain_match:
        row = listed(plan, "hosts", banlist, banlist_from_fname)
        return [{"signal": "is_listed_host", **row, **options, "with_subdomains": plan.fix, "max": 0}]
    row = listed(plan, "words", banlist, banlist_from_fname)
    options["whole_words"] = not match_substrings
    return [{"signal": "num_listed_words", **row, **options, "below": num_banned_substrs}]


@translates()
def word_removal_ratio_filter(
    plan: Plan,
    *,
    prev_word_count_key: str,
    new_word_count_key: str | None = None,
    max_removed_ratio: float = 0.05,
    ignore_punctuation: bool = True,
    model: Model = "fasttext",
    ignore_whitespace: bool = True,
) -> list[Row]:
    options = {"model": model, "ignore_punctuation": ignore_punctuation, "ignore_whitespace": ignore_whitespace}
    row: Row = {"signal": "removed_word_ratio", "before": prev_word_count_key, "after": new_word_count_key or ""}
    return [row | options | {"max": max_removed_ratio}]


@translates()
def line_counter_enricher(
    plan: Plan,
    *,
    paragraph_end: Regex = "\n",
    remove_empty: bool = True,
    key: str = "num_lines",
    overwrite: bool = False,
) -> list[Row]:
    row: Row = {"signal": "num_pieces", "separator": paragraph_end, "remove_empty": remove_empty}
    return [row | {"write": key, "overwrite": overwrite}]


@translates()
def word_counter_enricher(
    plan: Plan,
    *,
    key: str = "word_count",
    overwrite: bool = False,
    ignore_punctuation: bool = True,
    model: Model = "fasttext",
    ignore_whitespace: bool = True,
) -> list[Row]:
    return [words_row(model, ignore_punctuation, ignore_whitespace) | {"write": key, "overwrite": overwrite}]


@translates()
def detect_lang_whole_page_enricher(
    plan: Plan,
    *,
    model: Detector,
    key_prefix: str = "language_id_whole_page",
    overwrite: bool = False,
    seed: int | None = None,
) -> list[Row]:
    if model == "fasttext" and seed is not None:
        raise ConfigError("seed: fasttext takes none; in DCLM every page of this step is an error")
    row: Row = {"mapper": "detect_languages", "model": model, "key": f"{key_prefix}_{model}", "overwrite": overwrite}
    return [row | {"seed": seed, "model_file": _language_model(plan, model), "is_forgiving": plan.fix}]


@translates()
def detect_lang_paragraph_enricher(
    plan: Plan,
    *,
    model: Detector,
    tokenizer: Tokenizer,
    key_prefix: str = "language_id_paragraph",
    overwrite: bool = False,
) -> list[Row]:
    row: Row = {"mapper": "detect_sentence_languages", "model": model, "tokenizer": tokenizer, "overwrite": overwrite}
    key = f"{key_prefix}_{model}"
    return [row | {"key": key, "model_file": _language_model(plan, model), "is_forgiving": plan.fix}]


def _language_model(plan: Plan, model: Detector) -> object:
    """lid.176.bin where DCLM has it; without it, the compressed sibling that ships with lakeloom's requirements."""
    return plan.find(_LID) if model == "fasttext" else None


@translates()
def classify_fasttext_hq_prob_enricher(
    plan: Plan, *, model_filename: str = "model.bin", key: str = "fasttext_hq_prob", overwrite: bool = False
) -> list[Row]:
    advice = "get the classifier of the DCLM paper from its model page, or train one, and give its path"
    path = plan.find(model_filename) or plan.file(f"{_QUALITY}/{model_filename}", advice)
    return [{"signal": "high_quality_probability", "model_file": path, "write": key, "overwrite": overwrite}]


@translates()
def ken_lm_perplexity_enricher(plan: Plan, *, key: str = "kenlm_perplexity", overwrite: bool = False) -> list[Row]:
    advice = "get it with the CC-Net models (en.arpa.bin and en.sp.model)"
    files = {"model_file": "en.arpa.bin", "pieces_file": "en.sp.model"}
    row: Row = {name: plan.find(file) or plan.file(f"{_QUALITY}/{file}", advice) for name, file in files.items()}
    return [{"signal": "kenlm_perplexity", **row, "write": key, "overwrite": overwrite}]
