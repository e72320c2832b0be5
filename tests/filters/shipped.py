"""What a recipe of conf/recipe/ says of one page."""

from importlib.resources import files

import pyarrow as pa
from omegaconf import OmegaConf

from lakeloom.filters.chain import Chain, Recipe


def verdict(recipe: str, text: str, **settings: str) -> str | None:
    """Id of the step that drops the text; None where it is kept."""
    written = OmegaConf.create((files("lakeloom.conf") / "recipe" / f"{recipe}.yaml").read_text())
    read = OmegaConf.to_container(OmegaConf.merge(written, settings), resolve=True)
    assert isinstance(read, dict)
    chain = Chain(Recipe.from_config({str(key): value for key, value in read.items()}))
    page = {"doc_id": "d", "url": "http://loom.example", "text": text}
    batch = pa.record_batch({key: pa.array([value], pa.string()) for key, value in page.items()})
    (dropped,) = chain.apply(batch).dropped_by.to_pylist()
    return None if dropped is None else str(dropped)
