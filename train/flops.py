"""Arithmetic of a model, for model FLOPs utilisation (MFU)."""

from lakeloom.train.config import ModelConfig

# Dense bf16 FLOP/s of NVIDIA's data sheets, by a word of the device's name; no sparsity.
_PEAKS = {"H200": 989.4e12, "H100 PCIe": 756e12, "H100": 989.4e12, "A100": 312e12, "L40S": 362e12}


def flops_per_token(config: ModelConfig) -> int:
    """FLOPs to train on a token, PaLM's convention (arXiv 2204.02311, appendix B): all of attention counts."""
    matmuls = config.num_layers * (4 * config.dim**2 + 3 * config.dim * config.ffn_hidden)
    matmuls += config.vocab_size * config.dim
    return 6 * matmuls + 12 * config.num_layers * config.dim * config.seq_len


def peak_flops(device_name: str) -> float | None:
    """Peak of one device, or None where it is not known (MFU is then not reported)."""
    return next((peak for word, peak in _PEAKS.items() if word in device_name), None)
