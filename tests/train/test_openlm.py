"""Checkpoints of DCLM's trainer become models of ours; what isn't one is refused, and nothing in it is run."""

import json
import os
import pickle
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lakeloom.jobs import cli
from lakeloom.lakehouse.errors import BadInput, ConfigError
from lakeloom.lakehouse.tokens import train_sentencepiece
from lakeloom.train import checkpoint, openlm
from lakeloom.train.config import ImportModelConfig
from lakeloom.train.model import Decoder

OURS = {"embedding": "tok_embeddings", "blocks": "layers", "qkv": "in_proj", "gate_up": "w12", "final_norm": "norm"}
OURS |= {"down": "w3"}


def open_lm_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """As open_lm calls them; `out` is an attention's out_proj."""
    named = {name.replace("attention.out.", "attention.out_proj."): value for name, value in weights.items()}
    return {".".join(OURS.get(part, part) for part in name.split(".")): value for name, value in named.items()}


@pytest.fixture
def cfg(tmp_path: Path) -> ImportModelConfig:
    """A model of the test scale's shape, which is about to be written."""
    tokenizer = tmp_path / "fitted.model"
    tokenizer.write_bytes(train_sentencepiece(["the river of data runs past a mill"] * 30, 280))
    scale = replace(cli.load("train", "scale=test", "train.dataset=x").scale, vocab_size=300)
    checkpoint_file, models = str(tmp_path / "epoch_1.pt"), str(tmp_path / "models")
    return ImportModelConfig(scale, checkpoint_file, str(tokenizer), "theirs", "dclm", 1000, models)


@pytest.fixture
def decoder(cfg: ImportModelConfig) -> Decoder:
    made = Decoder(cfg.scale.model(0))
    made.initialize(3)
    return made


@pytest.mark.parametrize("wrapper", ["", "module.", "_orig_mod.", "module._orig_mod."])
def test_a_checkpoint_becomes_the_same_model(cfg: ImportModelConfig, decoder: Decoder, wrapper: str) -> None:
    theirs = {f"{wrapper}{name}": value for name, value in open_lm_names(decoder.state_dict()).items()}
    theirs[f"{wrapper}layers.0.attention.pos_embed.inv_freq"] = torch.zeros(4)
    torch.save({"epoch": 1, "name": "run", "state_dict": theirs, "loss": 3.2}, cfg.checkpoint)
    report = cli.run("import_model", None, cfg)
    folder = Path(str(report.facts["model"]))
    tokens = torch.arange(24).view(1, 24)
    assert torch.equal(checkpoint.load_model(folder)(tokens), decoder(tokens))
    assert (folder / "fitted.model").is_file()
    facts = checkpoint.manifest(folder) or {}
    assert (facts["name"], facts["tokens"], facts["loss"]) == ("theirs", 1000, None)
    before = (folder / "manifest.json").stat().st_mtime_ns
    assert cli.run("import_model", None, cfg).facts == report.facts
    assert (folder / "manifest.json").stat().st_mtime_ns == before


def test_what_is_said_of_it_can_be_corrected(cfg: ImportModelConfig, decoder: Decoder) -> None:
    torch.save(open_lm_names(decoder.state_dict()), cfg.checkpoint)
    folder = openlm.run(cfg)
    before = (folder / checkpoint.MANIFEST).stat().st_mtime_ns
    assert openlm.run(cfg) == folder
    assert (folder / checkpoint.MANIFEST).stat().st_mtime_ns == before  # found
    assert openlm.run(replace(cfg, tokens=2000, dataset="theirs")) == folder
    assert (checkpoint.manifest(folder) or {})["tokens"] == 2000
    assert checkpoint.config(folder)["dataset"] == {"name": "theirs", "export_id": "", "recipe": ""}


def test_lower_precision_and_safetensors(cfg: ImportModelConfig, decoder: Decoder, tmp_path: Path) -> None:
    half = {name: value.bfloat16() for name, value in open_lm_names(decoder.state_dict()).items()}
    save_file(half, tmp_path / "weights.safetensors")
    found = openlm.read(tmp_path / "weights.safetensors", decoder.config)
    assert {value.dtype for value in found.values()} == {torch.float32}
    assert all(torch.equal(found[name], value.bfloat16().float()) for name, value in decoder.state_dict().items())


class Payload:
    """A pickle that would write a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("is_torch", [True, False])
def test_a_pickle_with_a_payload_is_refused_and_not_run(cfg: ImportModelConfig, tmp_path: Path, is_torch: bool) -> None:
    payload = {"state_dict": {"tok_embeddings.weight": Payload(tmp_path / "was-run")}}
    if is_torch:
        torch.save(payload, cfg.checkpoint)
    else:
        Path(cfg.checkpoint).write_bytes(pickle.dumps(payload))
    with pytest.raises(BadInput, match=r"epoch_1\.pt: refused, it holds other things than tensors"):
        openlm.run(cfg)
    assert not (tmp_path / "was-run").exists()
    assert not Path(cfg.models).exists()


def test_what_is_no_such_model_is_named(cfg: ImportModelConfig, decoder: Decoder) -> None:
    path = Path(cfg.checkpoint)
    with pytest.raises(ConfigError, match="no checkpoint"):
        openlm.run(cfg)
    for content in (b"", b"nonsense", b"PK\x03\x04 cut"):
        path.write_bytes(content)
        with pytest.raises(BadInput, match="refused"):
            openlm.run(cfg)
    torch.save({"state_dict": [1, 2]}, path)
    with pytest.raises(BadInput, match="no state dict of tensors"):
        openlm.run(cfg)
    theirs = open_lm_names(decoder.state_dict())
    del theirs["norm.weight"]
    torch.save(theirs | {"extra.weight": torch.zeros(3)}, path)
    with pytest.raises(BadInput, match=r"extra.weight \(3,\) instead of nothing; final_norm.weight missing .*scale="):
        openlm.run(cfg)
    with pytest.raises(ConfigError, match="letters, digits"):
        replace(cfg, name="../theirs")
    with pytest.raises(ConfigError, match=r"ids up to 279, the model's vocabulary is 100"):
        openlm.run(replace(cfg, scale=replace(cfg.scale, vocab_size=100)))


def test_dclms_own_start_weights_give_its_logits(cfg: ImportModelConfig, shared: Path) -> None:
    folder = shared / "oracle" / "model"
    expected = json.loads((folder / "expected.json").read_text("utf-8"))["config"]
    torch.save({"state_dict": load_file(folder / "weights.safetensors")}, cfg.checkpoint)
    shape = {"dim": expected["dim"], "num_layers": expected["n_layers"], "num_heads": expected["n_heads"]}
    shape |= {
        "ffn_hidden": expected["ffn_hidden"],
        "seq_len": expected["seq_len"],
        "vocab_size": expected["vocab_size"],
    }
    scale = replace(cfg.scale, **shape)
    model = openlm.read(Path(cfg.checkpoint), scale.model(0))
    decoder = Decoder(scale.model(0))
    decoder.load_state_dict(model)
    logits = np.load(folder / "logits.npy")
    rows = torch.from_numpy(np.load(folder / "tokens.npy").astype(np.int64)[: len(logits)])
    found = decoder(rows[:, : logits.shape[1]]).detach().numpy()
    assert np.abs(found - logits).max() < 1e-4
