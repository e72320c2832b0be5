r"""LaTeX sources to text, RedPajama's steps as DCLM has them: comments, macros, preamble, appendix.

Each rule's oddity is DCLM's and kept: the character before a comment's % goes with it, and \paragraph opens the text
only where \subparagraph follows it at once. `is_meant` gives what the rule is for.
"""

import re
from functools import partial

import pyarrow as pa

from lakeloom.filters.steps import edit
from lakeloom.filters.textindex import TextIndex

_APPENDIX = re.compile(
    r"(?:\\appendix|\\begin\{references\}|\\begin\{REFERENCES\}|\\begin\{thebibliography\}|\\bibliography\{.*\}).*$",
    re.DOTALL,
)
_COMMENT_LINE = re.compile(r"^%.*\n?", re.MULTILINE)
_COMMENT = re.compile(r"[^\\]%.+$", re.MULTILINE)
_COMMENT_ALONE = re.compile(r"(?<!\\)%.*$", re.MULTILINE)
_COMMENT_BLOCK = re.compile(r"\\begin\{comment\}.*?\\end\{comment\}", re.DOTALL)
_MACROS = (
    re.compile(r"\\\bnewcommand\b\*?\{(\\[a-zA-Z0-9]+?)\}\{(.*?)\}$", re.MULTILINE),
    re.compile(r"\\def\s*(\\[a-zA-Z0-9]+?)\s*\{(.*?)\}$", re.MULTILINE),
)


def _command(name: str) -> str:
    return rf"\\\b{name}\b\*?(?:\[.*?\])?\{{.*?\}}"


_SECTIONS = [*map(_command, ("chapter", "part", "section", "subsection", "subsubsection"))]
_LAST_SECTIONS = [*map(_command, ("paragraph", "subparagraph"))]
_FIRST_SECTION = re.compile("|".join([*_SECTIONS, "".join(_LAST_SECTIONS)]), re.DOTALL)
_FIRST_SECTION_MEANT = re.compile("|".join([*_SECTIONS, *_LAST_SECTIONS]), re.DOTALL)


@edit(drops_empty=True)
def remove_appendix(index: TextIndex) -> pa.StringArray:
    r"""Delete all from the first \appendix, references environment, thebibliography or \bibliography{} on.

    Longer names that begin so count too. DCLM's arxiv_appendix_modifier.
    """
    return index.with_strings(
        [None if text is None else _changed(text, _APPENDIX.sub("", text)) for text in index.strings]
    )


@edit(drops_empty=True)
def remove_latex_comments(index: TextIndex, *, with_blocks: bool = False, is_meant: bool = False) -> pa.StringArray:
    """Delete lines that begin with %, then from a character before % (no backslash) to the line's end.

    With `with_blocks` comment environments go too; `is_meant` spares the character. DCLM's arxiv_comment_modifier.
    """
    return index.with_strings(
        [None if text is None else _without_comments(text, with_blocks, is_meant) for text in index.strings]
    )


def _without_comments(text: str, with_blocks: bool, is_meant: bool) -> str:
    left = _COMMENT_LINE.sub("", text)
    left = (_COMMENT_ALONE if is_meant else _COMMENT).sub("", left)
    return _changed(text, _COMMENT_BLOCK.sub("", left) if with_blocks else left)


@edit(drops_empty=True)
def expand_macros(index: TextIndex) -> pa.StringArray:
    r"""Replace each \newcommand or \def without arguments that ends its line by its value, in definitions too.

    One pass a macro, in the order found; a name counts before a character that is no letter or digit. DCLM's
    arxiv_macro_modifier.
    """
    return index.with_strings([None if text is None else _expanded(text) for text in index.strings])


def _expanded(text: str) -> str:
    macros = {name: value for pattern in _MACROS for name, value in pattern.findall(text)}
    left = text
    for name, value in macros.items():
        left = re.sub(re.escape(name) + r"([^a-zA-Z0-9])", partial(_with_value, value), left)
    return _changed(text, left)


def _with_value(value: str, match: re.Match[str]) -> str:
    return value + match[1]


@edit(drops_empty=True)
def drop_preamble(index: TextIndex, *, is_meant: bool = False) -> pa.StringArray:
    r"""Delete what stands before the first sectioning command; '' where there is none.

    `is_meant` lets \paragraph and \subparagraph count alone. DCLM's arxiv_section_strip_modifier.
    """
    pattern = _FIRST_SECTION_MEANT if is_meant else _FIRST_SECTION
    strings: list[str | None] = []
    for text in index.strings:
        found = None if text is None else pattern.search(text)
        strings.append(None if text is None else _changed(text, text[found.start() :] if found else ""))
    return index.with_strings(strings)


def _changed(old: str, new: str) -> str:
    """The very same string where nothing changed."""
    return old if old == new else new
