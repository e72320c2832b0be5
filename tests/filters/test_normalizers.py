"""Normal forms, case by case."""

import hashlib

import pytest

from lakeloom.filters.normalizers import NORMALIZERS
from lakeloom.filters.perplexity import normalized


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("normalize_url", "https://www.a.org/b/?utm_source=x", "a.org/b"),
        ("normalize_url", "http://a.org/?q=http://b.org/?ref=1", "a.org/?q=b.org"),
        ("normalize_url", "HTTP://a.org//", "HTTP://a.org"),
        ("normalize_whitespace_and_lowercase", " A b\n", "a b"),
        ("normalize_timestamps", "yesterday", -1.0),
        ("normalize_timestamps", "2024-03-01", -1.0),
        ("hash_text", "a", hashlib.md5(b"a").hexdigest()),  # noqa: S324
        ("ccnet_dedup_normalizer", " \u201cCaf\u00e9\u201d 12,5\n\u2014 x! ", "cafe 00,0 x!"),
        ("ccnet_dedup_normalizer", "", ""),
    ],
)
def test_normal_forms(name: str, text: str, expected: object) -> None:
    assert NORMALIZERS[name](text) == expected


def test_a_timestamp_is_local_time() -> None:
    later, earlier = (NORMALIZERS["normalize_timestamps"](f"2024-03-01T{hour}:00:00Z") for hour in ("12", "11"))
    assert float(later) - float(earlier) == 3600


def test_the_form_for_perplexity_keeps_case_and_glues_lines() -> None:
    assert normalized(" A1\nb\u2026 \uff11\u2014\u300cx\u300d ") == 'A0b... 0 - "x"'
