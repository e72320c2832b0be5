"""Pages by what they say of their own use: refusals to be mined, licences. Found at ingest (lakehouse/rights.py)."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakeloom.filters.steps import signal
from lakeloom.lakehouse.errors import ConfigError


@signal
def is_opted_out(
    refusals: pa.ListArray,
    *,
    directives: tuple[str, ...] = ("noai", "noimageai", "tdm-reservation"),
    agents: tuple[str, ...] = (),
) -> pa.DoubleArray:
    """1 where a page refuses by one of the directives, in a header or a meta tag, else 0.

    `agents` (ccbot, gptbot) also count where a directive speaks to them alone; with noindex among the directives, pages
    that search engines must not show count too. Needs an ingest of archives with ingest.keep_rights=true.
    """
    wanted = [*directives, *(f"{agent}:{directive}" for agent in agents for directive in directives)]
    return _has_any(refusals, pc.is_in(_known(refusals, "is_opted_out"), pa.array([word.lower() for word in wanted])))


@signal
def has_license(
    licenses: pa.ListArray, *, names: tuple[str, ...] = ("CC0", "CC-PDM", "CC-BY", "CC-BY-SA")
) -> pa.DoubleArray:
    """1 where a page links to one of the licences, of any version and country, else 0.

    Names are SPDX's without the version (CC-BY-NC), or addresses of others. A link says that something on the page is
    licensed, not that its text is. Needs an ingest of archives with ingest.keep_rights=true.
    """
    kinds = pc.replace_substring_regex(_known(licenses, "has_license"), r"^(CC[A-Z0-9-]*?)-\d\.\d(-[A-Z]+)?$", r"\1")
    return _has_any(licenses, pc.is_in(kinds, pa.array(names, pa.string())))


def _known(found: pa.ListArray, name: str) -> pa.StringArray:
    """All entries, one after another; a page that was not looked at stops the job, whatever batch it is in."""
    if found.null_count:
        raise ConfigError(
            f"{name}: {found.null_count} pages were read without what they say of their use (JSON lines never say); "
            "ingest them into a fresh lakehouse.root with ingest.keep_rights=true, or leave the step out"
        )
    return found.flatten()


def _has_any(found: pa.ListArray, is_wanted: pa.BooleanArray) -> pa.DoubleArray:
    """1 where a list has a wanted entry, else 0."""
    values = np.zeros(len(found))
    values[pc.list_parent_indices(found).filter(is_wanted).to_numpy()] = 1
    return pa.array(values)
