"""conf/recipe/gopher.yaml keeps and drops what the paper's appendix A.1.1 says, on both sides of each bound."""

import pytest

from tests.filters.shipped import verdict

# Some sixty English words, none repeated, two of the paper's stop words.
PROSE = (
    "weavers keep old looms because the patient rhythm teaches young hands about cloth colour pattern tension "
    "light memory weather harvest markets travel river stone bread winter singing and morning kitchen garden "
    "letters journey window mountain village summer holiday teacher doctor children parents neighbour friend "
    "story picture music theatre language history science numbers energy water forest animals engine bridge street"
)
WORDS = PROSE.split()


def lines(words: list[str], num_marked: int, begin: str = "", end: str = "") -> str:
    """Ten lines of the words, of which some begin and end with marks."""
    cut = [" ".join(words[nth::10]) for nth in range(10)]
    return "\n".join(f"{begin}{line}{end}" if nth < num_marked else line for nth, line in enumerate(cut))


FEW = [word for word in WORDS if word != "the"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PROSE, None),
        (" ".join(WORDS[:50]), None),
        (" ".join(WORDS[:49]), "num_tokens"),
        ("Die Weberin sitzt am alten Webstuhl und webt ein Tuch aus Wolle. " * 9, "language_score"),
        (" ".join([*WORDS, *["incomprehensibilities" + word for word in WORDS]]), "mean_word_length"),
        (" ".join(["#" + word if nth < len(WORDS) // 10 else word for nth, word in enumerate(WORDS)]), None),
        (
            " ".join(["#" + word if nth <= len(WORDS) // 10 else word for nth, word in enumerate(WORDS)]),
            "symbol_to_word_ratio",
        ),
        (lines(WORDS, 9, begin="* "), None),
        (lines(WORDS, 10, begin="* "), "bullet_line_ratio"),
        (lines(WORDS, 3, end="..."), None),
        (lines(WORDS, 4, end="..."), "ellipsis_line_ratio"),
        (PROSE + " " + " ".join(str(10_000 + nth) for nth in range(len(WORDS) // 4)), None),
        (PROSE + " " + " ".join(str(10_000 + nth) for nth in range(len(WORDS) // 4 + 1)), "unalphabetic_word_ratio"),
        (" ".join([*FEW, "and", "and"]), "num_distinct_stop_words"),
        (lines(WORDS, 0) + "\n" + lines(WORDS, 0), "repeated_line_ratio"),
        ("\n\n".join([PROSE, *["A short one."] * 3]), "repeated_line_ratio"),
        (PROSE + " of the" * 25, "top_2gram_char_ratio"),
        (PROSE + " " + " ".join(WORDS[:12]), "repeated_5gram_char_ratio"),
    ],
)
def test_verdicts(text: str, expected: str | None) -> None:
    assert verdict("gopher", text) == expected
