"""What is exported is the same model to transformers, and says where it is from."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lakeloom.jobs import cli
from lakeloom.jobs.export_hf import ExportHfConfig
from lakeloom.lakehouse.errors import BadInput, ConfigError
from lakeloom.lakehouse.tokens import Tokenizer, train_sentencepiece
from lakeloom.train import checkpoint
from lakeloom.train.config import ModelConfig
from lakeloom.train.model import Decoder

transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.slow
TOKENS = torch.randint(0, 300, (3, 24), generator=torch.Generator().manual_seed(0))


def saved(folder: Path, tokenizer: Path) -> Decoder:
    """A model of random weights, as train leaves it."""
    decoder = Decoder(ModelConfig(300, 32, dim=32, num_layers=2, num_heads=2, ffn_hidden=64))
    decoder.initialize(5)
    config: dict[str, Any] = {
        "model": decoder.config.__dict__,
        "seed": 5,
        "tokenizer_file": tokenizer.name,
        "dataset": {"name": "rivers", "source_table": "gold.corpus", "source_version": 7, "recipe_hash": "abc"},
    }
    facts: dict[str, Any] = {"name": "rivers-tiny-s5", "train_id": "t" * 32, "run_id": "", "tokens": 99}
    checkpoint.save(folder, checkpoint.State(decoder.state_dict(), {}, 1), config, facts, tokenizer)
    return decoder.eval()


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pieces") / "tokenizer.model"
    path.write_bytes(train_sentencepiece(["the river of data runs past a mill"] * 30, 280))
    return path


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Any]:
    """load(folder): its model, by transformers alone; code that it copies stays in this test's folder."""
    monkeypatch.setattr(transformers.dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))

    def loaded(folder: Path) -> Any:
        return transformers.AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True).eval()

    return loaded


def test_transformers_gives_the_same_logits_loss_and_text(
    tmp_path: Path, pieces: Path, load: Callable[[Path], Any]
) -> None:
    ours = saved(tmp_path / "model", pieces)
    report = cli.run("export_hf", None, ExportHfConfig(str(tmp_path / "model"), str(tmp_path / "hf")))
    theirs = load(Path(str(report.facts["folder"])))
    with torch.no_grad():
        expected, found = ours(TOKENS), theirs(TOKENS, labels=TOKENS)
    assert torch.allclose(found.logits, expected, atol=1e-5)
    loss = torch.nn.functional.cross_entropy(expected[:, :-1].flatten(0, 1), TOKENS[:, 1:].flatten())
    assert found.loss.item() == pytest.approx(loss.item(), abs=1e-5)
    greedy = TOKENS[:1, :8]
    for _ in range(6):
        greedy = torch.cat((greedy, ours(greedy)[:, -1:].argmax(-1)), dim=1)
    made = theirs.generate(TOKENS[:1, :8], max_new_tokens=6, do_sample=False, eos_token_id=-1)
    assert made.tolist() == greedy.tolist()
    assert sum(value.numel() for value in theirs.parameters()) == sum(value.numel() for value in ours.parameters())


def test_filled_up_sequences_change_nothing(tmp_path: Path, pieces: Path, load: Callable[[Path], Any]) -> None:
    saved(tmp_path / "model", pieces)
    cli.run("export_hf", None, ExportHfConfig(str(tmp_path / "model"), str(tmp_path / "hf")))
    model, row = load(tmp_path / "hf"), TOKENS[:1, :10]
    filling = torch.zeros(1, 4, dtype=torch.int64)
    with torch.no_grad():
        plain = model(row).logits
        left = model(torch.cat((filling, row), dim=1), attention_mask=torch.tensor([[0] * 4 + [1] * 10])).logits
        right = model(torch.cat((row, filling), dim=1), attention_mask=torch.tensor([[1] * 10 + [0] * 4])).logits
    assert torch.allclose(left[:, 4:], plain, atol=1e-5)
    assert torch.allclose(right[:, :10], plain, atol=1e-5)


def test_a_tokenizer_json_is_read_by_transformers(tmp_path: Path, shared: Path) -> None:
    source = next((shared / "data" / "tokenizer").rglob("*.json"))
    saved(tmp_path / "model", source)
    cli.run("export_hf", None, ExportHfConfig(str(tmp_path / "model"), str(tmp_path / "hf")))
    theirs, ours = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf"), Tokenizer.load(source)
    text = "Don't  stop\t\n   at caf\u00e9 12,345"
    assert theirs(text)["input_ids"] == ours.encode(text)
    assert theirs.eos_token_id == ours.eot


def test_the_card_says_where_it_is_from(tmp_path: Path, pieces: Path) -> None:
    saved(tmp_path / "model", pieces)
    cli.run("export_hf", None, ExportHfConfig(str(tmp_path / "model"), str(tmp_path / "hf")))
    card = (tmp_path / "hf" / "README.md").read_text("utf-8")
    facts = checkpoint.manifest(tmp_path / "model") or {}
    for said in ("rivers-tiny-s5", "| dataset source_version | `7` |", str(facts["model_sha"]), "trust_remote_code"):
        assert said in card
    assert json.loads((tmp_path / "hf" / "config.json").read_text("utf-8"))["hidden_size"] == 32


def test_a_folder_that_is_there_or_a_broken_model_is_refused(tmp_path: Path, pieces: Path) -> None:
    saved(tmp_path / "model", pieces)
    (tmp_path / "hf").mkdir()
    cfg = ExportHfConfig(str(tmp_path / "model"), str(tmp_path / "hf"))
    with pytest.raises(ConfigError, match=r"export_hf\.into=.*hf is there; give a new folder"):
        cli.run("export_hf", None, cfg)
    (tmp_path / "model" / "model.safetensors").write_bytes(b"other")
    with pytest.raises(BadInput, match="differs from the manifest"):
        cli.run("export_hf", None, replace(cfg, into=str(tmp_path / "new")))
    assert not (tmp_path / "new").exists()
