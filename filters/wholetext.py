"""Edits of a text as a whole: strings replaced, HTML to paragraphs, empty pages dropped."""

import pyarrow as pa
import pyarrow.compute as pc

from lakeloom.filters.steps import edit
from lakeloom.filters.textindex import TextIndex


@edit(drops_empty=True)
def drop_empty_text(text: pa.StringArray) -> pa.StringArray:
    """Drop pages without text; change nothing. DCLM's split_lines_modifier drops them."""
    return text


@edit(drops_empty=False)
def replace_string(text: pa.StringArray, *, old: str, new: str) -> pa.StringArray:
    """Replace every occurrence of a string, left to right. DCLM's split_lines and join_lines by two delimiters."""
    return pc.replace_substring(text, old, new)


@edit(drops_empty=True)
def extract_paragraphs(index: TextIndex) -> pa.StringArray:
    """HTML to the text of all its paragraphs, between empty lines; '' where it has none or can't be parsed.

    jusText finds the paragraphs; boilerplate stays. DCLM's html_content_extraction_modifier.
    """
    return index.with_strings([None if text is None else _paragraphs(text) for text in index.strings])


def _paragraphs(html: str) -> str:
    from justext import justext  # lxml, only where there is HTML
    from lxml.etree import LxmlError

    try:
        return "\n\n".join(paragraph.text for paragraph in justext(html, frozenset()))
    except (LxmlError, ValueError, AssertionError):
        return ""
