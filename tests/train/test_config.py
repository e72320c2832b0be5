import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import pytest
from omegaconf import OmegaConf

from lakeloom.lakehouse.errors import ConfigError
from lakeloom.train import config
from lakeloom.train.config import ScaleConfig, TrainConfig

SCALES = Path(config.__file__).parent.parent / "conf" / "scale"


def test_save_and_load_give_the_same(make_config: Callable[..., TrainConfig], tmp_path: Path) -> None:
    config.save(make_config(), tmp_path / "train.json")
    assert config.load(tmp_path / "train.json") == make_config()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sede": 1}, "'sede'"),
        ({"seed": "one"}, "'one'.*seed"),
        ({"scale": {"dim": "wide"}}, "'wide'.*scale.dim"),
        ({"scale": {"width": 8}}, "'width'.*scale.width"),
    ],
)
def test_wrong_fields_are_named(
    make_config: Callable[..., TrainConfig], tmp_path: Path, change: dict[str, object], said: str
) -> None:
    values = asdict(make_config())
    for name, value in change.items():
        values[name] = {**values[name], **value} if isinstance(value, dict) else value
    path = tmp_path / "train.json"
    path.write_text(json.dumps(values), "utf-8")
    with pytest.raises(ConfigError, match=said):
        config.load(path)


@pytest.mark.parametrize("content", [None, "not json", "[1]", "{}"])
def test_unreadable_files_are_configuration_errors(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "train.json"
    if content is not None:
        path.write_text(content, "utf-8")
    with pytest.raises(ConfigError, match=r"train\.json"):
        config.load(path)


# spec: DCLM's training/configs; parameters, tokens, width, layers, heads, batch, warm-up
DCLM = {
    "25m": (24_679_104, 493_582_080, 192, 12, 3, 64, 900),  # the ladder, which is not DCLM's
    "60m": (59_975_040, 1_199_500_800, 384, 12, 6, 128, 1100),
    "150m": (148_258_560, 2_965_171_200, 768, 10, 12, 256, 1400),
    "400m_1x": (411_616_256, 8_232_325_120, 1024, 24, 8, 512, 2000),
    "1b_1x": (1_439_795_200, 28_795_904_000, 2048, 24, 16, 256, 5000),
    "1b_5x": (1_439_795_200, 143_979_520_000, 2048, 24, 16, 256, 5000),
    "3b_1x": (2_795_932_160, 55_918_643_200, 2560, 32, 32, 256, 5000),
    "7b_1x": (6_889_410_560, 137_788_211_200, 4096, 32, 32, 2048, 5000),
    "7b_2x": (6_889_410_560, 275_576_422_400, 4096, 32, 32, 2048, 5000),
}


@pytest.mark.parametrize("name", sorted(path.stem for path in SCALES.glob("*.yaml")))
def test_scales_are_dclms(name: str) -> None:
    scale = ScaleConfig(**cast("dict[str, Any]", OmegaConf.to_object(OmegaConf.load(SCALES / f"{name}.yaml"))))
    assert scale.name == name
    if name in DCLM:
        model = scale.model(50_277)
        found = (model.num_parameters, int(20 * model.num_parameters * scale.multiplier))
        assert (*found, model.dim, model.num_layers, model.num_heads, scale.global_batch, scale.warmup) == DCLM[name]
