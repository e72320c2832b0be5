"""DCLM's content filters, translated: each measures the text and has a bound (specification, sections 2.3 to 2.5)."""

from pathlib import Path
from typing import Literal, cast

from lakeloom.filters.dclm_plan import Plan, Row, bounds, translates
from lakeloom.filters.phrases import page_expression
from lakeloom.filters.sentences import punkt
from lakeloom.lakehouse.errors import ConfigError

INFINITE = float("inf")
Model = Literal["fasttext", "uniseg", "split"]
Tokenizer = Literal["blingfire", "nltk"]
Location = Literal["any", "prefix", "suffix"]
_SHARES = {
    ("line", False): "repeated_line_ratio",
    ("line", True): "repeated_line_char_ratio",
    ("paragraph", False): "repeated_paragraph_ratio",
    ("paragraph", True): "repeated_paragraph_char_ratio",
}
_NGRAM_LIMITS = {2: 0.20, 3: 0.18, 4: 0.16, 5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}
_SEPARATORS = {"line": "\n", "paragraph": "\n\n"}
_ENGLISH = ("en", "english")
# Arguments of page_length_filter that reach the splitter of one length_type only.
_SPLITTER_ARGUMENTS = {
    "char": {"model", "ignore_punctuation", "ignore_whitespace", "remove_empty", "tokenizer", "tokenizer_lang"},
    "word": {"model", "ignore_punctuation", "ignore_whitespace"},
    "sentence": {"remove_empty", "tokenizer", "tokenizer_lang"},
    "line": {"remove_empty"},
    "paragraph": {"remove_empty"},
}
_GITHUB = [
    *(".asm", ".bat", ".cmd", ".c", ".h", ".cs", ".cpp", ".hpp", ".c++", ".h++", ".cc", ".hh", ".C", ".H", ".cmake"),
    *(".css", ".dockerfile", ".f90", ".f", ".f03", ".f08", ".f77", ".f95", ".for", ".fpp", ".go", ".hs", ".html"),
    *(".java", ".js", ".jl", ".lua", ".md", ".markdown", ".php", ".php3", ".php4", ".php5", ".phps", ".phpt", ".pl"),
    *(".pm", ".pod", ".perl", ".ps1", ".psd1", ".psm1", ".py", ".rb", ".rs", ".sql", ".scala", ".sh", ".bash"),
    *(".command", ".zsh", ".ts", ".tsx", ".tex", ".vb", "Dockerfile", "Makefile", ".xml", ".rst", ".m", ".smali"),
]


@translates()
def page_length_filter(
    plan: Plan,
    *,
    length_type: Literal["char", "word", "sentence", "line", "paragraph"],
    min_length: float = 1,
    max_length: float = INFINITE,
    model: Model | None = None,
    ignore_punctuation: bool | None = None,
    ignore_whitespace: bool | None = None,
    remove_empty: bool | None = None,
    tokenizer: Tokenizer | None = None,
    tokenizer_lang: str | None = None,
) -> list[Row]:
    given = {
        "model": model,
        "ignore_punctuation": ignore_punctuation,
        "ignore_whitespace": ignore_whitespace,
        "remove_empty": remove_empty,
        "tokenizer": tokenizer,
        "tokenizer_lang": tokenizer_lang,
    }
    options = {name: value for name, value in given.items() if value is not None}
    for name in options:
        if name not in _SPLITTER_ARGUMENTS[length_type]:
            allowed = ", ".join(sorted(_SPLITTER_ARGUMENTS[length_type]))
            raise ConfigError(f"length_type {length_type} takes no {name}; it takes {allowed}")
    row: Row
    if length_type == "char":
        row = {"signal": "num_chars"}
    elif length_type == "word":
        row = words_row(model or "fasttext", ignore_punctuation is True, ignore_whitespace is not False)
    elif length_type == "sentence":
        if remove_empty is False:
            raise ConfigError("remove_empty: false is not implemented in DCLM for sentences")
        row = {"signal": "num_sentences", "tokenizer": tokenizer or "blingfire"}
        if tokenizer == "nltk":
            row["is_english"] = tokenizer_lang in _ENGLISH
            punkt(tokenizer_lang in _ENGLISH)  # a missing model is known before any page is read
    else:
        row = {"signal": "num_pieces", "separator": _SEPARATORS[length_type], "remove_empty": remove_empty is not False}
    return [row | dict(bounds(min=min_length, max=max_length))]


def words_row(model: Model, ignore_punctuation: bool, ignore_whitespace: bool) -> Row:
    """The signal that counts words like this; num_tokens is measured with the rest of the text."""
    if model == "fasttext" and ignore_punctuation and ignore_whitespace:
        return {"signal": "num_tokens"}
    options = {"ignore_punctuation": ignore_punctuation, "ignore_whitespace": ignore_whitespace}
    return {"signal": "num_words", "model": model, **options}


@translates()
def word_length_filter(plan: Plan, *, min_length: float = 0, max_length: float = INFINITE) -> list[Row]:
    return [{"signal": "mean_word_length", **(bounds(min=min_length, max=max_length) or {"min": 0})}]


@translates()
def symbol_ratio_filter(plan: Plan, *, max_symbol_to_word_ratio: float = 0.1) -> list[Row]:
    return [{"signal": "symbol_to_word_ratio", "max": max_symbol_to_word_ratio}]


@translates()
def bullet_count_filter(plan: Plan, *, max_bullet_start_ratio: float = 0.9) -> list[Row]:
    return [{"signal": "bullet_line_ratio", "max": max_bullet_start_ratio}]


@translates()
def ellipsis_count_filter(plan: Plan, *, max_ellipsis_end_ratio: float = 0.3) -> list[Row]:
    return [{"signal": "ellipsis_line_ratio", "max": max_ellipsis_end_ratio}]


@translates()
def alphabetic_word_ratio_filter(plan: Plan, *, max_ratio: float = 0.2) -> list[Row]:
    return [{"signal": "unalphabetic_word_ratio", "max": max_ratio}]


@translates()
def stop_word_filter(plan: Plan, *, count_unique: bool = False, min_stop_word: float = 2) -> list[Row]:
    least = min_stop_word if plan.fix else max(1, min_stop_word)  # DCLM drops a page without any, even for 0
    return [{"signal": "num_distinct_stop_words" if count_unique else "num_stop_words", "min": least}]


@translates()
def alphanumeric_char_ratio_filter(plan: Plan, *, max_alnum_ratio: float = 0.25) -> list[Row]:
    return [{"signal": "alnum_char_ratio", "min": max_alnum_ratio}]


@translates()
def line_length_filter(
    plan: Plan, *, length_type: Literal["max", "avg"] = "max", max_length: float = 1000
) -> list[Row]:
    signal = "max_line_length" if length_type == "max" else "mean_line_length"
    return [{"signal": signal, **(bounds(max=max_length) or {"min": 0})}]


@translates()
def alphabetic_characters_to_tokens_filter(
    plan: Plan, *, tokenizer_name: str = "EleutherAI/pythia-6.9b-deduped"
) -> list[Row]:
    advice = f"save tokenizer.json of {tokenizer_name} and give its path as tokenizer_name"
    return [{"signal": "letters_per_token", "tokenizer": plan.file(tokenizer_name, advice), "min": 1.5}]


@translates()
def substring_filter(
    plan: Plan,
    *,
    banlist: tuple[str, ...] | str | None = None,
    banlist_from_fname: str | None = None,
    location: Location = "any",
    case_sensitive: bool = False,
    exact_word: bool = False,
) -> list[Row]:
    row = listed(plan, "phrases", banlist, banlist_from_fname)
    phrases, file = tuple(cast(list[str], row.get("phrases", ()))), cast("Path | None", row.get("phrases_file"))
    page_expression(phrases, file, location, case_sensitive, exact_word, plan.fix)  # an error is one before any page
    options = {"location": location, "case_sensitive": case_sensitive, "whole_words": exact_word}
    return [{"signal": "has_phrase", **row, **options, "is_literal": plan.fix, "max": 0}]


def listed(plan: Plan, name: str, items: tuple[str, ...] | str | None, file: str | None) -> Row:
    """A list as a parameter `name`, or the file that wins over it as `name`_file."""
    if file is not None:
        return {f"{name}_file": plan.file(file)}
    if items is None:
        raise ConfigError("needs banlist or banlist_from_fname")
    return {name: [items] if isinstance(items, str) else list(items)}


@translates()
def repetition_filter(
    plan: Plan,
    *,
    granularity: Literal["line", "paragraph"] | int,
    max_fraction: float,
    count_characters: bool = True,
    ngram_char_ratio: Literal["most_common", "all"] | None = None,
    ignore_case: bool = False,
) -> list[Row]:
    lowered: Row = {"ignore_case": True} if ignore_case else {}
    if isinstance(granularity, str):
        return [{"signal": _SHARES[granularity, count_characters], **lowered, "max": max_fraction}]
    if granularity < 1:
        raise ConfigError(f"granularity: {granularity} is no length of an n-gram; give line, paragraph, or 1 and more")
    if ngram_char_ratio is None and granularity not in _NGRAM_LIMITS:
        raise ConfigError(f"granularity {granularity} needs ngram_char_ratio: most_common or all (2 to 10 have one)")
    mode = ngram_char_ratio or ("most_common" if granularity <= 4 else "all")
    signal = "top_ngram_char_ratio" if mode == "most_common" else "repeated_ngram_char_ratio"
    return [{"signal": signal, "n": granularity, **lowered, "max": max(0.0, max_fraction)}]


@translates()
def massive_web_repetition_filters(plan: Plan, *, skip_paragraph: bool = False) -> list[Row]:
    granularities: list[Literal["line", "paragraph"]] = ["line"] if skip_paragraph else ["line", "paragraph"]
    rows: list[Row] = []
    for counts_characters, limit in ((False, 0.30), (True, 0.20)):
        rows += [{"signal": _SHARES[name, counts_characters], "max": limit} for name in granularities]
    for n, limit in _NGRAM_LIMITS.items():
        kind = "top" if n <= 4 else "repeated"
        rows.append({"signal": f"{kind}_ngram_char_ratio", "n": n, "max": limit, "id": f"{kind}_{n}gram_char_ratio"})
    return rows


@translates(reads_text=False)
def github_extension_filter(
    plan: Plan, *, filename_key: str = "filename", allowed_extensions: tuple[str, ...] | str | None = None
) -> list[Row]:
    suffixes = [allowed_extensions] if isinstance(allowed_extensions, str) else list(allowed_extensions or _GITHUB)
    return [{"signal": "has_suffix", "key": filename_key, "suffixes": suffixes, "min": 1}]
