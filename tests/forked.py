"""Tools that start at once, for tests of what tools do: each run is a fork of a process with the packages loaded.

Half the time of the tests went into starting Python, TensorFlow and other packages. `BIN` is a folder of executables
with the names of the tools. One of them passes its arguments, environment, folder and descriptors 0 to 2 to a server,
which forks; the child calls the same function as the installed executable, with the same signals and exit code. The
server starts with the first run and ends with the tests.

Tests of the start itself, of pipes and kills, of other environments and of equal bytes after a restart run the
executables in `INSTALLED`.
"""

import array
import fcntl
import json
import os
import signal
import socket
import sys

TRAINED = ("mri-train", "mri-predict")  # the tools that need TensorFlow
LENGTH = 8  # bytes of the length of a request


def folder_of_tools():
    """The path of a new folder with an executable for each tool; it is removed when this process ends."""
    import atexit
    import shutil
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="mri-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for tool in INSTALLED.glob("mri-*"):
        text = (f"#!{sys.executable} -SE\nimport sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\n"
                f"from forked import request\nrequest({tool.name!r}, {str(folder)!r}, {os.getpid()})\n")
        (folder / tool.name).write_text(text, encoding="utf-8")
        (folder / tool.name).chmod(0o755)
    return folder


def request(tool: str, folder: str, tests: int) -> None:
    """Run a tool by its server, and end as it ends. tests: the process whose end ends the server."""
    kind = "trained" if tool in TRAINED else "plain"
    body = json.dumps({"tool": tool, "arguments": sys.argv[1:], "folder": os.getcwd(), "environment": dict(os.environ)})
    with connection(folder, kind, tests) as server:
        head = len(body.encode()).to_bytes(LENGTH, "big")
        server.sendmsg([head], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", (0, 1, 2)))])
        server.sendall(body.encode())
        for descriptor in (0, 1):  # the reader and the writer at the other ends shall see the tool alone
            os.close(descriptor)
        answer = server.recv(16)
    if not answer:
        sys.exit(f"{tool}: the server of the tests ended")
    code = int(answer)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def connection(folder: str, kind: str, tests: int) -> socket.socket:
    """A connection to the server of a kind, which is started unless it runs."""
    place = f"{folder}/{kind}"
    with open(f"{place}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(place):
            import subprocess
            import time

            with open(f"{place}.log", "w") as log:
                subprocess.Popen([sys.executable, __file__, place, kind, str(tests)], stdin=subprocess.DEVNULL,
                                 stdout=log, stderr=log, start_new_session=True, cwd=folder)
            while not os.path.exists(place):
                time.sleep(0.02)
                os.kill(tests, 0)
    server = socket.socket(socket.AF_UNIX)
    server.connect(place)
    return server


def load(kind: str) -> None:
    """Import what the tools need. Runs before any thread, so that forks are safe."""
    import importlib
    import pkgutil

    import mri_tools
    import mrilib

    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as the tools set it before they load NumPy
    without = ("gpu", "models", "tasks", "training", "inference")
    if kind == "trained":
        from mrilib.gpu import device

        device.quiet_tensorflow()
        importlib.import_module("keras")
    for package in (mrilib, mri_tools):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if kind == "trained" or module.name.split(".")[1] not in without:
                importlib.import_module(module.name)


def serve(place: str, kind: str, tests: int) -> None:
    """Fork a child for each request until the tests end."""
    import gc
    import selectors

    load(kind)
    gc.freeze()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{place}.new")
    listener.listen(64)
    os.rename(f"{place}.new", place)
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    waiting = selectors.DefaultSelector()
    waiting.register(listener, selectors.EVENT_READ)
    waiting.register(woken, selectors.EVENT_READ)
    running: dict[int, socket.socket] = {}
    while alive(tests):
        for key, _ in waiting.select(timeout=1):
            if key.fileobj == woken:
                os.read(woken, 4096)
            elif key.fileobj is listener:
                client, _ = listener.accept()
                running[start(client, [listener, *running.values()])] = client
                waiting.register(client, selectors.EVENT_READ)
            else:  # the one who asked was killed
                pid = next(pid for pid, client in running.items() if client is key.fileobj)
                waiting.unregister(key.fileobj)
                os.kill(pid, signal.SIGKILL)
        answer(running, waiting)


def alive(pid: int) -> bool:
    """Whether a process is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def answer(running: dict[int, socket.socket], waiting) -> None:
    """Tell the exit codes of the children that ended to those who asked for them."""
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        client = running.pop(pid)
        if client in [key.fileobj for key in waiting.get_map().values()]:  # else the one who asked is gone
            waiting.unregister(client)
            client.sendall(str(os.waitstatus_to_exitcode(status)).encode())
        client.close()


def start(client: socket.socket, others: list[socket.socket]) -> int:
    """Read a request and run its tool in a child; the id of the child. others: what the child closes."""
    head, descriptors, _, _ = socket.recv_fds(client, LENGTH, 3)
    with client.makefile("rb") as reader:
        wanted = json.loads(reader.read(int.from_bytes(head, "big")))
    pid = os.fork()
    if pid == 0:
        try:
            for each in (client, *others):
                each.close()
            run(wanted, descriptors)
        finally:
            os._exit(70)  # no tool ends so
    for descriptor in descriptors:
        os.close(descriptor)
    return pid


def run(wanted: dict, descriptors: list[int]) -> None:
    """Become the tool that is wanted; does not return."""
    import importlib

    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(wanted["folder"])
    os.environ.clear()
    os.environ.update(wanted["environment"])
    sys.argv = [f"{os.path.dirname(sys.executable)}/{wanted['tool']}", *wanted["arguments"]]
    importlib.import_module(f"mri_tools.{wanted['tool'].replace('-', '_')}").run()


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]))
elif "pytest" in sys.modules:
    from pathlib import Path

    INSTALLED = Path(sys.executable).parent
    BIN = folder_of_tools()
