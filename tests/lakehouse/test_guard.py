"""The extractor in its own process: same text, and a limit that holds."""

import time

import pytest

from lakeloom.lakehouse.guard import ExtractionFailed, Guard
from lakeloom.lakehouse.markup import main_text

PAGE = ("<html><body><main><p>" + "Warp and weft make the cloth. " * 20 + "</p></main></body></html>").encode()


def test_gives_what_the_extractor_gives() -> None:
    guard = Guard(20)
    try:
        for body in (PAGE, b"", b"\xff\xfe\x00", "<p>päge</p>".encode("cp1252"), PAGE * 400):
            assert guard.main_text(body) == main_text(body)
        assert guard.cpu_s > 0
    finally:
        guard.close()


@pytest.mark.slow
def test_a_page_that_hangs_costs_its_time_and_no_more() -> None:
    guard = Guard(0.5)
    try:
        guard.main_text(PAGE)
        started = time.monotonic()
        with pytest.raises(ExtractionFailed, match="no text after"):
            guard.main_text(b"<html><body>" + b"<div>" * 60_000 + b"deep")
        assert time.monotonic() - started < 5
        assert guard.main_text(PAGE) == main_text(PAGE)
    finally:
        guard.close()
