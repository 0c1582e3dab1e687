"""The engine's tasks on a real Ray cluster of several nodes."""

import os
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0", RAY_DEDUP_LOGS="0")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import ray
    from ray.cluster_utils import Cluster

import numpy as np
import pytest
from sklearn.datasets import load_digits
from unmemorize import Ensemble
from unmemorize.cli import ensemble_train
from unmemorize.engine import RayCluster, Task, TaskError, run

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]  # Ray's own warnings, and its pace


def squares(n: int, function: str = "square", **arguments: object) -> list[Task]:
    return [Task(f"square-{x}", f"engine_tasks:{function}", {"x": x, **arguments}) for x in range(n)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes of one core each, the first of them with two GPUs that only the books know of."""
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 2})
    nodes.add_node(num_cpus=1)
    nodes.wait_for_nodes()
    ray.init(address=nodes.address, log_to_driver=False)
    yield nodes
    ray.shutdown()
    nodes.shutdown()


def test_the_results_are_those_of_local_workers(tmp_path: Path, cluster: Any) -> None:
    tasks = squares(6, home=str(tmp_path))
    with RayCluster() as executor:
        results = run(tasks, tmp_path / "out", executor=executor)
        assert run(tasks, tmp_path / "out", executor=executor) == results
    assert results == run(tasks, tmp_path / "out") == {f"square-{x}": {"square": x * x} for x in range(6)}
    assert sorted((tmp_path / "runs.log").read_text().split()) == list("012345")
    assert ray.is_initialized()  # a connection that was open is left open


def test_what_a_task_raises_reaches_the_caller(tmp_path: Path, cluster: Any) -> None:
    tasks = [*squares(1), Task("bad", "engine_tasks:fail", {"x": 7})]
    with RayCluster() as executor, pytest.raises(TaskError, match="task bad: ValueError: x: 7") as failure:
        run(tasks, tmp_path, executor=executor)
    assert "Traceback" in failure.value.__notes__[0]


def test_a_task_that_kills_its_workers_is_given_up(tmp_path: Path, cluster: Any) -> None:
    with RayCluster() as executor, pytest.raises(TaskError, match="task dead: not done by the cluster, 3 retries"):
        run([Task("dead", "engine_tasks:die")], tmp_path, executor=executor)


def test_a_result_that_was_written_is_not_made_again(tmp_path: Path, cluster: Any) -> None:
    task = Task("last-words-3", "engine_tasks:write_and_die", {"x": 3, "home": str(tmp_path)})
    with RayCluster() as executor:
        assert run([task], tmp_path / "out", executor=executor) == {"last-words-3": {"square": 9}}
    assert (tmp_path / "runs.log").read_text().split() == ["3"]


def test_gpus_are_shared_by_fractions(tmp_path: Path, cluster: Any) -> None:
    with RayCluster(cpus=0.1, gpus=0.5) as executor:
        results = run(squares(4, "meet", home=str(tmp_path), count=4), tmp_path / "out", executor=executor)
    assert list(results.values()) == [{"square": x * x, "kernels": 1} for x in range(4)]


def test_a_node_is_lost_in_mid_run(tmp_path: Path, cluster: Any) -> None:
    doomed = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()

    def kill_when_it_works() -> None:
        pids: list[str] = []
        while not any(pids):
            time.sleep(0.02)
            pids = [path.read_text() for path in tmp_path.glob(f"*.{doomed.node_id}")]
        cluster.remove_node(doomed, allow_graceful=False)
        with suppress(ProcessLookupError):
            os.kill(int(pids[0]), signal.SIGKILL)  # a worker may outlive its node, where both are on one machine
        (tmp_path / "go").touch()

    killer = threading.Thread(target=kill_when_it_works)
    killer.start()
    with RayCluster() as executor:
        results = run(squares(9, "meet", home=str(tmp_path), count=99), tmp_path / "out", executor=executor)
    killer.join()
    assert [result["square"] for result in results.values()] == [x * x for x in range(9)]
    (lost,) = tmp_path.glob(f"*.{doomed.node_id}")
    assert len(list(tmp_path.glob(f"{lost.stem}.*"))) == 2  # its task ran again elsewhere, and no other did
    assert len(list(tmp_path.glob("[0-9]*.*"))) == 10


def test_the_training_command_gives_the_same_bits_on_a_cluster(tmp_path: Path, cluster: Any) -> None:
    options = {"recipe": "digits", "models": 10, "stack": 5}
    digits = load_digits()
    x, y = (digits.images / 16).astype(np.float32)[:, None], digits.target
    np.savez(tmp_path / "small.npz", x_train=x[:300], y_train=y[:300], x_test=x[300:400], y_test=y[300:400])
    for executor in ("local", "ray"):
        ensemble_train.command(str(tmp_path / "small.npz"), tmp_path / executor, executor=executor, **options)
    local, ray_ = (Ensemble.open(tmp_path / executor) for executor in ("local", "ray"))
    assert len(ray_) == 10
    np.testing.assert_array_equal(local.memorization().score, ray_.memorization().score)
    np.testing.assert_array_equal(local.out_of_sample(np.arange(270)), ray_.out_of_sample(np.arange(270)))


@pytest.mark.parametrize(
    ("executor", "gpus", "message"),
    [("slurm", 0.0, "no executor 'slurm'; known are local, ray"), ("local", 0.5, "gpus: only for --executor ray")],
)
def test_an_executor_that_makes_no_sense_is_named(executor: str, gpus: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ensemble_train.executor_of(executor, None, gpus)


@pytest.mark.parametrize(("name", "value"), [("cpus", -1.0), ("gpus", float("nan"))])
def test_a_share_out_of_range_is_named(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name}: expected 0 or more, got {value}"):
        RayCluster(**{name: value})
