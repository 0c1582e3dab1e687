"""The engine's queue: done once, whatever is killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pytest
from unmemorize import Ensemble
from unmemorize.engine import Crew, Executor, Task, TaskError, run
from unmemorize.engine.process import answer, result_of
from unmemorize.errors import StoreError


def squares(n: int, function: str = "square", **arguments: object) -> list[Task]:
    return [Task(f"square-{x}", f"engine_tasks:{function}", {"x": x, **arguments}) for x in range(n)]


def test_results_do_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    expected = {f"square-{x}": {"square": x * x} for x in range(5)}
    for workers in (1, 2, 3):
        assert run(squares(5), tmp_path / str(workers), workers=workers) == expected


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    tasks = squares(4, home=str(tmp_path))
    seen: list[tuple[int, int]] = []
    run(tasks[:2], tmp_path / "out", workers=1)
    results = run(
        tasks, tmp_path / "out", workers=1, progress=lambda done, total, key, result: seen.append((done, total))
    )
    assert (tmp_path / "runs.log").read_text().split() == ["0", "1", "2", "3"]
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert results["square-3"] == {"square": 9}


def test_shared_arguments_are_not_part_of_a_task(tmp_path: Path) -> None:
    run(squares(1), tmp_path / "out", workers=1, shared={"home": str(tmp_path)})
    assert run(squares(1), tmp_path / "out", workers=1, shared={"home": "moved"}) == {"square-0": {"square": 0}}


class Here:
    """An executor of the simplest kind: this process does an order when it comes."""

    def submit(self, key: str, order: dict[str, Any]) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(result_of(key, answer(**order)))
        except TaskError as error:
            future.set_exception(error)
        return future

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        pass


@pytest.mark.parametrize("kind", [Here, Crew])
def test_an_executor_decides_where_and_the_queue_keeps_the_books(tmp_path: Path, kind: Callable[[], Executor]) -> None:
    tasks = squares(4, home=str(tmp_path))
    with kind() as executor:
        run(tasks[:2], tmp_path / "out", executor=executor)
        results = run(tasks, tmp_path / "out", executor=executor)
        with pytest.raises(TaskError, match="task bad: ValueError: x: 7"):
            run([Task("bad", "engine_tasks:fail", {"x": 7})], tmp_path / "out", executor=executor)
    assert results == run(tasks, tmp_path / "out") == {f"square-{x}": {"square": x * x} for x in range(4)}
    assert sorted((tmp_path / "runs.log").read_text().split()) == ["0", "1", "2", "3"]


def test_a_result_that_was_written_is_not_made_again(tmp_path: Path) -> None:
    task = Task("last-words-3", "engine_tasks:write_and_die", {"x": 3, "home": str(tmp_path)})
    assert run([task], tmp_path / "out", workers=1) == {"last-words-3": {"square": 9}}
    assert (tmp_path / "runs.log").read_text().split() == ["3"]


def test_a_result_of_other_arguments_is_refused_with_both_hashes(tmp_path: Path) -> None:
    run([Task("a", "engine_tasks:square", {"x": 1})], tmp_path, workers=1)
    other = Task("a", "engine_tasks:square", {"x": 2})
    with pytest.raises(ValueError, match=other.hash[:12]):
        run([other], tmp_path, workers=1)


def test_a_damaged_result_is_named(tmp_path: Path) -> None:
    run(squares(1), tmp_path, workers=1)
    path = tmp_path / "square-0.json"
    path.write_bytes(path.read_bytes()[:10])
    with pytest.raises(StoreError, match=r"square-0\.json: damaged"):
        run(squares(1), tmp_path, workers=1)


def test_two_tasks_with_one_key_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="tasks: 2 have the key 'square-0'; give each its own"):
        run([*squares(1), *squares(1)], tmp_path)


def test_an_error_in_a_task_carries_its_traceback(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="task bad: ValueError: x: 7 is not to my liking") as caught:
        run([Task("bad", "engine_tasks:fail", {"x": 7})], tmp_path, workers=1)
    assert "engine_tasks.py" in caught.value.__notes__[0]
    assert not list(tmp_path.iterdir())


def test_workers_have_one_torch_thread(tmp_path: Path) -> None:
    result = run([Task("threads", "engine_tasks:threads")], tmp_path, workers=1)["threads"]
    assert result == {"torch": 1, "OMP": "1", "kernels": 1}
    assert os.environ.get("OMP_NUM_THREADS") is None


def test_workers_keep_their_memory_unless_the_user_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1000000")
    names = {"trim": "MALLOC_TRIM_THRESHOLD_", "mmap": "MALLOC_MMAP_THRESHOLD_"}
    found = run([Task(key, "os:getenv", {"key": name}) for key, name in names.items()], tmp_path, workers=1)
    assert found == {"trim": "1000000", "mmap": str(32 << 20)}


def test_a_killed_worker_is_replaced_once(tmp_path: Path) -> None:
    task = Task("once", "engine_tasks:die_once", {"home": str(tmp_path)})
    assert run([task], tmp_path / "out", workers=1) == {"once": {"survived": True}}
    with pytest.raises(TaskError, match="task always: its worker was killed 2 times"):
        run([Task("always", "engine_tasks:die")], tmp_path / "out", workers=1)


@pytest.mark.parametrize(
    ("key", "function", "message"),
    [
        ("../a", "m:f", "key: expected up to 200 letters"),
        ("", "m:f", "key: "),
        ("a", "m.f", "function: expected 'pack"),
    ],
)
def test_a_malformed_task_is_refused(key: str, function: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Task(key, function)


def test_no_worker_is_no_number_of_workers(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="workers: expected at least 1, got 0"):
        run(squares(1), tmp_path, workers=0)
    assert run([], tmp_path) == {}


def test_a_result_is_the_same_whether_it_was_computed_or_read(tmp_path: Path) -> None:
    task = Task("tuples", "engine_tasks:tuples")
    assert run([task], tmp_path) == run([task], tmp_path) == {"tuples": {"1": [0.1, float("inf")]}}


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("engine_tasks:objects", "TypeError: Object of type object is not JSON serializable"),
        ("engine_tasks:leave", "SystemExit: 3"),
        ("engine_tasks:missing", "AttributeError: .*missing"),
        ("no_such_module:f", "ModuleNotFoundError: .*no_such_module"),
    ],
)
def test_what_cannot_be_done_is_named(tmp_path: Path, function: str, message: str) -> None:
    with pytest.raises(TaskError, match=f"task t: {message}"):
        run([Task("t", function)], tmp_path, workers=1)


def test_a_failure_keeps_what_is_finished_and_stops_the_rest(tmp_path: Path) -> None:
    slow = squares(9, "slow_square", home=str(tmp_path))
    with pytest.raises(TaskError, match="task bad"):
        run([slow[0], Task("bad", "engine_tasks:fail", {"x": 7}), *slow[1:]], tmp_path / "out", workers=1)
    assert [path.name for path in (tmp_path / "out").glob("*.json")] == ["square-0.json"]


def test_what_a_task_prints_is_not_taken_for_its_result(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run([Task("talk", "engine_tasks:talk")], tmp_path, workers=1) == {"talk": {"read": ""}}
    out, err = capfd.readouterr()
    assert (out, err) == ("", "a task may print\nand so may its children\n")


def start(folder: Path, work: str, options: str = "") -> "subprocess.Popen[bytes]":
    """A program that runs tasks, without a guard for its main module: workers must not import it."""
    program = folder / "program.py"
    # Where the tests themselves run in the background, Ctrl-C is ignored, and so it would be here.
    heed = "signal.signal(signal.SIGINT, signal.default_int_handler)"
    call = f"run({work}, {str(folder / 'out')!r}, workers=2, {options})"
    program.write_text(f"from test_engine import *\n{heed}\n{call}\n")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    return subprocess.Popen([sys.executable, str(program)], env=environment, stderr=subprocess.PIPE)


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "waited 30 s in vain"
        time.sleep(0.02)


def pids(folder: Path) -> list[int]:
    return [int(path.read_text() or 0) for path in folder.glob("worker-*.pid")]


@pytest.mark.parametrize("how", ["SIGKILL", "SIGINT", "SIGTERM"])
def test_a_run_that_is_killed_loses_and_doubles_nothing(tmp_path: Path, how: str) -> None:
    out = tmp_path / "out"
    with start(tmp_path, f"squares(8, 'slow_square', home={str(tmp_path)!r})") as process:
        wait_for(lambda: len(list(out.glob("square-*.json"))) >= 3)
        process.send_signal(signal.Signals[how])
        assert process.wait() != 0
    finished = {path.name: path.read_bytes() for path in out.glob("square-*.json")}
    assert 3 <= len(finished) < 8
    results = run(squares(8, "slow_square", home=str(tmp_path)), out, workers=2)
    assert results == {f"square-{x}": {"square": x * x} for x in range(8)}
    assert all((out / name).read_bytes() == content for name, content in finished.items())
    ran = (tmp_path / "runs.log").read_text().split()
    assert all(ran.count(name.removeprefix("square-").removesuffix(".json")) == 1 for name in finished)


def test_models_of_a_run_that_is_killed_again_and_again_are_stored_once(tmp_path: Path) -> None:
    """Also one that was stored before its task could say so."""
    work = "[Task(f'model-{t}', 'engine_tasks:append', {'t': t}) for t in range(8)]"
    scores = []
    for name, killed in (("killed", 3), ("undisturbed", 0)):
        folder = tmp_path / name
        store = Ensemble.create(folder / "store", 50, 5)
        entries = folder / "store" / "entries"
        for k in range(killed):
            with start(folder, f"{work}", f"shared={{'store': {str(store.path)!r}}}") as process:
                wait_for(lambda k=k, entries=entries: len(list(entries.iterdir())) > k)
                process.kill()
        with start(folder, f"{work}", f"shared={{'store': {str(store.path)!r}}}") as process:
            assert process.wait() == 0
        assert len(store) == 8
        assert store.verify().ok
        scores.append((store.memorization().score, store.reliability(), store.member))
    for first, second in zip(*scores, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX process ids")
@pytest.mark.parametrize("how", ["SIGKILL", "SIGINT"])
def test_workers_end_with_their_parent_in_mid_task(tmp_path: Path, how: str) -> None:
    tasks = f"[Task(f't{{x}}', 'engine_tasks:identify', {{'x': x, 'home': {str(tmp_path)!r}}}) for x in range(3)]"
    with start(tmp_path, tasks) as process:
        wait_for(lambda: len(pids(tmp_path)) == 2 and all(pids(tmp_path)))
        process.send_signal(signal.Signals[how])
        _, errors = process.communicate()
    assert errors.count(b"Traceback") == (how == "SIGINT")  # the parent's own; workers end in silence
    wait_for(lambda: not any(_runs(pid) for pid in pids(tmp_path)))
    assert len(pids(tmp_path)) == 2
    assert not list((tmp_path / "out").iterdir())


def _runs(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    if stat.exists():
        return stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return not Path("/proc/self").exists()
