"""Files are whole or not there, and a record tells whether its case is finished."""

import errno
import os
import subprocess
import sys

import pytest

from mrilib import store
from mrilib.errors import CaseError, MachineError


def test_a_failed_write_leaves_nothing_and_keeps_the_old(tmp_path):
    path = tmp_path / "a.txt"
    store.write_text(path, "old")
    with pytest.raises(ZeroDivisionError), store.whole(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a.txt"]


def test_the_temporary_name_keeps_the_suffix_and_is_hidden(tmp_path):
    with store.whole(tmp_path / "new" / "a.nii.gz") as temporary:
        assert temporary.name == f".{os.getpid()}.a.nii.gz" and temporary.parent == tmp_path / "new"
        assert temporary in store.UNFINISHED
        temporary.touch()
    assert (tmp_path / "new/a.nii.gz").exists() and not store.UNFINISHED


def test_what_a_dead_process_left_is_removed_and_the_rest_is_not(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    names = {"dead": f".{dead.pid}.a*[1].tif", "other": f".{dead.pid}.b.tif", "alive": f".{os.getpid()}.a.tif",
             "foreign": ".hidden.a*[1].tif"}  # fmt: skip
    for name in names.values():
        (tmp_path / name).touch()
    store.write_text(tmp_path / "a*[1].tif", "done")
    left = set(os.listdir(tmp_path))
    assert left == {"a*[1].tif", names["other"], names["alive"], names["foreign"]}


def test_a_folder_is_there_whole_and_one_that_came_first_is_kept(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / f".{dead.pid}.a" / "half").mkdir(parents=True)
    for text in ("ours", "later"):
        with store.whole(tmp_path / "a") as temporary:
            temporary.mkdir()
            (temporary / "text").write_text(text)
            assert (text == "ours") != (tmp_path / "a").exists()
    assert (tmp_path / "a/text").read_text() == "ours" and os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize(("code", "says"), [(errno.ENOSPC, "no space left"), (errno.EDQUOT, "quota"),
                                            (errno.EROFS, "read-only"), (errno.EACCES, "cannot write")])
def test_a_disk_that_cannot_is_a_machine_error(tmp_path, code, says):
    with pytest.raises(MachineError, match=says), store.whole(tmp_path / "a"):
        raise OSError(code, os.strerror(code)) if code != errno.EACCES else PermissionError(code, os.strerror(code))


def test_a_folder_in_the_way_is_a_machine_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match="choose another folder"):
        store.write_text(tmp_path / "file" / "a.json", "{}")


def test_json_holds_no_nan_and_reads_back(tmp_path):
    store.write_json(tmp_path / "a.json", {"ü": [1, 2.5, None]})
    assert store.read_json(tmp_path / "a.json") == {"ü": [1, 2.5, None]}
    with pytest.raises(ValueError, match="JSON"):
        store.write_json(tmp_path / "b.json", {"x": float("nan")})
    assert os.listdir(tmp_path) == ["a.json"]
    for text in ("", '{"a": ', "[1]", "\xff"):
        (tmp_path / "c.json").write_text(text, "latin-1")
        with pytest.raises(CaseError):
            store.read_json(tmp_path / "c.json")


def test_a_stamp_changes_with_the_file(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"one")
    first = store.stamp(path)
    assert first["size"] == 3 and first["path"] == str(path)
    path.write_bytes(b"other")
    assert store.stamp(path) != first
    with pytest.raises(CaseError, match="cannot be read"):
        store.stamp(tmp_path / "none")
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(CaseError, match="dangling"):
        store.stamp(tmp_path / "link")


def test_content_counts_not_the_name(tmp_path):
    for name, data in (("a", b"1"), ("b", b"2"), ("c", b"1")):
        (tmp_path / name).write_bytes(data)
    a, b, c = (tmp_path / n for n in "abc")
    assert store.content_hash([a]) == store.content_hash([c]) != store.content_hash([b])
    assert store.content_hash([a, b]) != store.content_hash([b, a])


def test_a_case_is_complete_only_in_full(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"12345")
    source = [{"path": "x", "size": 1, "mtime_ns": 2}]
    record = {"recipe": "r", "source": source, "outputs": {"a.tif": 5}}
    assert store.is_complete(record, tmp_path, source, "r")
    assert not store.is_complete(record, tmp_path, source, "other")
    assert not store.is_complete(record, tmp_path, [], "r")
    assert not store.is_complete({**record, "outputs": {"a.tif": 6}}, tmp_path, source, "r")
    assert not store.is_complete({**record, "outputs": {"b.tif": 5}}, tmp_path, source, "r")
    assert not store.is_complete({**record, "outputs": {}}, tmp_path, source, "r")
