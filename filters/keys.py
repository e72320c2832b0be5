"""Other keys of a page: values that earlier steps or other programs put there, read as signals, renamed.

A page without a key that a step needs is an error of that page, as in DCLM.
"""

from typing import cast

import numpy as np
import pyarrow as pa

from lakeloom.filters.steps import Page, mapper, signal
from lakeloom.filters.textindex import TextIndex
from lakeloom.filters.wordcounts import Model, num_words


@signal
def page_value(keys: list[Page], *, key: str, is_required: bool = True) -> pa.DoubleArray:
    """The number under a key of the page; null where there is none and none is required."""
    return pa.array([_number(page, key, is_required) for page in keys], pa.float64())


def _number(page: Page, key: str, is_required: bool) -> float | None:
    if key not in page and not is_required:
        return None
    return float(cast(float, page[key]))


@signal
def language_probability(keys: list[Page], *, key: str, languages: tuple[str, ...]) -> pa.DoubleArray:
    """The largest probability of the languages, from {language: probability} under a key; null if it has none."""
    best: list[float | None] = []
    for page in keys:
        scores = cast(dict[str, float], page[key])
        best.append(max((float(scores[name]) for name in languages if name in scores), default=None))
    return pa.array(best, pa.float64())


@signal
def removed_word_ratio(
    index: TextIndex,
    keys: list[Page],
    *,
    before: str,
    after: str = "",
    model: Model = "fasttext",
    ignore_punctuation: bool = True,
    ignore_whitespace: bool = True,
) -> pa.DoubleArray:
    """Share of words gone since the count under the key `before`; null if that was 0, negative where the text grew.

    The count now is that under the key `after` where the page has it, else of `num_words` with these parameters.
    DCLM's word_removal_ratio_filter.
    """
    words = num_words(
        index, model=model, ignore_punctuation=ignore_punctuation, ignore_whitespace=ignore_whitespace
    ).to_numpy(zero_copy_only=False)
    old = np.array([float(cast(float, page[before])) for page in keys])
    new = np.array([float(cast(float, page.get(after, now))) for page, now in zip(keys, words.tolist(), strict=True)])
    return index.ratio(old - new, old)


@signal
def has_suffix(keys: list[Page], *, key: str, suffixes: tuple[str, ...]) -> pa.DoubleArray:
    """1 where the string under a key, '' without one, ends in one of the suffixes. DCLM's github_extension_filter."""
    return pa.array([float(str(page.get(key, "")).endswith(suffixes)) for page in keys], pa.float64())


@signal
def has_url(url: pa.StringArray) -> pa.DoubleArray:
    """1; an error where a page has no address. DCLM's move_url_modifier fails on such a page."""
    if url.null_count:
        raise KeyError("the page has no URL")
    return pa.array(np.ones(len(url)))


@mapper
def rename_key(page: Page, *, old: str, new: str, overwrite: bool = False) -> list[Page]:
    """Rename a key of the page (text is one); where it has both, only if told to overwrite. key_name_modifier."""
    if old in page and (new not in page or overwrite):
        page[new] = page.pop(old)
    return [page]
