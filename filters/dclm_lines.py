"""DCLM's modifiers, translated to edits (specification, sections 2.7 and 2.8)."""

import re
from typing import Literal

from lakeloom.filters.dclm_content import INFINITE, Location, Model
from lakeloom.filters.dclm_plan import Plan, Row, translates
from lakeloom.filters.expressions import check
from lakeloom.lakehouse.errors import ConfigError

_DOMAINS = "baselines/mappers/iana_tlds.txt"


@translates(reads_text=False)
def move_url_modifier(plan: Plan) -> list[Row]:
    """The ingest has put the record's address into `url` already; a page without one is lost in DCLM."""
    return [{"signal": "has_url"}]


@translates(reads_text=False)
def key_name_modifier(
    plan: Plan, *, old_key: str = "content", new_key: str = "text", allow_overwrite: bool = False
) -> list[Row]:
    return [{"mapper": "rename_key", "old": old_key, "new": new_key, "overwrite": allow_overwrite}]


@translates()
def url_removal_modifier(plan: Plan, *, tlds_filepath: str = _DOMAINS) -> list[Row]:
    found = plan.find(tlds_filepath) if tlds_filepath == _DOMAINS else plan.file(tlds_filepath)
    return [{"edit": "remove_urls", "domains_file": found, "anywhere": plan.fix}]


@translates()
def newline_removal_modifier(plan: Plan, *, max_consecutive: int = 2) -> list[Row]:
    return [{"edit": "limit_newlines", "max_run": max_consecutive}]


@translates()
def uppercase_ratio_line_modifier(plan: Plan, *, max_ratio: float = 0.5) -> list[Row]:
    return [{"edit": "drop_uppercase_lines", "max_ratio": max_ratio}]


@translates()
def numeric_ratio_line_modifier(plan: Plan, *, max_ratio: float = 1.0) -> list[Row]:
    return [{"edit": "drop_numeric_lines", "max_ratio": max_ratio}]


@translates()
def counter_line_modifier(plan: Plan) -> list[Row]:
    return [{"edit": "drop_counter_lines"}]


@translates()
def line_length_modifier(plan: Plan, *, min_length: float = 0, max_length: float = INFINITE) -> list[Row]:
    rows: list[Row] = [{"edit": "drop_short_lines", "min_words": min_length}]
    if max_length != INFINITE:
        rows.append({"edit": "drop_long_lines", "max_words": max_length})
    return rows


@translates()
def word_length_modifier(
    plan: Plan,
    *,
    max_length: float = 1000,
    model: Model = "fasttext",
    ignore_punctuation: bool = False,
    ignore_whitespace: bool = True,
) -> list[Row]:
    options = {"ignore_punctuation": ignore_punctuation, "ignore_whitespace": ignore_whitespace}
    return [{"edit": "drop_long_word_lines", "max_length": max_length, "model": model, **options}]


@translates()
def punctuation_line_modifier(plan: Plan, *, remove_ellipses: bool = False) -> list[Row]:
    return [{"edit": "drop_unfinished_lines", "remove_ellipses": remove_ellipses}]


@translates()
def citation_removal_modifier(plan: Plan) -> list[Row]:
    return [{"edit": "remove_citations"}]


@translates()
def substring_line_modifier(
    plan: Plan,
    *,
    banlist: tuple[str, ...] | str,
    case_sensitive: bool = False,
    location: Location = "any",
    max_length: float | None = None,
    remove_substring_only: bool = False,
) -> list[Row]:
    phrases = [banlist] if isinstance(banlist, str) else list(banlist)
    phrases = [re.escape(phrase) for phrase in phrases] if plan.fix else phrases
    check("|".join(phrases))
    options = {"location": location, "max_words": max_length, "case_sensitive": case_sensitive}
    name = "remove_line_phrase" if remove_substring_only else "drop_phrase_lines"
    return [{"edit": name, "phrase": "|".join(phrases), **options}]


@translates()
def within_page_dedup(
    plan: Plan, *, granularity: Literal["line", "paragraph"] = "line", normalize: bool = True
) -> list[Row]:
    return [{"edit": "drop_repeated_pieces", "granularity": granularity, "normalize": normalize}]


@translates(reads_text=False)
def split_lines_modifier(plan: Plan, *, delimiter: str = "\n") -> list[Row]:
    """The text stays one string; that it is a list for DCLM is known from here to join_lines_modifier."""
    if not delimiter:
        raise ConfigError("delimiter: '' separates nothing")
    if plan.delimiter is not None:
        return []
    plan.delimiter = delimiter
    return [{"edit": "drop_empty_text"}]


@translates(reads_text=False)
def join_lines_modifier(plan: Plan, *, delimiter: str = "\n") -> list[Row]:
    before, plan.delimiter = plan.delimiter, None
    if before in (None, delimiter):
        return []
    return [{"edit": "replace_string", "old": before, "new": delimiter}]


@translates()
def html_content_extraction_modifier(plan: Plan) -> list[Row]:
    return [{"edit": "extract_paragraphs"}]
