import pytest
import torch

from lakeloom.lakehouse.errors import ConfigError
from lakeloom.train import attention
from lakeloom.train.config import ModelConfig
from lakeloom.train.model import Decoder


def test_kernels_give_the_same_logits() -> None:
    decoder = Decoder(ModelConfig(vocab_size=96, seq_len=16, dim=32, num_layers=2, num_heads=2, ffn_hidden=64))
    decoder.initialize(0)
    tokens = torch.randint(0, 96, (2, 16), generator=torch.Generator().manual_seed(0))
    expected = decoder(tokens)
    decoder.attend_by("math")
    torch.testing.assert_close(decoder(tokens), expected, atol=1e-5, rtol=1e-5)


def test_a_kernel_is_the_only_one_while_it_is_named() -> None:
    """A CPU has no cuDNN, so to compute by that alone fails; after it, and with auto, torch chooses again."""
    heads = torch.zeros(1, 2, 4, 8)
    attend = torch.nn.functional.scaled_dot_product_attention
    with attention.kernel("cudnn"), pytest.raises(RuntimeError, match="No viable backend"):
        attend(heads, heads, heads)
    with attention.kernel("auto"):
        assert attend(heads, heads, heads).shape == heads.shape


def test_an_unknown_kernel_is_named_with_the_choices() -> None:
    decoder = Decoder(ModelConfig(vocab_size=96, seq_len=16, dim=32, num_layers=1, num_heads=2, ffn_hidden=64))
    with pytest.raises(ConfigError, match=r"no attention 'flsh'; nearest: flash"):
        decoder.attend_by("flsh")
