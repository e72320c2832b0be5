"""Refused addresses, with the peculiarities of DCLM's url_substring_filter."""

from pathlib import Path

import pyarrow as pa
import pytest

from lakeloom.filters.urls import is_listed_host, num_listed_words


@pytest.mark.parametrize(
    ("url", "value"),
    [
        ("https://arxiv.org/abs/1", 1.0),
        ("https://ARXIV.org", 1.0),
        ("https://www.arxiv.org/", 0.0),
        ("https://export.arxiv.org/", 0.0),
        ("https://arxiv.org:443/", 0.0),
        ("https://me@arxiv.org/", 0.0),
        ("wwwarxiv.org", 0.0),
        ("//arxiv.org/x", 1.0),
        ("", 0.0),
        (None, None),
    ],
)
def test_is_listed_host(url: str | None, value: float | None) -> None:
    assert is_listed_host(pa.array([url], pa.string()), hosts=("arxiv.org",), ignore=("www",)).to_pylist() == [value]


@pytest.mark.parametrize(
    ("url", "whole_words", "ignore", "number"),
    [
        ("http://x.com/bad-WORSE/bad", True, (), 2),
        ("http://x.com/badworse_bad", True, (), 0),
        ("http://x.com/badworse_bad", False, (), 2),
        ("http://b-a.d.com/", False, ("-", "."), 1),
        ("http://x.com/so-so", False, ("-",), 0),
        ("", False, (), 0),
        (None, False, (), None),
    ],
)
def test_num_listed_words(
    url: str | None, whole_words: bool, ignore: tuple[str, ...], number: int | None, tmp_path: Path
) -> None:
    words = tmp_path / "words.txt"
    words.write_text("Bad\nworse\nso-so\n")
    urls = pa.array([url], pa.string())
    counted = num_listed_words(urls, words_file=words, whole_words=whole_words, ignore=ignore)
    assert counted.to_pylist() == [number]
