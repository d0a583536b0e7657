"""Where the bytes of an output path go: into a file that is replaced whole, or straight into a device or a pipe.

Renaming a finished file onto /dev/null would replace the device. Only regular files are therefore replaced.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from mrilib.errors import MachineError, UsageError

MOST_LINKS = 40  # as the kernel counts them
BLOCK = 1 << 20
MOVED: dict[int, int] = {}  # descriptor -> the duplicate that took its place, set by a command line that redirects 1
FULL = {errno.ENOSPC: "no space left", errno.EDQUOT: "disk quota reached", errno.EROFS: "read-only file system",
        errno.EIO: "the disk failed", errno.EFBIG: "file too large for this system"}
REFUSED = (PermissionError, NotADirectoryError, FileExistsError, IsADirectoryError, ConnectionRefusedError)


class Target(NamedTuple):
    """What an output path stands for after all links.

    file: the path at the end of the links. kind: "file" is replaced by a rename, the others are written straight
    into: "descriptor" (one of this process), "stream" (a device, a FIFO, a file in a folder that cannot be written
    to), "socket". status: of the existing file, None without one.
    """

    path: Path
    file: Path
    kind: str
    descriptor: int = -1
    status: os.stat_result | None = None

    @property
    def direct(self) -> bool:
        return self.kind != "file"


def find(path: Path | str) -> Target:
    """Follow the links of an output path. Raises UsageError for one that must not be written to."""
    path, place = Path(path), os.path.abspath(path) if not os.path.dirname(path) else os.fspath(path)
    for _ in range(MOST_LINKS):
        folder = os.path.realpath(os.path.dirname(place) or ".")
        file = Path(folder, os.path.basename(place))
        if (descriptor := _descriptor_named(folder, file.name)) is not None:
            return Target(path, file, "descriptor", descriptor)
        if not file.is_symlink() or folder.startswith("/proc/"):  # links there lead to open files, not to names
            break
        place = os.path.join(folder, os.readlink(file))
    else:
        raise UsageError("is a link that leads back to itself", where=path, remedy="choose another name")
    try:
        status = os.stat(file)
    except OSError:  # nothing there, or not to be reached: writing says why
        status = None
    return Target(path, file, _kind(path, file, status), status=status)


def _descriptor_named(folder: str, name: str) -> int | None:
    """The number of the descriptor that a name in one of the system's folders of descriptors stands for."""
    if not name.isdigit() or not folder.startswith(("/proc/", "/dev/fd")):
        return None
    own = {"/dev/fd", os.path.realpath("/proc/self/fd"), os.path.realpath("/proc/thread-self/fd")}
    return int(name) if folder in own else None


def _kind(path: Path, file: Path, status: os.stat_result | None) -> str:
    if status is None:
        if file.parent == Path("/dev"):
            raise UsageError("there is no such device", where=path, remedy="check the name")
        if path.is_symlink() and not file.parent.is_dir():
            raise UsageError(f"is a link into a folder that is not there: {file}", where=path,
                             remedy="make the folder, or remove the link")
        return "file"
    if stat.S_ISDIR(status.st_mode):
        return "file"  # a finished folder may take its place
    if stat.S_ISBLK(status.st_mode):
        raise UsageError("is a disk (a block device)", where=path, remedy="name a file on it")
    if stat.S_ISSOCK(status.st_mode):
        return "socket"
    if not stat.S_ISREG(status.st_mode) or str(file).startswith("/proc/"):
        return "stream"
    return "file" if os.access(file.parent, os.W_OK) else "stream"


def check_file(path: Path) -> None:
    """Raises UsageError for a path that no file can be written to, so that this is known before the work."""
    target = find(path)
    if target.status is not None and stat.S_ISDIR(target.status.st_mode):
        raise UsageError("is a folder", where=path, remedy="name a file")


def check_folder(path: Path) -> None:
    """Raises UsageError for a path that is there and no folder."""
    if os.path.exists(path) and not os.path.isdir(path):
        raise UsageError("is not a folder", where=path, remedy="choose another name")


def check_apart(folder: Path, inputs: Iterable[Path]) -> None:
    """Raise UsageError for an output that is, or lies in, a folder given as input: it would be read next time."""
    for path in map(Path, inputs):
        if path.is_dir() and Path(folder).resolve().is_relative_to(path.resolve()):
            raise UsageError("lies in the input", where=folder, remedy="choose another folder")


def check_beside(folder: Path, output: Path) -> None:
    """Raise UsageError for a second output folder that lies in the first one."""
    if Path(folder).resolve().is_relative_to(Path(output).resolve()):
        raise UsageError("lies in the output, where it would pass for a case", where=folder,
                         remedy="choose another folder")


def is_direct(path: Path) -> bool:
    """Whether a path is written straight into, so that nothing can be read back from it or laid beside it."""
    return find(path).direct


def is_descriptor(path: Path, descriptor: int) -> bool:
    """Whether a path, such as /dev/stdout, stands for this descriptor, or for one that it has taken the place of."""
    target = find(path)
    return target.kind == "descriptor" and MOVED.get(target.descriptor, target.descriptor) == descriptor


def send(descriptor: int, data: bytes | memoryview) -> None:
    """Write all data, and wait for a slow reader. Raises BrokenPipeError when the reader is gone."""
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            import select

            select.select([], [descriptor], [])


@contextlib.contextmanager
def opened(target: Target) -> Iterator[Callable[[bytes], None]]:
    """Open what is written straight into; gives a function that takes bytes and is done when they are gone."""
    with machine_errors(target.path), contextlib.ExitStack() as stack:
        if target.kind == "socket":
            yield stack.enter_context(_connected(target.file)).sendall
            return
        descriptor = _duplicate(target) if target.kind == "descriptor" else _open(target)
        stack.callback(os.close, descriptor)
        yield lambda data: send(descriptor, data)


def _duplicate(target: Target) -> int:
    """A duplicate of a descriptor that this process was started with, and of no other, such as that of a library."""
    number = MOVED.get(target.descriptor, target.descriptor)
    if number == target.descriptor and not os.get_inheritable(number):
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return os.dup(number)


def _open(target: Target) -> int:
    flags = os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC
    if stat.S_ISREG(target.status.st_mode):
        return os.open(target.file, flags | os.O_TRUNC)
    if stat.S_ISFIFO(target.status.st_mode):
        try:
            descriptor = os.open(target.file, flags | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            import logging

            logging.getLogger("mrilib").info("waiting for a reader of %s", target.path)
        else:
            os.set_blocking(descriptor, True)
            return descriptor
    return os.open(target.file, flags)


def _connected(path: Path):
    import socket

    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(os.fspath(path))
    except OSError:
        connection.close()
        raise
    return connection


def copy(source: Path, target: Target) -> None:
    """Write the bytes of a finished file straight into a target."""
    with opened(target) as put, open(source, "rb") as file:
        while block := file.read(BLOCK):
            put(block)


def put_in_place(temporary: Path, target: Target) -> None:
    """Rename a finished file or folder onto a target; a file that is replaced hands on its mode and owner.

    A folder that has come to be there meanwhile is kept. A file that cannot be replaced, since it is mounted by itself,
    is written into.
    """
    if target.status is not None and temporary.is_file():
        keep_mode(temporary, target.status)
    try:
        os.replace(temporary, target.file)
    except OSError as error:
        if temporary.is_dir() and target.file.is_dir():
            return
        if error.errno not in (errno.EBUSY, errno.EPERM) or not target.file.is_file():
            raise
        copy(temporary, Target(target.path, target.file, "stream", status=os.stat(target.file)))


def keep_mode(file: Path, status: os.stat_result) -> None:
    """Give a file the mode of another and, where this user may, its owner."""
    now = os.stat(file)
    if (now.st_uid, now.st_gid) != (status.st_uid, status.st_gid):
        with contextlib.suppress(PermissionError):
            os.chown(file, status.st_uid, status.st_gid)
    os.chmod(file, stat.S_IMODE(status.st_mode))


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; at the end of a dangling link too, if what is to hold it is there."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(parents=True, exist_ok=True)
    if folder.is_dir():
        return
    for above in (folder, *folder.parents):
        if above.is_symlink() and not above.exists():
            end = Path(os.path.realpath(above))
            if not end.parent.is_dir():
                raise UsageError(f"is a link into a folder that is not there: {end}", where=above,
                                 remedy="make the folder, or remove the link")
            end.mkdir(exist_ok=True)
            folder.mkdir(parents=True, exist_ok=True)
            return
    raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), os.fspath(folder))


@contextlib.contextmanager
def machine_errors(path: Path) -> Iterator[None]:
    """What keeps a path from being written becomes a MachineError that says so."""
    try:
        yield
    except BrokenPipeError:
        raise
    except ConnectionResetError as error:
        raise BrokenPipeError(error.errno, error.strerror) from error
    except OSError as error:
        import shutil

        reason = FULL.get(error.errno)
        if error.errno is None and shutil.disk_usage(_there(path)).free < 1 << 20:
            reason = FULL[errno.ENOSPC]  # numpy's tofile says how much it wrote, not why it stopped
        if reason:
            raise MachineError(f"cannot write: {reason}", where=path,
                               remedy="free some space or choose another folder with -o") from error
        if isinstance(error, REFUSED):
            raise MachineError(f"cannot write: {error.strerror or error}", where=path,
                               remedy="choose another folder with -o") from error
        if error.errno in (errno.EBADF, errno.ENXIO, errno.EPROTOTYPE, errno.ELOOP):
            raise MachineError(f"cannot write: {error.strerror}", where=path,
                               remedy="choose another name with -o") from error
        raise


def _there(path: Path) -> Path:
    """The nearest folder above a path that exists."""
    return next(above for above in Path(path).absolute().parents if above.is_dir())
