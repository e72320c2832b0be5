"""Runs of newlines, which extraction leaves. RefinedWeb (arXiv 2306.01116, section 3.1) allows two."""

import re

import pyarrow as pa

from lakeloom.filters.steps import edit
from lakeloom.filters.textindex import TextIndex


@edit(drops_empty=False)
def limit_newlines(index: TextIndex, *, max_run: int) -> pa.StringArray:
    """Cut every longer run of U+000A to `max_run` of them. DCLM's newline_removal_modifier."""
    longer, run = re.compile(f"\n{{{max_run + 1},}}"), "\n" * max_run
    probe = "\n" * (max_run + 1)
    return index.with_strings(
        [longer.sub(run, text) if text is not None and probe in text else text for text in index.strings]
    )
