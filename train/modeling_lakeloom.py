"""The decoder of DCLM's trainer for Hugging Face's transformers; lakeloom export-hf puts this file beside the weights.

No architecture of transformers has gain-only LayerNorms, query and key norms over the whole width, and SwiGLU together,
so the model brings its own (trust_remote_code=True). It stands alone: where it is loaded, nothing else of ours is.
Generation keeps no cache. Shapes: B sequences, T positions, D width, H heads, K head width, V vocabulary.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput


class LakeloomConfig(PretrainedConfig):  # type: ignore[no-untyped-call]  # transformers
    """Shape of the model; names are those that transformers' own models use."""

    model_type = "lakeloom"

    def __init__(
        self,
        vocab_size: int = 50432,
        hidden_size: int = 1024,
        num_hidden_layers: int = 24,
        num_attention_heads: int = 8,
        intermediate_size: int = 2816,
        max_position_embeddings: int = 2048,
        norm_eps: float = 1e-5,
        **others: Any,
    ) -> None:
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.max_position_embeddings = max_position_embeddings
        self.norm_eps = norm_eps
        super().__init__(**{"tie_word_embeddings": False, "use_cache": False, **others})


class Gain(nn.Module):
    """LayerNorm with a gain and no bias, in fp32."""

    def __init__(self, config: LakeloomConfig) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(config.hidden_size))
        self.eps = config.norm_eps

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x.float(), (x.shape[-1],), self.weight.float(), eps=self.eps)


class Attention(nn.Module):
    """Causal multi-head attention; queries and keys are normed over the whole width, then rotated."""

    def __init__(self, config: LakeloomConfig) -> None:
        super().__init__()
        self.num_heads = config.num_attention_heads
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size, bias=False)
        self.out = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
        self.q_norm = Gain(config)
        self.k_norm = Gain(config)

    def forward(self, x_BTD: Tensor, cos_TK: Tensor, sin_TK: Tensor, allowed_B1TT: Tensor | None) -> Tensor:
        q_BTD, k_BTD, v_BTD = self.qkv(x_BTD).chunk(3, dim=-1)
        q_BHTK = self.rotated(self.q_norm(q_BTD), cos_TK, sin_TK).to(v_BTD.dtype)
        k_BHTK = self.rotated(self.k_norm(k_BTD), cos_TK, sin_TK).to(v_BTD.dtype)
        mixed_BHTK = F.scaled_dot_product_attention(
            q_BHTK, k_BHTK, self.heads(v_BTD), attn_mask=allowed_B1TT, is_causal=allowed_B1TT is None
        )
        out: Tensor = self.out(mixed_BHTK.transpose(1, 2).flatten(2))
        return out

    def heads(self, x_BTD: Tensor) -> Tensor:
        return x_BTD.view(*x_BTD.shape[:-1], self.num_heads, -1).transpose(1, 2)

    def rotated(self, x_BTD: Tensor, cos_TK: Tensor, sin_TK: Tensor) -> Tensor:
        x_BHTK = self.heads(x_BTD)
        first, second = x_BHTK.chunk(2, dim=-1)
        return x_BHTK * cos_TK + torch.cat((-second, first), dim=-1) * sin_TK


class FeedForward(nn.Module):
    """SwiGLU."""

    def __init__(self, config: LakeloomConfig) -> None:
        super().__init__()
        self.gate_up = nn.Linear(config.hidden_size, 2 * config.intermediate_size, bias=False)
        self.down = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x_BTD: Tensor) -> Tensor:
        gate, up = self.gate_up(x_BTD).chunk(2, dim=-1)
        out: Tensor = self.down(F.silu(gate) * up)
        return out


class Block(nn.Module):
    """Attention and feed-forward, each added to the stream it reads through a norm."""

    def __init__(self, config: LakeloomConfig) -> None:
        super().__init__()
        self.attention_norm = Gain(config)
        self.attention = Attention(config)
        self.ffn_norm = Gain(config)
        self.feed_forward = FeedForward(config)

    def forward(self, x_BTD: Tensor, cos_TK: Tensor, sin_TK: Tensor, allowed_B1TT: Tensor | None) -> Tensor:
        x_BTD = x_BTD + self.attention(self.attention_norm(x_BTD).to(x_BTD.dtype), cos_TK, sin_TK, allowed_B1TT)
        out: Tensor = x_BTD + self.feed_forward(self.ffn_norm(x_BTD).to(x_BTD.dtype))
        return out


class LakeloomForCausalLM(PreTrainedModel, GenerationMixin):  # type: ignore[no-untyped-call]  # transformers
    """The language model."""

    config_class = LakeloomConfig
    _no_split_modules = ["Block"]  # noqa: RUF012 (transformers wants a list)

    def __init__(self, config: LakeloomConfig) -> None:
        super().__init__(config)
        self.embedding = nn.Embedding(config.vocab_size, config.hidden_size)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_hidden_layers))
        self.final_norm = Gain(config)
        self.output = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()  # type: ignore[no-untyped-call]  # transformers

    def get_input_embeddings(self) -> nn.Module:
        return self.embedding

    def get_output_embeddings(self) -> nn.Module:
        return self.output

    def prepare_inputs_for_generation(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, **_: Any
    ) -> dict[str, Any]:
        return {"input_ids": input_ids, "attention_mask": attention_mask}

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        **_: Any,
    ) -> CausalLMOutput:
        """Logits B x T x V; the mean cross-entropy of `labels` (-100: not counted), each against the position before.

        `attention_mask` is B x T, 0 where a sequence is filled up, on either side.
        """
        length = input_ids.shape[1]
        cos_TK, sin_TK = self._rotations(length, input_ids.device)
        allowed_B1TT = None
        if attention_mask is not None and not bool(attention_mask.all()):
            causal_TT = torch.ones(length, length, dtype=torch.bool, device=input_ids.device).tril()
            itself_TT = torch.eye(length, dtype=torch.bool, device=input_ids.device)
            allowed_B1TT = (causal_TT & attention_mask.bool()[:, None, None, :]) | itself_TT
        x_BTD = self.embedding(input_ids)
        for block in self.blocks:
            x_BTD = block(x_BTD, cos_TK, sin_TK, allowed_B1TT)
        logits_BTV = self.output(self.final_norm(x_BTD).to(x_BTD.dtype))
        loss = None
        if labels is not None:
            loss = F.cross_entropy(logits_BTV[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten())
        return CausalLMOutput(loss=loss, logits=logits_BTV)

    def _rotations(self, length: int, device: torch.device) -> tuple[Tensor, Tensor]:
        head_dim = self.config.hidden_size // self.config.num_attention_heads
        steps = torch.arange(0, head_dim, 2, dtype=torch.float32, device=device) / head_dim
        angles = torch.outer(torch.arange(length, dtype=torch.float32, device=device), 1.0 / (10000**steps))
        both_TK = torch.cat((angles, angles), dim=-1)
        return both_TK.cos(), both_TK.sin()
