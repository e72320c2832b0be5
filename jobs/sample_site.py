"""The sample's web pages: what stands on each, and its HTML inside the site's skeleton."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from html import escape
from urllib.parse import urlsplit

from lakeloom.jobs.sample_markup import to_html
from lakeloom.jobs.sample_themes import PRINTED, THEMES
from lakeloom.lakehouse.ids import shuffle_key


@dataclass(frozen=True)
class Site:
    """One package's web site."""

    name: str
    version: str
    summary: str
    host: str
    theme: str
    nav: tuple[str, ...]  # names of pages that its menu links to


@dataclass(frozen=True)
class Block:
    """A part of a page: an optional heading, an optional line of code under it, and a text in a markup."""

    text: str
    flavour: str  # rst, markdown, plain, docstring, code, links
    heading: str = ""
    signature: str = ""


@dataclass(frozen=True)
class Page:
    """A page of a site; `kind` says what it shows, `copy_of` which other page it repeats."""

    site: Site
    path: str
    kind: str
    title: str
    blocks: tuple[Block, ...]
    banner: str = ""
    copy_of: str = ""

    @property
    def url(self) -> str:
        """Its address."""
        return f"https://{self.site.host}{self.path}"


def share(name: str, purpose: str) -> float:
    """A number in [0, 1) that name and purpose fix: below 0.1 for a tenth of all names."""
    return int.from_bytes(shuffle_key(0, f"{purpose}:{name}")[:6], "big") / 2**48


def pick(name: str, purpose: str, choices: list[str]) -> str:
    """One of the choices, fixed by name and purpose."""
    return choices[int(share(name, purpose) * len(choices))]


def render(page: Page, charset: str) -> str:
    """The page's HTML; an empty charset leaves the declaration out."""
    skeleton = PRINTED if page.kind == "printed" else THEMES[page.site.theme]
    site = page.site
    declared = f'<meta charset="{charset}">\n' if charset else ""
    values = {"name": site.name, "version": site.version, "summary": site.summary, "host": site.host}
    values |= {"title": page.title, "url": page.url, "path": urlsplit(page.url).path}
    parts = {
        "nav": _links(site.nav),
        "body": "".join(_block(block) for block in page.blocks),
        "charset": declared,
    }
    parts["banner"] = f'<div class="admonition warning"><p>{escape(page.banner)}</p></div>\n' if page.banner else ""
    return skeleton.substitute({key: escape(value) for key, value in values.items()} | parts)


def _block(block: Block) -> str:
    heading = f"<h2>{escape(block.heading)}</h2>\n" if block.heading else ""
    signature = f"<pre><code>{escape(block.signature)}</code></pre>\n" if block.signature else ""
    if block.flavour == "links":
        return f"{heading}{signature}<ul>{_links(block.text.splitlines())}</ul>\n"
    return heading + signature + to_html(block.text, block.flavour)


def _links(names: Iterable[str]) -> str:
    return "".join(f'<li><a href="/{escape(name)}.html">{escape(name)}</a></li>\n' for name in names)


def copies(page: Page) -> list[Page]:
    """The page at other addresses, as real sites have them: development version, print view, tracked link."""
    found: list[Page] = []
    if share(page.url, "latest") < 0.08:
        name, version = page.site.name, page.site.version
        note = f"You are reading the documentation of a development version of {name}; {version} is stable."
        site = replace(page.site, version=f"{version}.dev0")
        path = f"/latest{page.path.replace('/stable/', '/')}"
        found.append(replace(page, site=site, path=path, banner=note, copy_of=page.url))
    if share(page.url, "printed") < 0.03:
        found.append(replace(page, path=f"{page.path}?print=1", kind="printed", copy_of=page.url))
    if share(page.url, "tracked") < 0.02:
        found.append(replace(page, path=f"{page.path}?utm_source=newsletter", copy_of=page.url))
    return found
