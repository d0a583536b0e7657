"""No message is lost while a library's chatter is kept off standard error."""

import re
import subprocess
import sys
from pathlib import Path

BIN = Path(sys.executable).parent

CHILD = """
import logging, os, subprocess, sys, threading
from mrilib import stderr
from mri_tools.cli import output
from mrilib.parallel import Workers
import re

silent, go_on = threading.Event(), threading.Event()

def load():
    with stderr.silenced(re.compile("chatter")):
        silent.set()
        os.write(2, b"chatter of the library\\n")
        go_on.wait()
    restored.set()

restored = threading.Event()
threading.Thread(target=load).start()
silent.wait()
output.complain("CASE: is empty (copy it again)")           # our own message, at once
output.say("1 done, 1 failed")
assert os.pread(3, 99, 0).decode().count("\\n") == 2, "both lines stand there while the library still loads"
logging.getLogger("mrilib").warning("from the log")      # what others write: kept until the library has loaded
os.write(2, b"foreign bytes \\xff\\n")
workers = Workers(1)                                      # a process that starts meanwhile keeps the right descriptor
workers.submit("os:write", 2, b"from a worker\\n").result()
go_on.set()
restored.wait()
workers.submit("os:write", 2, b"from a worker, later\\n").result()
workers.shutdown()
output.complain("the end")
"""


def test_messages_while_descriptor_2_is_redirected_all_arrive(tmp_path):
    told = tmp_path / "stderr"
    with open(told, "w+b") as file:
        ran = subprocess.run(["bash", "-c", 'exec "$@" 3<"$FILE"', "-", sys.executable, "-c", CHILD], stderr=file,
                             env={"PATH": "/usr/bin:/bin", "FILE": str(told)}, timeout=60)
    text = told.read_text()
    assert ran.returncode == 0, text
    assert text.splitlines() == ["-c: CASE: is empty (copy it again)", "-c: 1 done, 1 failed", "from a worker",
                                 "from the log", "foreign bytes \\xff", "from a worker, later", "-c: the end"]


NESTED = """
import os, re, threading
from mrilib import stderr
inside, leave = threading.Event(), threading.Event()
def other():
    with stderr.silenced(re.compile("noise")):
        inside.set()
        leave.wait()
        os.write(2, b"noise 2\\nword 2\\n")
with stderr.silenced(re.compile("noise")) as said:
    with stderr.silenced(re.compile("noise")):
        os.write(2, b"noise 1\\nword 1\\n")
    assert said() == "word 1"
    thread = threading.Thread(target=other)
    thread.start()
    inside.wait()
stderr.write("ours\\n")
leave.set()
thread.join()
os.write(2, b"after\\n")
try:
    with stderr.silenced(re.compile("noise")):
        os.write(2, b"why it failed\\n")
        raise KeyError
except KeyError:
    os.write(2, b"restored\\n")
"""


def test_silences_may_be_nested_overlap_and_end_in_an_error():
    ran = subprocess.run([sys.executable, "-c", NESTED], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.splitlines() == ["ours", "word 1", "word 2", "after", "why it failed", "restored"]


def test_what_tensorflow_says_on_loading_is_chatter_and_nothing_else_is():
    from mrilib.gpu.device import CHATTER

    chatter = """WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1796081728.696523    1576 cpu_feature_guard.cc:227] This TensorFlow binary is optimized to use ...
E0000 00:00:1732.1 12 cuda_dnn.cc:8310] Unable to register cuDNN factory
To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow with the appropriate flags.
2024-11-30 12:00:00.123456: I tensorflow/core/util/port.cc:153] oneDNN custom operations are on.
WARNING:tensorflow:There are non-GPU devices in `tf.distribute.Strategy`, not using nccl allreduce."""
    assert all(CHATTER.match(line) for line in chatter.splitlines())
    kept = ("mri-predict: b.nii.gz: the file is empty (copy it again)", "Traceback (most recent call last):",
            "WARNING: In /tmp/itk.cxx, line 12", "Illegal instruction", "E", "I found it")
    assert not [line for line in kept if CHATTER.match(line)]
    assert isinstance(CHATTER, re.Pattern)
