"""Questions and answers of Stack Exchange, under `question` and `answers` of a page, to one text; DCLM's four steps."""

from collections.abc import Callable, Iterator
from typing import cast

from lakeloom.filters.steps import Page, mapper

_TAGS = (("<li>", "\n*"), ("</li>", ""), ("<ol>", "\n*"), ("</ol>", ""))


@mapper
def format_lists(page: Page) -> list[Page]:
    """<li> and <ol> of question and answers to a new line with an asterisk. stackexchange_list_modifier."""
    return _changed(page, _without_tags)


def _without_tags(text: str) -> str:
    for tag, replacement in _TAGS:
        text = text.replace(tag, replacement)
    return text


@mapper
def extract_posts(page: Page) -> list[Page]:
    """HTML of question and answers to its text. stackexchange_html_extraction_modifier."""
    from bs4 import BeautifulSoup  # only where there is HTML

    return _changed(page, lambda html: BeautifulSoup(html, "lxml").get_text())


@mapper
def sort_answers(page: Page, *, descending: bool = True) -> list[Page]:
    """Answers by score, those of one score in their order; none counts as 0. stackexchange_answer_sort_modifier."""
    answers = cast("list[Page] | None", page.get("answers"))
    if answers is not None:
        page["answers"] = sorted(answers, key=_score, reverse=descending)
    return [page]


def _score(answer: Page) -> float:
    return float(cast(float, answer.get("score") or 0))


@mapper
def join_posts(page: Page, *, remove_posts: bool = False) -> list[Page]:
    """Text "Q: ..." with an "A: ..." on a new line for each answer; no question drops. stackexchange_qa_formatter."""
    question = cast("Page | None", page.get("question"))
    if not question:
        return []
    text = f"Q: {question['text']}"
    if "answers" in page:
        answers = cast("list[Page] | None", page["answers"]) or []
        text += "\nA: " + "\nA: ".join(str(answer["text"]) for answer in answers)
    if remove_posts:
        page.pop("question")
        page.pop("answers", None)
    return [page | {"text": text}]


def _changed(page: Page, change: Callable[[str], str]) -> list[Page]:
    for post in _posts(page):
        post["text"] = change(cast(str, post["text"]))
    return [page]


def _posts(page: Page) -> Iterator[Page]:
    """The question and the answers, as far as the page has them and they have text."""
    posts = [page.get("question"), *cast(list[object], page.get("answers") or [])]
    return (post for post in posts if isinstance(post, dict) and "text" in post)
