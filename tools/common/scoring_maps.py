"""mri-score of label maps: from files to the figures of each case and part, and what they say together."""

from __future__ import annotations

from dataclasses import replace

from mri_tools.common import map_tables, map_truth
from mri_tools.common.jobs import cores, ordered
from mri_tools.common.reference import label_maps, read_reference, seen_by, units_of
from mri_tools.common.run import DONE, SOME_FAILED, complain, progress, say, to_terminal, write
from mrilib.errors import CaseError, MriError, UsageError
from mrilib.metrics import pairing
from mrilib.records import write_text


def score(submissions: list, *, reference, layout, scheme, predicted_scheme, each_label, empty, output, per_case, split,
          fold, part, models, level, resamples, seed, allow_missing, fail_under, as_json, jobs, positive, **_) -> int:
    """Score label maps as the options of mri-score say; returns the exit code."""
    if positive is not None:
        raise UsageError("--positive has no effect on label maps")
    limits = dict(map_tables.limit(text) for text in fail_under)
    truth = read_reference(reference, layout, split, fold, part)
    itself = label_maps(truth)
    jobs = min(jobs or cores(), max(len(truth.chosen) // 4, 1))  # a worker takes as long to start as to score four
    rules = map_truth.rules(truth, itself, scheme, predicted_scheme, each_label, empty, jobs)
    submission = submissions[0]
    for error in submission.problems:
        complain(error, error)
    pairs, left = pairing.pair_known(submission.files, truth.cases)
    if left:
        complain(f"{len(left)} predictions are of no case in the reference: {pairing.some(left)}")
    file_of = {ref: submission.files[name] for name, ref in pairs.items()}
    if others := len(set(file_of) - set(truth.chosen)):
        say(f"{others} predictions are of cases that are not to be scored")
    results, failed = _measured(truth, itself, file_of, rules, jobs)
    known = seen_by(models, truth, truth.chosen)
    results = {name: replace(one, seen=known.get(name) or one.seen) for name, one in results.items()}
    missing = [name for name in truth.chosen if name not in file_of or name in failed]
    if missing:
        what = "left out" if allow_missing else "counted as wrong, Dice 0"
        complain(f"{len(missing)} cases have no prediction that can be scored and are {what}: {pairing.some(missing)}")
    if allow_missing:
        results = {name: one for name, one in results.items() if name not in set(missing)}
    if not results:
        raise UsageError("no case is left to score")
    about = map_tables.About(rules, allow_missing, len(missing), level, resamples, seed)
    groups = {"all": list(results)}
    unseen = [name for name, one in results.items() if not one.seen]
    if count := len(results) - len(unseen):
        trained = sum(one.seen == "train" for one in results.values())
        say(f"the model saw {count} of the {len(results)} cases ({trained} in training, {count - trained} in "
            "validation): " + ("figures without them follow" if unseen else "these figures say little"))
        if unseen:
            groups["unseen"] = unseen
    table = []
    for cases, names in groups.items():
        units, resampled = units_of(names, truth)
        table += map_tables.summary_rows({name: results[name] for name in names}, units, resampled, cases, about)
    if per_case:
        write_text(per_case, map_tables.case_table(results))
    text = map_tables.as_json(table, results, missing, about) if as_json else None
    if output:
        write_text(output, text or map_tables.as_csv(map_tables.case_rows(results) + table))
    elif text is None and to_terminal():
        map_tables.show(table, about, write)
    else:
        write(text or map_tables.as_csv(map_tables.case_rows(results) + table))
    under = map_tables.below(table, limits)
    for line in under:
        complain(line)
    wrong = under or submission.problems or left or (missing and not allow_missing)
    return SOME_FAILED if wrong else DONE


def _measured(truth, itself: bool, file_of: dict, rules, jobs: int):
    """What was found of each case, in the order of the reference, and the names of those whose prediction is bad.

    Raises UsageError when it is the reference that is wrong.
    """
    todo = ((name, (truth.cases[name], itself, [file_of.get(name)], rules)) for name in truth.chosen)
    results, failed = {}, set()
    with progress("score", len(truth.chosen)) as bar:
        for name, found in ordered("mrilib.metrics.pairs:score", todo, jobs):
            if isinstance(found, CaseError):
                raise UsageError(found.what, where=found.where, remedy=found.remedy or "mend the reference first")
            if isinstance(found, BaseException):
                raise found if isinstance(found, MriError | MemoryError) else RuntimeError(f"{name}: {found!r}")
            results[name] = found[0]
            if found[0].error is not None:
                complain(found[0].error, found[0].error)
                failed.add(name)
            bar.step()
    return results, failed
