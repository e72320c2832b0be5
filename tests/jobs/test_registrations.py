"""What a model's folder becomes in the registry, without a session."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from lakeloom.jobs import registrations, registry
from lakeloom.lakehouse.ids import file_sha
from lakeloom.train import scales

# Parameters, and those without embedding, as DCLM counts them (specification, section 8.1).
DCLM = [
    ("400m_1x", 411_616_256, 359_973_888),
    ("1b_1x", 1_439_795_200, 1_336_510_464),
    ("3b_1x", 2_795_932_160, 2_666_826_240),
    ("7b_1x", 6_889_410_560, 6_682_841_088),
    ("7b_2x", 6_889_410_560, 6_682_841_088),
]


def write_model(folder: Path, scale: str) -> None:
    folder.mkdir(parents=True)
    shape = scales.load(scale, "test")
    (folder / "config.json").write_text(json.dumps({"model": asdict(shape.model(50_432)), "scale": asdict(shape)}))
    (folder / "model.safetensors").write_bytes(scale.encode())
    files = {name: {"sha256": file_sha(folder / name)} for name in ("config.json", "model.safetensors")}
    facts = {"name": folder.name, "model_sha": files["model.safetensors"]["sha256"], "train_id": scale}
    (folder / "manifest.json").write_text(json.dumps(facts | {"files": files}))


def references(models: Path) -> dict[str, Any]:
    made = [json.loads(str(one.row["reference"])) for one in registrations.of_models(models, {})]
    return {one["name"]: one for one in made}


@pytest.mark.parametrize(("scale", "params", "params_no_embed"), DCLM)
def test_parameters_are_counted_as_dclm_does(scale: str, params: int, params_no_embed: int, tmp_path: Path) -> None:
    write_model(tmp_path / "one", scale)
    found = references(tmp_path)["one"]["hyperparameters"]
    assert (found["params"], found["params_no_embed"]) == (params, params_no_embed)


def test_a_mean_is_a_model_of_its_own(tmp_path: Path) -> None:
    write_model(tmp_path / "one", "400m_1x")
    write_model(tmp_path / "one" / "average", "1b_1x")
    assert references(tmp_path)["average"]["checkpoint_url"] == str(tmp_path / "one" / "average" / "model.safetensors")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_file_of_a_model_that_was_replaced_is_told(name: str, tmp_path: Path) -> None:
    write_model(tmp_path / "one", "400m_1x")
    [one] = registrations.of_models(tmp_path, {})
    assert registry.state(one.row, deep=True) == "unchanged, every file"
    (tmp_path / "one" / name).write_text("{}")
    assert registry.state(one.row, deep=True) == f"changed: {name} is not the file that its manifest lists"
    assert registry.state(one.row, deep=False).startswith("changed") == (name == "config.json")
