"""What an evaluation is asked to do; defaults stand in conf/job/evaluate.yaml. Light to import: no torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EvaluateConfig:
    """One model, the tasks and held-out texts to score it on, and where the numbers go."""

    model: str  # folder of a finished model
    data: str | None  # folder of task files; null: tasks are listed as absent
    tasks: list[str]  # names and groups of evaluate/tasks.csv
    limit: int  # items a task, after its few-shot examples were drawn from all; 0: all
    holdouts: list[str]  # folders of exported datasets
    holdout_limit: int  # documents of each; 0: all
    batch_tokens: int  # tokens in a forward pass
    device: str  # auto, cpu, cuda
    tracking_uri: str | None  # MLflow store that has the model's run; null: none
