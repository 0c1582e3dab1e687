"""The engine's queue: done once, whatever is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from unmemorize.engine import Task, TaskError, run
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
    with pytest.raises(ValueError, match="2 tasks have 1 keys"):
        run([*squares(1), *squares(1)], tmp_path)


def test_an_error_in_a_task_carries_its_traceback(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="task bad: ValueError: x: 7 is not to my liking") as caught:
        run([Task("bad", "engine_tasks:fail", {"x": 7})], tmp_path, workers=1)
    assert "engine_tasks.py" in caught.value.__notes__[0]
    assert not list(tmp_path.iterdir())


def test_workers_have_one_torch_thread(tmp_path: Path) -> None:
    result = run([Task("threads", "engine_tasks:threads")], tmp_path, workers=1)["threads"]
    assert result["OMP"] == "1"
    assert result["torch"] == 1
    assert os.environ.get("OMP_NUM_THREADS") is None


def test_a_killed_worker_is_replaced_once(tmp_path: Path) -> None:
    task = Task("once", "engine_tasks:die_once", {"home": str(tmp_path)})
    assert run([task], tmp_path / "out", workers=1) == {"once": {"survived": True}}
    with pytest.raises(TaskError, match="task always: its worker was killed 2 times"):
        run([Task("always", "engine_tasks:die")], tmp_path / "out", workers=1)


def test_kill_9_of_the_parent_loses_and_doubles_nothing(tmp_path: Path) -> None:
    script = (
        "import sys; from test_engine import squares; from unmemorize.engine import run\n"
        "if __name__ == '__main__':\n"
        f"    run(squares(8, 'slow_square', home={str(tmp_path)!r}), {str(tmp_path / 'out')!r}, workers=2)\n"
    )
    program = tmp_path / "program.py"
    program.write_text(script)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    process = subprocess.Popen([sys.executable, str(program)], env=environment)
    while len(list((tmp_path / "out").glob("square-*.json"))) < 3:
        time.sleep(0.02)
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("square-*.json")}
    results = run(squares(8, "slow_square", home=str(tmp_path)), tmp_path / "out", workers=2)
    assert results == {f"square-{x}": {"square": x * x} for x in range(8)}
    assert all((tmp_path / "out" / name).read_bytes() == content for name, content in finished.items())
    ran = (tmp_path / "runs.log").read_text().split()
    assert all(ran.count(str(json.loads(name.split("-")[1].split(".")[0]))) == 1 for name in finished)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX process ids")
def test_workers_die_with_their_parent(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "from unmemorize.engine import Task, run\n"
        "if __name__ == '__main__':\n"
        f"    task = Task('t', 'engine_tasks:identify', {{'home': {str(tmp_path)!r}}})\n"
        f"    run([task], {str(tmp_path / 'out')!r})\n"
    )
    process = subprocess.Popen(
        [sys.executable, str(program)], env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    )
    mark = tmp_path / "worker.pid"
    while not (mark.exists() and mark.read_text()):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 20
    while _runs(int(mark.read_text())):
        assert time.monotonic() < deadline, "the worker outlived its parent"
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    if stat.exists():
        return stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return not Path("/proc/self").exists()
