"""Renders the packages' texts to HTML fragments with docutils and markdown-it.

The texts are foreign: raw HTML, file inclusion and embedded images are off; markup errors become plain text.
The same text gives the same fragment: the `date` directive, which reads the clock, is off too.
"""

import logging
import re
from functools import cache
from html import escape
from optparse import Values

from docutils import frontend, nodes, utils
from docutils.parsers.rst import Directive, Parser, directives, roles
from docutils.readers.standalone import Reader
from docutils.utils import SystemMessage
from docutils.writers.html5_polyglot import HTMLTranslator, Writer
from markdown_it import MarkdownIt

log = logging.getLogger(__name__)

_MAX_CHARS = 30_000
_ROLES = "class func meth attr mod ref doc exc obj term data const any option envvar keyword file program"
_REMARKS = "versionadded versionchanged deprecated seealso todo rubric"
_LISTINGS = "plot ipython testcode testoutput doctest jupyter-execute autosummary toctree productionlist"
_SILENT = "date currentmodule module index testsetup testcleanup automodule autoclass tabularcolumns meta"
# What docutils was seen to raise, or may raise by its source, on broken markup.
_BROKEN = (SystemMessage, RuntimeError, AttributeError, LookupError, TypeError, ValueError, AssertionError)
_TARGET = re.compile(r"^[~!]|\s*<[^>]*>$")
_MARKDOWN = re.compile(r"^(```|#{1,4} \w)", re.MULTILINE)


def to_html(text: str, flavour: str) -> str:
    """An HTML fragment of rst, markdown, docstring, code or plain text; long texts end at a paragraph."""
    if flavour == "code":
        return f'<div class="highlight"><pre>{escape(text)}</pre></div>\n'
    text = _shorten(text)
    if flavour == "docstring":
        flavour = "markdown" if _MARKDOWN.search(text) else "rst"
    if flavour == "markdown":
        return str(_markdown().render(text))
    return _rst(text) if flavour == "rst" else _plain(text)


def _shorten(text: str) -> str:
    return text if len(text) <= _MAX_CHARS else text[:_MAX_CHARS].rpartition("\n\n")[0]


def _plain(text: str) -> str:
    return "".join(f"<p>{escape(part)}</p>\n" for part in re.split(r"\n\s*\n", text) if part.strip())


@cache
def _markdown() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("table")


def _rst(text: str) -> str:
    settings, parser, reader, writer = _docutils()
    document = utils.new_document("text", settings)
    try:
        parser.parse(text, document)
        document.transformer.populate_from_components((reader, parser, writer))
        document.transformer.apply_transforms()
        translator = _Translator(document)
        document.walkabout(translator)
    except _BROKEN as error:
        log.debug("shown as plain text, not reStructuredText: %s", error)
        return _plain(text)
    return "".join(translator.body)


@cache
def _docutils() -> tuple[Values, Parser, "Reader[str]", Writer]:
    """Settings and parts, made once: building them costs more than rendering a docstring."""
    parser, writer = Parser(), Writer()
    reader: Reader[str] = Reader()  # generic in the stubs alone
    settings = frontend.get_default_settings(parser, reader, writer)
    safe = ["file_insertion_enabled", "raw_enabled", "embed_stylesheet", "smart_quotes"]
    for name in [*safe, "doctitle_xform", "docinfo_xform", "sectsubtitle_xform"]:
        setattr(settings, name, False)
    settings.report_level, settings.halt_level, settings.warning_stream = 5, 5, False
    settings.math_output, settings.syntax_highlight, settings.stylesheet_path = "LaTeX", "none", []
    settings.initial_header_level = 2
    for role in _ROLES.split():
        for name in (role, f"py:{role}"):
            # The stub wants functions that give references alone; docutils takes any nodes.
            roles.register_local_role(name, _reference)  # type: ignore[arg-type]
    for names, directive in ((_REMARKS, _Remark), (_LISTINGS, _Listing), (_SILENT, _Silent)):
        for name in names.split():
            directives.register_directive(name, directive)
    return settings, parser, reader, writer


def _reference(
    name: str, raw: str, text: str, line: int, inliner: object, options: object = None, content: object = None
) -> tuple[list[nodes.Node], list[nodes.system_message]]:
    """Sphinx's cross references, shown as the name that they point to."""
    return [nodes.literal(raw, _TARGET.sub("", text))], []


class _Translator(HTMLTranslator):
    """docutils' HTML writer, except for images: their option `:loading: embed` would read local files."""

    def visit_image(self, node: nodes.image) -> None:
        source, alt = escape(str(node.get("uri", ""))), escape(str(node.get("alt", "")))
        self.body.append(f'<img src="{source}" alt="{alt}">')

    def depart_image(self, node: nodes.image) -> None:
        """Nothing to close."""


class _Remark(Directive):
    """versionadded and its kin: their text, as a paragraph."""

    has_content = True
    optional_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        box = nodes.admonition(classes=[self.name])
        label = " ".join([self.name.replace("version", "version ").capitalize(), *self.arguments])
        box += nodes.paragraph("", label)
        self.state.nested_parse(self.content, self.content_offset, box)
        return [box]


class _Listing(Directive):
    """Directives that show their content as it stands."""

    has_content = True
    optional_arguments = 1
    final_argument_whitespace = True
    option_spec = None

    def run(self) -> list[nodes.Node]:
        text = "\n".join([*self.arguments, *self.content])
        return [nodes.literal_block(text, text)] if text else []


class _Silent(Directive):
    """Directives without a visible result."""

    has_content = True
    optional_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        return []
