"""LaTeX edits: a table of source before and after, DCLM's oddities among them."""

import pyarrow as pa
import pytest

from lakeloom.filters import arxiv
from lakeloom.filters.textindex import TextIndex

CASES = [
    ("remove_appendix", {}, "text\n\\appendix\nmore", "text\n"),
    ("remove_appendix", {}, "text \\appendixes more", "text "),
    ("remove_appendix", {}, "a \\begin{thebibliography}{9} b", "a "),
    ("remove_appendix", {}, "a \\bibliography{refs} b", "a "),
    ("remove_appendix", {}, "a \\bibliographystyle{x} b", "a \\bibliographystyle{x} b"),
    ("remove_appendix", {}, "\\appendix", ""),
    ("remove_latex_comments", {}, "% whole\ntext % rest\n50\\% of %\nend", "text\n50\\% of %\nend"),
    ("remove_latex_comments", {}, "ab%c", "a"),
    ("remove_latex_comments", {"is_meant": True}, "ab%c", "ab"),
    ("remove_latex_comments", {"with_blocks": True}, "a\\begin{comment}\nx\n\\end{comment}b", "ab"),
    ("expand_macros", {}, "\\newcommand{\\a}{alpha}\n\\a, \\ab", "\\newcommand{alpha}{alpha}\nalpha, \\ab"),
    ("expand_macros", {}, "\\def\\x{1}\n\\x \\x", "\\def1{1}\n1 \\x"),
    ("expand_macros", {}, "\\newcommand{\\a}[1]{#1}\n\\a b", "\\newcommand{\\a}[1]{#1}\n\\a b"),
    ("drop_preamble", {}, "\\title{x}\\section*[s]{A} text", "\\section*[s]{A} text"),
    ("drop_preamble", {}, "a \\paragraph{p} b", ""),
    ("drop_preamble", {}, "a \\paragraph{p}\\subparagraph{q} b", "\\paragraph{p}\\subparagraph{q} b"),
    ("drop_preamble", {"is_meant": True}, "a \\paragraph{p} b", "\\paragraph{p} b"),
    *(
        (name, {}, None, None)
        for name in ("remove_appendix", "remove_latex_comments", "expand_macros", "drop_preamble")
    ),
]


@pytest.mark.parametrize(("name", "options", "text", "expected"), CASES)
def test_latex(name: str, options: dict[str, bool], text: str | None, expected: str | None) -> None:
    index = TextIndex.of(pa.array([text], pa.string()))
    assert getattr(arxiv, name)(index, **options).to_pylist() == [expected]
