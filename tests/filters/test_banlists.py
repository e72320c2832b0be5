"""Site lists in their published formats, against a plain-Python reading of the same rules."""

import os
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeloom.filters.banlists import is_banned_site
from lakeloom.filters.recipe import Recipe
from lakeloom.lakehouse.errors import ConfigError

FORMATS = """\
# a comment
plain.example
*.star.example   # and what it is for
.dot.example
0.0.0.0 hosts.example
127.0.0.1\ttab.example
||blocker.example^$third-party
! another comment
https://scheme.example/
https://user@url.example:8080/a/b
folder.example/forum
UPPER.Example
bücher.example

"""


def banned(url: str | None, *lists: Path, categories: tuple[str, ...] = ()) -> float | None:
    found = is_banned_site(pa.array([url], pa.string()), lists=lists, categories=categories).to_pylist()
    assert len(found) == 1
    value: float | None = found[0]
    return value


@pytest.mark.parametrize(
    ("url", "value"),
    [
        ("https://plain.example/a", 1.0),
        ("http://www.PLAIN.example.:8080", 1.0),
        ("https://me:secret@a.b.plain.example?x", 1.0),
        ("//plain.example", 1.0),
        ("https://notplain.example/", 0.0),
        ("https://plain.example.org/", 0.0),
        ("https://example/plain.example", 0.0),
        ("https://x.star.example", 1.0),
        ("https://dot.example", 1.0),
        ("https://hosts.example", 1.0),
        ("https://tab.example", 1.0),
        ("https://blocker.example/#x", 1.0),
        ("https://scheme.example", 1.0),
        ("https://url.example/a/b/c", 1.0),
        ("https://url.example/a", 0.0),
        ("https://folder.example/forum", 1.0),
        ("https://www.folder.example/forum/1?page=2", 1.0),
        ("https://folder.example/forums", 0.0),
        ("https://folder.example/", 0.0),
        ("https://upper.example", 1.0),
        ("https://bücher.example", 1.0),
        ("https://xn--bcher-kva.example", 1.0),
        ("https://comment/", 0.0),
        ("plain.example", 0.0),
        ("", 0.0),
        (None, None),
    ],
)
def test_formats_of_lists_and_shapes_of_urls(url: str | None, value: float | None, tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text(FORMATS)
    assert banned(url, path) == value


@pytest.fixture
def ut1(tmp_path: Path) -> Path:
    """A folder as UT1 unpacks: a folder a category, with files that are no lists beside the lists."""
    tmp_path = tmp_path / "ut1"
    for category, domains, urls in (
        ("games", "play.example\n", "mixed.example/games\n"),
        ("shops", "buy.example\n", ""),
    ):
        (tmp_path / category).mkdir(parents=True)
        (tmp_path / category / "domains").write_text(domains)
        (tmp_path / category / "urls").write_text(urls)
        (tmp_path / category / "expressions").write_text("notalist.example\n")
    return tmp_path


@pytest.mark.parametrize(
    ("url", "categories", "value"),
    [
        ("https://play.example", (), 1.0),
        ("https://mixed.example/games/1", (), 1.0),
        ("https://mixed.example/news", (), 0.0),
        ("https://buy.example", ("games",), 0.0),
        ("https://buy.example", ("games", "shops"), 1.0),
        ("https://notalist.example", (), 0.0),
    ],
)
def test_ut1_folders_by_category(url: str, categories: tuple[str, ...], value: float, ut1: Path) -> None:
    assert banned(url, ut1, categories=categories) == value


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"lists": ["ut1"], "categories": ["game"]}, r"step 0 .*no category of the site lists 'game'; nearest: games"),
        ({"lists": ["ut1/empty"]}, r"step 0 .*no list of sites in the folder 'ut1/empty'"),
        ({"lists": ["nowhere"]}, r"step 0 .*no file or folder 'nowhere'"),
    ],
)
def test_recipe_refuses_lists_that_are_not_there(
    lists: dict[str, object], message: str, ut1: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (ut1 / "empty").mkdir()
    monkeypatch.chdir(ut1.parent)
    with pytest.raises(ConfigError, match=message):
        Recipe.from_config({"name": "mine", "steps": [{"signal": "is_banned_site", **lists, "max": 0}]})


def test_recipe_knows_a_changed_list(ut1: Path) -> None:
    step = {"signal": "is_banned_site", "max": 0}
    mine = {"name": "mine", "steps": [{**step, "lists": [str(ut1)]}]}
    before = Recipe.from_config(mine).hash
    assert Recipe.from_config(mine).hash == before
    (ut1 / "games" / "domains").write_text("play.example\nmore.example\n")
    assert Recipe.from_config(mine).hash != before


def test_a_list_that_changes_is_read_again(ut1: Path) -> None:
    assert banned("https://more.example", ut1) == 0.0
    path = ut1 / "games" / "domains"
    path.write_text("play.example\nmore.example\n")
    os.utime(path, ns=(1, 1))  # whatever the clock's resolution, another time
    assert banned("https://more.example", ut1) == 1.0


labels = st.text(alphabet="ab-", min_size=1, max_size=3)
domains = st.lists(labels, min_size=1, max_size=3).map(".".join)
paths = st.lists(labels, max_size=3).map(lambda parts: "".join(f"/{part}" for part in parts))


@given(listed=st.lists(st.tuples(domains, paths), max_size=30), urls=st.lists(st.tuples(domains, paths), max_size=20))
def test_agrees_with_a_set_of_prefixes_and_suffixes(
    listed: list[tuple[str, str]], urls: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("lists") / "list"  # a new name each time: lists are read once a process
    path.write_text("\n".join(domain + folder for domain, folder in listed))

    def expected(domain: str, folder: str) -> bool:
        return any(
            (domain == host or domain.endswith(f".{host}")) and (folder == top or folder.startswith(f"{top}/"))
            for host, top in listed
        )

    found = is_banned_site(pa.array([f"http://{d}{p}" for d, p in urls], pa.string()), lists=(path,))
    assert found.to_pylist() == [float(expected(domain, folder)) for domain, folder in urls]
