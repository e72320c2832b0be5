"""DeepSpeed ZeRO around the objective: the only module that knows DeepSpeed.

Stage 1 also on one process: stage 0 with bf16 takes a hidden optimizer step. torch's own AdamW, so that no operator of
DeepSpeed's is compiled by nvcc or c++ at run time. The state comes out and goes in as whole tensors a parameter.
"""

import logging
import os
import socket
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import Tensor

from lakeloom.train import optim
from lakeloom.train.checkpoint import State
from lakeloom.train.loss import Objective
from lakeloom.train.plan import Plan

_MOMENTS = ("exp_avg", "exp_avg_sq")
# Elements. DeepSpeed's 5e8 are a 2 GB buffer a step, which costs a small CPU run most of its time.
_BUCKET = {"cpu": 1_000_000, "cuda": 100_000_000}


@dataclass(frozen=True)
class World:
    """This process among those of the run."""

    rank: int
    size: int
    device: torch.device

    def any(self, flag: bool) -> bool:
        """Whether the flag is up in any process; all must ask."""
        if self.size == 1:
            return flag
        flags = torch.tensor([float(flag)], device=self.device)
        dist.all_reduce(flags)
        return bool(flags.item())

    def agrees(self, number: int) -> bool:
        """Whether all processes have this number, below 2**53; all must ask."""
        own = torch.tensor(float(number), dtype=torch.float64, device=self.device)
        return not self.any(bool(self.mean(own.clone()) != own))

    def mean(self, values: Tensor) -> Tensor:
        """Mean over the processes; all must ask."""
        if self.size > 1:
            dist.all_reduce(values)
        return values / self.size


@dataclass(frozen=True)
class Step:
    """What one step measured: cross-entropy, the loss minimised, gradient norm before clipping.

    Where a gradient was not finite, `is_skipped`: the weights are as they were.
    """

    loss: float
    objective: float
    grad_norm: float
    lr: float
    is_skipped: bool = False


class _DeepSpeed(Protocol):
    optimizer: "_Zero"

    def __call__(self, sequences: Tensor) -> tuple[Tensor, Tensor]: ...
    def backward(self, loss: Tensor) -> object: ...
    def step(self) -> object: ...
    def get_global_grad_norm(self) -> float | Tensor | None: ...


class _Zero(Protocol):
    optimizer: torch.optim.AdamW
    fp32_partitioned_groups_flat: list[Tensor]  # of stage 3 only
    check_grad_overflow: bool
    overflow: bool


def join(plan: Plan) -> World:
    """Join the processes that torchrun started, or be the only one; sets this process's threads and precision."""
    device = plan.device
    if "RANK" not in os.environ:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = str(server.getsockname()[1])
        os.environ.update(RANK="0", WORLD_SIZE="1", LOCAL_RANK="0", MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
    # DeepSpeed chooses when imported, and warns about CPUs unless it is told.
    os.environ.setdefault("DS_ACCELERATOR", device)
    import deepspeed
    import deepspeed.ops

    # Four reports of memory at each start, otherwise.
    logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
    # Otherwise init_distributed compiles it by c++ (half a minute) and leaves 69 MB a process in /dev/shm.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    if not dist.is_initialized():
        deepspeed.init_distributed(dist_backend="nccl" if device == "cuda" else "gloo", verbose=False)
    local_size = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    torch.set_num_threads(plan.cfg.threads or max(1, (os.cpu_count() or 1) // local_size))
    # Sums stay fp32. 1.6 times as fast a step where the CPU multiplies bf16 (avx512_bf16); elsewhere torch ignores it.
    torch.set_float32_matmul_precision("medium" if plan.precision == "mixed" else "highest")
    place = torch.device(f"cuda:{os.environ['LOCAL_RANK']}" if device == "cuda" else "cpu")
    if device == "cuda":
        torch.cuda.set_device(place)
    return World(dist.get_rank(), dist.get_world_size(), place)


class Engine:
    """A model in training. All methods are collective: every process calls them in the same order."""

    def __init__(self, objective: Objective, plan: Plan, world: World) -> None:
        import deepspeed

        self.objective = objective
        self.world = world
        self.micro_batch, self.accumulation = plan.split(world.size)
        self._stage = plan.cfg.zero_stage
        scale = plan.cfg.scale
        self._adamw = optim.adamw(objective.parameters(), lr=scale.lr, weight_decay=scale.weight_decay)
        made = deepspeed.initialize(model=objective, optimizer=self._adamw, config=self._settings(plan))
        self._deepspeed = cast("_DeepSpeed", made[0])
        self._deepspeed.optimizer.check_grad_overflow = True  # DeepSpeed 0.19.8 looks for it in bf16 and fp16 only
        self.num_updates = 0
        objective.decoder.attend_by(plan.cfg.attention)
        if plan.compiled != "off":
            objective.fuse(plan.compiled)

    def step(self, sequences: npt.NDArray[np.int64], lr: float) -> Step:
        """One optimizer step on this process's share of the batch."""
        for group in self._deepspeed.optimizer.optimizer.param_groups:
            group["lr"] = lr
        sums = torch.zeros(2, device=self.world.device)
        for start in range(0, len(sequences), self.micro_batch):
            micro = torch.from_numpy(sequences[start : start + self.micro_batch])
            objective, loss = self._deepspeed(micro.to(self.world.device))
            self._deepspeed.backward(objective)
            self._deepspeed.step()
            sums += torch.stack((objective.detach().float(), loss.detach().float()))
        objective_mean, loss_mean = self.world.mean(sums / self.accumulation).tolist()
        is_skipped = self._deepspeed.optimizer.overflow
        self.num_updates += not is_skipped
        norm = self._deepspeed.get_global_grad_norm()
        return Step(loss_mean, objective_mean, float(norm) if norm is not None else float("nan"), lr, is_skipped)

    def nats(self, windows: npt.NDArray[np.int64], is_counted: npt.NDArray[np.bool_]) -> float:
        """Summed cross-entropy of the targets that count, over all windows; the processes share them.

        Windows: N x (T + 1) tokens; is_counted: N x T.
        """
        # Batches of one shape, so that nothing is compiled again: filled up with windows that don't count.
        missing = -len(windows) % (self.micro_batch * self.world.size)
        windows = np.pad(windows, ((0, missing), (0, 0)))
        is_counted = np.pad(is_counted, ((0, missing), (0, 0)))
        total = torch.zeros((), dtype=torch.float64, device=self.world.device)
        for start in range(self.world.rank * self.micro_batch, len(windows), self.world.size * self.micro_batch):
            part = slice(start, start + self.micro_batch)
            tokens, counted = (torch.from_numpy(array[part]).to(self.world.device) for array in (windows, is_counted))
            with self._whole(self.objective.decoder.output.weight):  # which no forward of a module of its own gathers
                total += self.objective.nats(tokens, counted)
        return float(self.world.mean(total)) * self.world.size

    def _whole(self, parameter: Tensor) -> AbstractContextManager[None]:
        """The parameter with all its values while open, under stage 3, too."""
        if self._stage < 3:
            return nullcontext()
        from deepspeed.runtime.zero.partition_parameters import GatheredParameters

        return cast("AbstractContextManager[None]", GatheredParameters([parameter]))

    def state(self) -> State:
        """The whole state in fp32 on the CPU of rank 0; the other processes help, and keep nothing."""
        from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state

        weights: dict[str, Tensor] = {}
        moments: dict[str, Tensor] = {}
        kept = _MOMENTS if self.num_updates else ()  # AdamW has none before its first step
        for name, parameter in self.objective.decoder.named_parameters():
            whole = cast("Tensor", safe_get_full_fp32_param(parameter))
            parts = [cast("Tensor", safe_get_full_optimizer_state(parameter, moment)) for moment in kept]
            if self.world.rank == 0:
                weights[name] = whole.cpu()
                moments |= {f"{moment}.{name}": part.cpu() for moment, part in zip(kept, parts, strict=True)}
        return State(weights, moments, self.num_updates)

    def restore(self, state: State) -> None:
        """Go on from a state; the objective must have been made with its weights. Without moments AdamW begins anew."""
        from deepspeed.utils import (
            lazy_init_hp_params_optimizer_state,
            safe_set_full_fp32_param,
            safe_set_full_optimizer_state,
        )

        self.num_updates = state.num_updates
        if not state.moments:  # of another trainer, a mean, or before the first update
            return
        zero = self._deepspeed.optimizer
        optimizer, is_sharded = zero.optimizer, self._stage == 3
        for flat in zero.fp32_partitioned_groups_flat if is_sharded else optimizer.param_groups[0]["params"]:
            zeros = {moment: torch.zeros_like(flat) for moment in _MOMENTS}
            step = torch.tensor(float(state.num_updates), device=flat.device)
            optimizer.state[flat] = {"step": step, **zeros}
            if not is_sharded:  # stage 3 finds a parameter's part by itself
                lazy_init_hp_params_optimizer_state(list(self.objective.parameters()), flat, optimizer.state)
        for name, parameter in self.objective.decoder.named_parameters():
            safe_set_full_fp32_param(parameter, state.weights[name].to(self.world.device))
            for moment in _MOMENTS:
                value = state.moments[f"{moment}.{name}"].to(self.world.device)
                safe_set_full_optimizer_state(parameter, value, moment)

    def _settings(self, plan: Plan) -> dict[str, object]:
        bucket = _BUCKET[plan.device]
        zero = {"stage": plan.cfg.zero_stage, "reduce_bucket_size": bucket, "allgather_bucket_size": bucket}
        if plan.cfg.zero_stage == 3 and plan.device == "cpu":
            zero["stage3_param_persistence_threshold"] = 0  # small models of tests would be whole in each process
        settings: dict[str, object] = {
            "train_batch_size": plan.cfg.scale.global_batch,
            "train_micro_batch_size_per_gpu": self.micro_batch,
            "gradient_accumulation_steps": self.accumulation,
            "gradient_clipping": optim.CLIP,
            "zero_optimization": zero,
            "steps_per_print": 10**9,
        }
        if plan.precision == "bf16":
            settings |= {"bf16": {"enabled": True}, "data_types": {"grad_accum_dtype": "fp32"}}
        return settings
