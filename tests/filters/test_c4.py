"""conf/recipe/c4.yaml keeps and drops what C4's paper says, section 2.2."""

import pytest

from lakeloom.lakehouse.errors import ConfigError
from tests.filters.shipped import verdict

LINES = (
    "The weavers of the old town still work on looms made of oak.",
    "Every morning they open the shop and set up the warp!",
    'Visitors often ask them: "How long does one blanket take?"',
    "It takes four days, and nobody is in a hurry.",
)
PAGE = "\n".join(LINES)


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("lists") / "en"
    path.write_text("gadzook\nshut up\nx.y\n", "utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PAGE, None),
        ("\n".join(line.rstrip(".!?\"'") for line in LINES), "drop_unfinished_lines"),
        ("\n".join(line.rstrip(".!?\"'") + "..." for line in LINES), "drop_unfinished_lines"),
        ("\n".join(f"{line.split()[0]} {nth} weaves." for nth, line in enumerate(LINES)), "drop_short_lines"),
        ("\n".join([*LINES[:2], "Please enable JavaScript to see all this page."]), "num_sentences"),
        ("\n".join([*LINES[:2], "We are open daily, see our Privacy Policy page."]), "num_sentences"),
        ("\n".join(LINES[:3]), None),
        ("\n".join([PAGE, "Here stands Lorem ipsum until the text is written."]), "has_lorem_ipsum"),
        ("\n".join([PAGE, "The program begins with function() { and ends there."]), "has_curly_bracket"),
        ("\n".join([PAGE, "And then the master called out: gadzook, my friend."]), "has_bad_word"),
        ("\n".join([PAGE, "And then the master told us all to shut up."]), "has_bad_word"),
        ("\n".join([PAGE, "And then the master called out: gadzooks, my friend."]), None),
        ("\n".join([PAGE, "The xay and x.y stand side by side here."]), "has_bad_word"),
        ("\n".join([PAGE, "The pair of xzy and xay is no word at all."]), None),
        ("\n".join([PAGE, "It is as they said.[12] No one knows why.[citation needed]"]), None),
        (
            "Die Weber der alten Stadt arbeiten an Webstühlen aus Eiche.\nJeden Morgen öffnen sie früh die Werkstatt.\n"
            "Das dauert vier Tage, und niemand hat Eile.",
            "language_probability",
        ),
    ],
)
def test_verdicts(words: str, text: str, expected: str | None) -> None:
    assert verdict("c4", text, words=words) == expected


def test_the_list_is_asked_for() -> None:
    with pytest.raises(ConfigError, match=r"recipe.words=PATH .*LDNOOBW"):
        verdict("c4", PAGE)
