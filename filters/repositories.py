"""Files of a code repository, under `files` of a page, to one text: DCLM's two steps for StarCoder 2."""

import copy
import random
from typing import cast

from lakeloom.filters.steps import Page, mapper

_NAMES, _TEXTS = ("name", "filename", "path"), ("text", "content")


@mapper
def split_repository(page: Page, *, max_files: int = 1000, delete_content: bool = True) -> list[Page]:
    """A page for each `max_files` files, without `text`, where it has more. starcoder_v2_repo_splitter."""
    files = cast(list[object], page["files"])
    if len(files) <= max_files:
        return [page]
    shared = {key: value for key, value in page.items() if key != "files" and not (delete_content and key == "text")}
    starts = range(0, len(files), max_files)
    return [{**copy.deepcopy(shared), "files": files[start : start + max_files]} for start in starts]


@mapper
def join_files(page: Page, *, metadata_probability: float = 0.5, with_sentinels: bool = True) -> list[Page]:
    """Files between <file_sep>, some repositories with their name and their files' names before.

    Which: by a number drawn from the repository's name (DCLM's generator has no seed). Without sentinels they become
    empty lines. starcoder_v2_format_modifier.
    """
    files, repository = cast(list[Page], page["files"]), str(page.get("repo_name", ""))
    if random.Random(repository).random() < metadata_probability:  # noqa: S311
        text = f"<repo_name>{repository}" + "".join(f"<file_sep>{_of(f, _NAMES)}\n{_of(f, _TEXTS)}" for f in files)
    else:
        text = "".join(f"<file_sep>{_of(file, _TEXTS)}" for file in files)
    if not with_sentinels:
        text = text.replace("<file_sep>", "\n\n").replace("<repo_name>", "").strip()
    return [page | {"text": text}]


def _of(file: Page, keys: tuple[str, ...]) -> str:
    """The first of the keys that a file has."""
    for key in keys:
        if key in file:
            return str(file[key])
    raise KeyError(f"a file has none of {', '.join(keys)}")
