"""A finished model in Hugging Face's format: weights, configuration, modelling file, tokenizer, where it is from."""

import json
import shutil
from pathlib import Path
from typing import cast

from safetensors.torch import save_file

from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.ids import Json
from lakeloom.lakehouse.tokens import Tokenizer
from lakeloom.train import checkpoint
from lakeloom.train.config import NORM_EPS, ModelConfig

_MODELLING = Path(__file__).with_name("modeling_lakeloom.py")
_CLASSES = {"AutoConfig": "LakeloomConfig", "AutoModelForCausalLM": "LakeloomForCausalLM"}


def export(folder: Path, into: Path) -> None:
    """Write the folder `into`, which must not be there. BadInput where the model's files are not what they were."""
    if into.exists():
        raise ConfigError(f"export_hf.into={into} is there; give a new folder")
    decoder = checkpoint.load_model(folder)
    config = checkpoint.config(folder)
    tokenizer = Tokenizer.load(folder / str(config["tokenizer_file"]))
    aside = into.with_name(f".{into.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    save_file(decoder.state_dict(), aside / "model.safetensors", metadata={"format": "pt"})
    shutil.copyfile(_MODELLING, aside / _MODELLING.name)
    _write(aside / "config.json", _config(decoder.config, tokenizer))
    _write(aside / "generation_config.json", {"eos_token_id": tokenizer.eot, "use_cache": False})
    _tokenizer(aside, tokenizer)
    (aside / "README.md").write_text(_card(config, checkpoint.manifest(folder) or {}, tokenizer), "utf-8")
    aside.rename(into)


def _config(model: ModelConfig, tokenizer: Tokenizer) -> dict[str, Json]:
    return {
        "model_type": "lakeloom",
        "architectures": ["LakeloomForCausalLM"],
        "auto_map": {auto: f"{_MODELLING.stem}.{name}" for auto, name in _CLASSES.items()},
        "vocab_size": model.vocab_size,
        "hidden_size": model.dim,
        "num_hidden_layers": model.num_layers,
        "num_attention_heads": model.num_heads,
        "intermediate_size": model.ffn_hidden,
        "max_position_embeddings": model.seq_len,
        "norm_eps": NORM_EPS,
        "torch_dtype": "float32",
        "tie_word_embeddings": False,
        "eos_token_id": tokenizer.eot,
    }


def _tokenizer(folder: Path, tokenizer: Tokenizer) -> None:
    """The tokenizer's file; transformers reads a tokenizer.json, a sentencepiece model only its own package does."""
    if tokenizer.kind != "tokenizer_json":
        shutil.copyfile(tokenizer.path, folder / "tokenizer.model")
        return
    shutil.copyfile(tokenizer.path, folder / "tokenizer.json")
    words = json.loads(tokenizer.path.read_text("utf-8"))
    end = next(token["content"] for token in words["added_tokens"] if token["id"] == tokenizer.eot)
    about = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": end, "model_max_length": 10**9}
    _write(folder / "tokenizer_config.json", cast("dict[str, Json]", about))


def _card(config: dict[str, Json], manifest: dict[str, Json], tokenizer: Tokenizer) -> str:
    dataset = cast("dict[str, Json]", config["dataset"])
    facts = {
        "trained as": manifest.get("name"),
        "weights (SHA-256)": manifest.get("model_sha"),
        "train id": manifest.get("train_id"),
        "MLflow run": manifest.get("run_id") or None,
        "tokens": manifest.get("tokens"),
        "seed": config.get("seed"),
        **{f"dataset {name}": value for name, value in sorted(dataset.items())},
        "tokenizer (SHA-256)": tokenizer.sha,
    }
    lines = "".join(f"| {name} | `{value}` |\n" for name, value in facts.items() if value not in (None, ""))
    how = "AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)"
    readable = (
        "AutoTokenizer reads the tokenizer."
        if tokenizer.kind == "tokenizer_json"
        else "tokenizer.model is sentencepiece's: read it by the sentencepiece package."
    )
    return (
        f"# {manifest.get('name')}\n\nLoad with `{how}`: no architecture of transformers is this one, "
        f"so its modelling file is here. {readable}\n\n| | |\n| --- | --- |\n{lines}"
    )


def _write(path: Path, value: dict[str, Json]) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", "utf-8")
