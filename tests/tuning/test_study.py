"""The folder of a study: nothing is lost, nothing is made twice, whoever dies."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mrilib.errors import UsageError
from mrilib.tuning.study import COMPLETE, Study, Trial

ABOUT = {"task": "classify", "seed": 0}
SPLIT = "case,subject,group,fold,part\na,,a,0,train\n"
WORKER = """
import sys, time
from mrilib.tuning.study import Study, Trial
study = Study(sys.argv[1])
study.open({"task": "classify", "seed": 0}, "case,subject,group,fold,part\\na,,a,0,train\\n", False)
while True:
    claim = study.claim(int(sys.argv[2]), lambda number, finished, running: {"epochs": str(number)})
    if claim is None:
        if not study.running():
            break
        time.sleep(0.02)
        continue
    number, parameters = claim
    with study.alive(f"{number:04}"):
        with open(f"{sys.argv[1]}.log", "a") as file:
            file.write(f"{number}\\n")
        time.sleep(0.03)
        study.put(Trial(number, "complete", parameters, 0, values={"a": number / 100}, folds={"a": 0}))
"""


@pytest.fixture
def study(tmp_path):
    made = Study(tmp_path / "s.study")
    made.open(ABOUT, SPLIT, False)
    return made


def put(study, number, **more):
    study.put(Trial(number, COMPLETE, {"epochs": "1"}, 0, values={"a": 0.1 + 0.2}, folds={"a": 0}, **more))


def test_a_trial_comes_back_as_it_went(study):
    put(study, 0, seconds=1.5, memory=7, reason="none", host="here", name="ä,b")
    assert Study(study.folder).trials() == [Trial(0, COMPLETE, {"epochs": "1"}, 0, "ä,b", 1.5, 7, "none", "here",
                                                  {"a": 0.1 + 0.2}, {"a": 0})]


def test_numbers_are_given_once_and_to_the_end(study):
    def choose(number, finished, running):
        return {"seen": f"{len(finished)} {len(running)}"}

    assert study.claim(3, choose) == (0, {"seen": "0 0"})
    assert study.claim(3, choose) == (1, {"seen": "0 1"})
    put(study, 0)
    assert study.claim(3, choose) == (2, {"seen": "1 1"})
    assert study.claim(3, choose) is None
    assert study.claim(None, lambda *_: None) is None


def test_another_study_is_refused_and_replaced_by_force(study):
    put(study, 0)
    with pytest.raises(UsageError, match="seed was 0, now 1"):
        study.open({**ABOUT, "seed": 1}, SPLIT, False)
    study.open(ABOUT, SPLIT, False)
    assert len(Study(study.folder).trials()) == 1
    study.open({**ABOUT, "seed": 1}, SPLIT, True)
    assert Study(study.folder).trials() == []


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="no study"):
        Study(tmp_path).open(ABOUT, SPLIT, False)
    with pytest.raises(UsageError, match="is no study"):
        Study(tmp_path).about  # noqa: B018


def test_workers_that_are_killed_lose_their_trial_only(study):
    """Twenty times kill -9 of one of two workers: every trial is there once, with the parameters of its number."""
    count, began = 60, time.monotonic()

    def start():
        return subprocess.Popen([sys.executable, "-c", WORKER, study.folder, str(count)])

    steady, victim = start(), start()
    for killed in range(20):
        time.sleep(0.1 + 0.013 * (killed % 7))
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        victim = start()
    assert victim.wait(timeout=60) == 0 and steady.wait(timeout=60) == 0
    trials = Study(study.folder).trials()
    assert [(t.number, t.parameters, t.values) for t in trials] == [
        (number, {"epochs": str(number)}, {"a": number / 100}) for number in range(count)]
    runs = Path(f"{study.folder}.log").read_text(encoding="utf-8").split()
    assert count <= len(runs) <= count + 20, "only the trials that a killed worker held are made again"
    assert not list((study.folder / "running").iterdir())
    assert time.monotonic() - began < 60


def test_the_claim_of_a_dead_process_is_free_with_its_parameters(study):
    held = ("import sys, os\nfrom mrilib.tuning.study import Study\n"
            "Study(sys.argv[1]).claim(9, lambda *_: {'epochs': '7'})\nos.kill(os.getpid(), 9)")
    subprocess.run([sys.executable, "-c", held, study.folder])
    assert study.running() == {}
    assert study.claim(9, lambda *_: {"epochs": "8"}) == (0, {"epochs": "7"})


def test_one_process_trains_the_best(study):
    assert study.claim_best()
    assert not Study(study.folder).claim_best()
    with study.alive("best"):
        pass
    assert Study(study.folder).claim_best()
