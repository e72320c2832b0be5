"""Which of torch's fused attention kernels a GPU uses, by name."""

from contextlib import AbstractContextManager, nullcontext
from typing import cast

from torch.nn.attention import SDPBackend, sdpa_kernel

from lakeloom.lakehouse.errors import unknown

_KERNELS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "math": SDPBackend.MATH,
}
NAMES = ("auto", *_KERNELS)


def check(name: str) -> None:
    """Raises ConfigError for a name that is none of NAMES."""
    if name not in NAMES:
        raise unknown("attention", name, NAMES, "train.attention")


def kernel(name: str) -> AbstractContextManager[None]:
    """While open, attention is computed by this kernel alone; auto leaves the choice to torch."""
    return nullcontext() if name == "auto" else cast("AbstractContextManager[None]", sdpa_kernel(_KERNELS[name]))
