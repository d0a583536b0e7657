"""An output path that is no regular file is written straight into, and stays what it was."""

import errno
import os
import socket
import stat
import subprocess
import sys
import threading

import pytest

from mrilib import store, targets
from mrilib.errors import MachineError, UsageError

CHARACTER = {"null": (1, 3), "zero": (1, 5), "full": (1, 7)}


@pytest.fixture
def device(tmp_path):
    """A function that makes a device of its own beside nothing else; skipped where this user may not."""
    def make(name):
        folder = tmp_path / "devices"
        folder.mkdir(exist_ok=True)
        try:
            os.mknod(folder / name, stat.S_IFCHR | 0o666, os.makedev(*CHARACTER[name]))
            with open(folder / name, "rb"):
                pass
        except OSError as error:
            pytest.skip(f"cannot make a device here: {error}")
        return folder / name

    return make


def unchanged(path):
    assert stat.S_ISCHR(path.lstat().st_mode) and os.listdir(path.parent) == [path.name]


def test_a_device_stays_a_device(device):
    null = device("null")
    store.write_text(null, "text")
    store.write_json(null, {"a": 1})
    with store.whole(null, suffix=".png", sync=True) as temporary:
        assert temporary.parent != null.parent and temporary.suffix == ".png"
        temporary.write_bytes(b"picture")
        unchanged(null)
    unchanged(null)
    assert not temporary.parent.exists() and not store.UNFINISHED


def test_a_full_device_is_a_machine_error_and_stays(device):
    full = device("full")
    with pytest.raises(MachineError, match="no space left"):
        store.write_text(full, "text")
    with pytest.raises(MachineError, match="no space left"), store.whole(full) as temporary:
        temporary.write_bytes(b"text")
    unchanged(full)


def test_a_fifo_gets_the_bytes_once_its_reader_is_there(tmp_path, caplog):
    os.mkfifo(tmp_path / "fifo")
    got = []

    def read():
        with open(tmp_path / "fifo", "rb") as file:
            got.append(file.read())

    reader = threading.Timer(0.5, read)
    reader.start()
    with caplog.at_level("INFO", "mrilib"):
        store.write_text(tmp_path / "fifo", "ü" * 100_000)  # more than the pipe holds
    reader.join()
    assert got == ["ü".encode() * 100_000] and "waiting for a reader" in caplog.text
    assert stat.S_ISFIFO((tmp_path / "fifo").lstat().st_mode) and os.listdir(tmp_path) == ["fifo"]


def test_a_reader_that_goes_is_a_broken_pipe(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(BrokenPipeError), store.text_stream(tmp_path / "fifo") as put:
        put("first")
        assert os.read(reader, 5) == b"first"  # each piece as it comes
        os.close(reader)
        put("second")


def test_a_socket_gets_the_bytes(tmp_path):
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        with pytest.raises(MachineError, match="refused"):
            store.write_text(path, "nobody listens")
        server.listen()
        store.write_text(path, "text")
        with server.accept()[0] as taken:
            assert taken.recv(100) == b"text" and taken.recv(100) == b""
    assert stat.S_ISSOCK(path.lstat().st_mode)


def test_descriptors_are_written_to_where_they_stand(tmp_path):
    """A shell's `(echo a; tool -o /dev/stdout; echo b) > file` gives three lines, of one file."""
    code = ("import os; from mrilib import store; os.write(1, b'a\\n'); store.write_text('link', 'x\\n');"
            "store.write_text('/dev/fd/1', 'y\\n'); os.write(1, b'b\\n')")
    (tmp_path / "link").symlink_to("/dev/stdout")
    with open(tmp_path / "file", "wb") as file:
        inode = os.fstat(file.fileno()).st_ino
        subprocess.run([sys.executable, "-c", code], check=True, stdout=file, cwd=tmp_path)
    assert (tmp_path / "file").read_text() == "a\nx\ny\nb\n" and (tmp_path / "file").stat().st_ino == inode
    piped = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, cwd=tmp_path)
    assert piped.stdout == b"a\nx\ny\nb\n" and sorted(os.listdir(tmp_path)) == ["file", "link"]


def test_a_descriptor_of_our_own_is_not_written_to(tmp_path):
    with open(tmp_path / "data", "w+") as file:
        with pytest.raises(MachineError, match="Bad file descriptor"):
            store.write_text(f"/dev/fd/{file.fileno()}", "text")
        with pytest.raises(MachineError, match="Bad file descriptor"):
            store.write_text("/dev/fd/987", "text")
    assert (tmp_path / "data").read_text() == ""


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path, there):
    (tmp_path / "disk").mkdir()
    (tmp_path / "first.h5").symlink_to("second")
    (tmp_path / "second").symlink_to("disk/target")
    if there:
        (tmp_path / "disk/target").write_text("old")
    with store.whole(tmp_path / "first.h5", sync=True) as temporary:
        assert temporary.parent == tmp_path / "disk" and temporary.suffix == ".h5"
        temporary.write_text("new")
    assert os.readlink(tmp_path / "first.h5") == "second" and os.readlink(tmp_path / "second") == "disk/target"
    assert (tmp_path / "first.h5").read_text() == "new" and os.listdir(tmp_path / "disk") == ["target"]


def test_a_link_through_a_linked_folder_with_dots(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "short").symlink_to("a/b")
    (tmp_path / "short/up.txt").symlink_to("../there.txt")
    store.write_text(tmp_path / "short/up.txt", "text")
    assert (tmp_path / "a/there.txt").read_text() == "text" and (tmp_path / "a/b/up.txt").is_symlink()


def test_a_link_that_leads_nowhere_or_round_is_wrong_use(tmp_path):
    (tmp_path / "lost").symlink_to("/nonexistent disk/results.csv")
    (tmp_path / "round").symlink_to("round")
    for name in ("lost", "round"):
        with pytest.raises(UsageError, match="is a link"):
            store.write_text(tmp_path / name, "text")
        assert (tmp_path / name).is_symlink()


def test_a_folder_that_is_a_link_is_followed(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to("disk/made")
    store.write_text(tmp_path / "out/deep/a.txt", "text")
    assert (tmp_path / "disk/made/deep/a.txt").read_text() == "text" and (tmp_path / "out").is_symlink()
    (tmp_path / "away").symlink_to("unmounted/out")
    with pytest.raises(UsageError, match="into a folder that is not there"):
        store.write_text(tmp_path / "away/a.txt", "text")
    assert not (tmp_path / "unmounted").exists()


@pytest.mark.parametrize("mode", [0o640, 0o600, 0o444, 0o755])
def test_a_replaced_file_keeps_mode_and_owner(tmp_path, mode):
    path = tmp_path / "a.csv"
    path.write_text("old")
    path.chmod(mode)
    if os.geteuid() == 0:
        os.chown(path, 12345, 54321)
    before = path.stat()
    with store.whole(path) as temporary:
        assert stat.S_IMODE(temporary.stat().st_mode) & 0o077 == mode & 0o077  # nobody else reads it meanwhile
        temporary.write_text("new")
    after = path.stat()
    assert path.read_text() == "new"
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)


def test_a_new_file_has_the_mode_of_the_umask(tmp_path):
    store.write_text(tmp_path / "a", "text")
    (tmp_path / "b").touch()
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_a_file_that_cannot_be_renamed_onto_is_written_into(tmp_path, monkeypatch):
    """A file mounted by itself, as containers do, is busy."""
    path = tmp_path / "a.csv"
    path.write_text("old and longer")
    inode = path.stat().st_ino

    def busy(*_):
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    monkeypatch.setattr(os, "replace", busy)
    store.write_text(path, "new")
    assert path.read_text() == "new" and path.stat().st_ino == inode and os.listdir(tmp_path) == ["a.csv"]


def test_what_is_no_place_for_a_file_is_told_before_the_work(tmp_path):
    with pytest.raises(UsageError, match="is a folder"):
        targets.check_file(tmp_path)
    with pytest.raises(UsageError, match="no such device"):
        targets.check_file("/dev/no-such-device")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="not a folder"):
        targets.check_folder(tmp_path / "file")
    targets.check_file(tmp_path / "file")
    targets.check_folder(tmp_path / "new")
    with pytest.raises(MachineError, match="directory"):
        store.write_text(tmp_path, "text")


def test_a_disk_is_refused(tmp_path):
    try:
        os.mknod(tmp_path / "disk", stat.S_IFBLK | 0o600, os.makedev(7, 250))
    except OSError as error:
        pytest.skip(f"cannot make a device here: {error}")
    with pytest.raises(UsageError, match="block device"):
        store.write_text(tmp_path / "disk", "text")
