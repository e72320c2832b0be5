"""Foreign markup becomes HTML that is readable, harmless and the same every day."""

from pathlib import Path

import pytest

from lakeloom.jobs.sample_markup import to_html


@pytest.mark.parametrize(
    ("flavour", "text", "shown"),
    [
        (
            "rst",
            "A *word* and :class:`~a.b.Box`.",
            '<em>word</em> and <span class="docutils literal">a.b.Box</span>',
        ),
        ("rst", "Title\n=====\n\ntext", "<h2>Title"),
        ("rst", ".. versionadded:: 1.2\n   Now faster.", "Version added 1.2"),
        ("rst", ".. plot::\n\n   draw(<x>)", "draw(&lt;x&gt;)"),
        ("rst", "See [1]_ and |gone| and `x`_.", "gone"),
        ("docstring", "Args:\n    x: the value", "<dd><p>x: the value"),
        ("docstring", "# Head\n\n```\ncode\n```", "<h1>Head</h1>"),
        ("markdown", "| a |\n|---|\n| b |", "<td>b</td>"),
        ("plain", "one <b>\n\ntwo", "<p>one &lt;b&gt;</p>\n<p>two</p>"),
        ("code", "if a < b:", "<pre>if a &lt; b:</pre>"),
        ("rst", "", ""),
    ],
)
def test_markup_is_rendered(flavour: str, text: str, shown: str) -> None:
    assert shown in to_html(text, flavour)


@pytest.mark.parametrize("directive", ["include:: {}", "raw:: html\n   :file: {}", "csv-table::\n   :file: {}"])
@pytest.mark.parametrize("end", ["", "\n   :encoding: utf-8"])
def test_no_file_is_read(tmp_path: Path, directive: str, end: str) -> None:
    secret = tmp_path / "secret.svg"
    secret.write_text("<svg>a secret</svg>", "utf-8")
    assert "a secret" not in to_html(f"before\n\n.. {directive.format(secret)}{end}\n\nafter", "rst")


@pytest.mark.parametrize("address", ["{}", "file://{}"])
def test_no_image_is_embedded(tmp_path: Path, address: str) -> None:
    secret = tmp_path / "secret.svg"
    secret.write_text("<svg>a secret</svg>", "utf-8")
    html = to_html(f".. image:: {address.format(secret)}\n   :loading: embed\n   :alt: drawing", "rst")
    assert 'alt="drawing"' in html
    assert "a secret" not in html


@pytest.mark.parametrize(
    ("flavour", "text"),
    [
        ("rst", ".. raw:: html\n\n   <script>x</script>"),
        ("markdown", "<script>x</script>"),
        ("plain", "<script>"),
    ],
)
def test_no_raw_html_passes(flavour: str, text: str) -> None:
    assert "<script" not in to_html(text, flavour)


def test_no_clock_is_read() -> None:
    assert "20" not in to_html("made on |today|.\n\n.. |today| date:: %Y", "rst")


@pytest.mark.parametrize(
    "text", ["=====\n", "*a", "`<", ".. [1]\n.. [1]", "|" * 50, "::\n", "a\n==\n\nb\n--\n\n==\nc\n=="]
)
def test_broken_markup_keeps_its_text(text: str) -> None:
    assert "still here" in to_html(f"{text}\n\nstill here", "rst")


def test_long_texts_end_at_a_paragraph() -> None:
    html = to_html("\n\n".join(f"paragraph {i} {'word ' * 100}end" for i in range(100)), "plain")
    assert 20_000 < len(html) < 35_000
    assert html.endswith("end</p>\n")
