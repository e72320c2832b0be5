"""Decides which pages a package's site has: references, stubs, indexes, licences, source views, copies.

No package has more than a fixed number of pages, so that none dominates the pool.
"""

from collections.abc import Iterable, Iterator
from itertools import islice

from lakeloom.jobs.sample_site import Block, Page, Site, copies, pick, share
from lakeloom.jobs.sample_text import Member, Module, Note, Package, packages
from lakeloom.jobs.sample_themes import THEMES
from lakeloom.lakehouse.ids import shuffle_key

MAX_PAGES_PER_PACKAGE = 36
_CHARS_PER_PAGE = 5000
_MAX_BLOCKS_CHARS = 16_000
_STUB_CHARS = 200
_MAX_NOTES = 3  # licences and change logs of a package; some have dozens of licence files
# Shares of a package's pages that show no prose; the rest is reference.
_SHARES = {"stub": 0.1, "source": 0.07, "index": 0.05}


def sample_pages(max_pages: int) -> list[Page]:
    """All pages of the sample, ordered by a hash of their address; about max_pages of them unless it is 0."""
    limit = min(MAX_PAGES_PER_PACKAGE, max(4, max_pages // 20) if max_pages else MAX_PAGES_PER_PACKAGE)
    sites = (pages_of(package, limit) for package in packages(limit * _CHARS_PER_PAGE))
    pages = {page.url: page for page in islice((p for site in sites for p in site), max_pages or None)}
    return [pages[url] for url in sorted(pages, key=lambda url: shuffle_key(0, url))]


def pages_of(package: Package, limit: int) -> list[Page]:
    """The site of a package: at most `limit` pages, twice that for the standard library; copies of some."""
    site = _site(package)
    limit = limit * 2 if package.name == "python" else limit
    candidates = [*_notes(site, package), *_indexes(site, package)]
    for module in package.modules:
        candidates += _reference(site, module)
        candidates += _source(site, module)
    chosen = _choose(candidates, limit)
    return [copy for page in chosen for copy in (page, *copies(page))]


def _site(package: Package) -> Site:
    label = "".join(char if char.isalnum() else "-" for char in package.name.lower())
    host = pick(label, "host", [f"{label}.docs.example", f"docs.{label}.example", f"www.{label}.example"])
    nav = tuple(module.name for module in _in_hash_order(package.modules)[:18])
    return Site(package.name, package.version, package.summary, host, pick(label, "theme", sorted(THEMES)), nav)


def _in_hash_order(modules: Iterable[Module]) -> list[Module]:
    return sorted(modules, key=lambda module: shuffle_key(1, module.name))


def _choose(candidates: list[Page], limit: int) -> list[Page]:
    """Whole texts first, then every other kind up to its share, reference pages for the rest."""
    ordered = sorted(candidates, key=lambda page: shuffle_key(2, page.url))
    chosen = [page for page in ordered if page.kind in {"readme", "licence", "changes", "topic"}][:limit]
    for kind, part in _SHARES.items():
        room = max(1, int(limit * part)) if len(chosen) < limit else 0
        chosen += [page for page in ordered if page.kind == kind][:room]
    chosen += [page for page in ordered if page.kind == "reference"][: limit - len(chosen)]
    return chosen


def _notes(site: Site, package: Package) -> Iterator[Page]:
    counts: dict[str, int] = {}
    for note in package.notes:
        counts[note.kind] = counts.get(note.kind, 0) + 1
        if note.kind == "topic" or counts[note.kind] <= _MAX_NOTES:
            yield Page(site, _note_path(note), note.kind, note.title, (_note_block(note, site),))


def _note_path(note: Note) -> str:
    folder = {"readme": "", "topic": "/reference"}.get(note.kind, f"/{note.kind}")
    return "/" if note.kind == "readme" else f"{folder}/{note.title.replace(' ', '-')}.html"


def _note_block(note: Note, site: Site) -> Block:
    """Licences stand on sites as running text or as one preformatted block."""
    is_listing = note.kind == "licence" and share(site.name, "licence") < 0.4
    return Block(note.text, "code" if is_listing else note.flavour)


def _indexes(site: Site, package: Package) -> Iterator[Page]:
    """Module and name indexes: links only."""
    names = [module.name for module in package.modules]
    if len(names) > 3:
        yield Page(site, "/py-modindex.html", "index", "Module Index", (Block("\n".join(names), "links"),))
    members = sorted(member.name for module in package.modules for member in module.members)
    for part in range(0, len(members), 400):
        block = Block("\n".join(members[part : part + 400]), "links")
        if len(members) > 20:
            yield Page(site, f"/genindex-{part // 400}.html", "index", f"Index {part // 400 + 1}", (block,))


def _source(site: Site, module: Module) -> Iterator[Page]:
    if share(module.name, "source") < 0.3 and len(module.source) > 400:
        path = f"/_modules/{module.name.replace('.', '/')}.html"
        block = Block("\n".join(module.source.splitlines()[:400]), "code")
        yield Page(site, path, "source", f"Source code for {module.name}", (block,))


def _reference(site: Site, module: Module) -> Iterator[Page]:
    """One long page a module, or (half of the sites) an overview and a page for each class and function."""
    top, *rest = (member for member in module.members if member.doc or member.kind == "module")
    if share(site.name, "layout") < 0.5:
        yield from _long(site, top, rest)
        return
    overview = "\n\n".join(f"``{member.name}``\n   {_first_line(member.doc)}" for member in rest[:40])
    blocks = [Block(top.doc, "docstring"), Block(overview, "docstring", "Contents")]
    yield _page(site, "reference", top.name, [block for block in blocks if block.text])
    for owner in (member for member in rest if member.name.count(".") == top.name.count(".") + 1):
        owned = [member for member in rest if member.name.startswith(f"{owner.name}.")]
        yield from _long(site, owner, owned)


def _first_line(doc: str) -> str:
    return " ".join(doc.partition("\n\n")[0].split())[:200]


def _long(site: Site, top: Member, rest: list[Member]) -> Iterator[Page]:
    """A page that shows `top` and the members below it; a short one is a stub."""
    blocks = [Block(top.doc, "docstring", "", _code(top))]
    num_chars = len(top.doc)
    for member in rest:
        if num_chars + len(member.doc) > _MAX_BLOCKS_CHARS:
            break
        num_chars += len(member.doc)
        blocks.append(Block(member.doc, "docstring", member.name.removeprefix(f"{top.name}."), _code(member)))
    yield _page(site, "reference" if num_chars > _STUB_CHARS else "stub", top.name, blocks)


def _page(site: Site, kind: str, name: str, blocks: list[Block]) -> Page:
    folder = pick(site.name, "folder", ["/en/stable/api", "/stable/generated", "/docs", "/library"])
    return Page(site, f"{folder}/{name}.html", kind, name, tuple(blocks))


def _code(member: Member) -> str:
    return f"{member.name.rpartition('.')[2]}({member.signature})" if member.kind == "function" else ""
