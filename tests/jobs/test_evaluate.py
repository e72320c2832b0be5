import json
import subprocess
import sys

CODE = "import sys, json; import lakeloom.jobs.evaluate; print(json.dumps(sorted(sys.modules)))"


def test_the_job_starts_without_torch_and_lm_eval() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert "lakeloom.evaluate.config" in loaded
    assert not loaded & {"torch", "lm_eval", "mlflow"}
