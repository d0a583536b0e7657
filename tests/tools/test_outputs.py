"""Every output option on a path that is no regular file, as its user runs the tools."""

import os
import shlex
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from pipeline_data import head, save

BIN = Path(sys.executable).parent
# each writes its text to the path that stands for {}
TABLES = {
    "score -o": "mri-score p.csv -r in -o {}",
    "score --per-case": "mri-score p.csv -r in --per-case {} -o out.csv",
    "split --copies": "mri-split in --copies {} -o out.csv",
    "--write-config": "mri-inspect in --write-config {} --json",
    "view -o": "mri-view in -o {}",
    "view -o of scores": "mri-score p.csv -r in | mri-view -o {}",
    "augment --preview": "mri-augment in --rotate 15 --preview {}",
}
ALIKE = {  # written by the same function as one above
    "split -o": "mri-split in -o {}",
    "inspect --per-case": "mri-inspect in --per-case {} --json",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outputs")
    lines = ["case,class,p_no,p_yes,seen"]
    for i in range(8):
        kind = "yes" if i % 2 else "no"
        save(folder / f"in/{kind}/{i}.png", head(i))
        lines.append(f"{kind}/{i},{kind},{1 - i % 2},{i % 2},")
    (folder / "p.csv").write_text("\n".join(lines) + "\n")
    return folder


def shell(command, cwd, **more):
    return subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=cwd, capture_output=True, timeout=120,
                          env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}, **more)


@pytest.fixture(scope="module")
def to_file(data):
    """What each command writes to a regular file."""
    made = {}
    for name, command in TABLES.items():
        path = data / "regular.png"
        ran = shell(command.format("regular.png"), data)
        assert ran.returncode == 0, ran.stderr
        made[name] = path.read_bytes()
        path.unlink()
    return made


def devices(folder, name, numbers):
    folder.mkdir(exist_ok=True)
    try:
        os.mknod(folder / name, stat.S_IFCHR | 0o666, os.makedev(*numbers))
        with open(folder / name, "rb"):
            pass
    except OSError as error:
        pytest.skip(f"cannot make a device here: {error}")
    return folder / name


@pytest.mark.parametrize("name", [*TABLES, *ALIKE])
def test_a_device_takes_it_and_stays(data, tmp_path, name):
    null = devices(tmp_path / "devices", "null", (1, 3))
    ran = shell({**TABLES, **ALIKE}[name].format(null), data)
    assert ran.returncode == 0, ran.stderr
    assert stat.S_ISCHR(null.lstat().st_mode) and os.listdir(null.parent) == ["null"]


@pytest.mark.parametrize("name", TABLES)
def test_a_full_device_ends_with_3(data, tmp_path, name):
    full = devices(tmp_path / "devices", "full", (1, 7))
    ran = shell(TABLES[name].format(full), data)
    assert ran.returncode == 3 and b"no space left" in ran.stderr
    assert stat.S_ISCHR(full.lstat().st_mode) and os.listdir(full.parent) == ["full"]


@pytest.mark.parametrize("name", TABLES)
def test_a_fifo_a_process_substitution_and_a_link_get_the_same_bytes(data, to_file, tmp_path, name):
    fifo, wanted = tmp_path / "fifo", without_names(to_file[name])
    os.mkfifo(fifo)
    got = []
    reader = threading.Thread(target=lambda: got.append(fifo.read_bytes()), daemon=True)
    reader.start()
    ran = shell(TABLES[name].format(fifo), data)
    assert ran.returncode == 0, ran.stderr
    reader.join(10)
    assert without_names(got[0]) == wanted and stat.S_ISFIFO(fifo.lstat().st_mode)
    copied = TABLES[name].format(f">(cat > {tmp_path}/copy)")
    ran = shell(f"{copied}; code=$?; wait $!; exit $code", data)
    assert ran.returncode == 0, ran.stderr
    assert without_names((tmp_path / "copy").read_bytes()) == wanted
    (tmp_path / "link.png").symlink_to("disk.png")
    ran = shell(TABLES[name].format(tmp_path / "link.png"), data)
    assert ran.returncode == 0 and (tmp_path / "link.png").is_symlink(), ran.stderr
    assert without_names((tmp_path / "disk.png").read_bytes()) == wanted


def without_names(data):
    """A settings file names other outputs; the rest of it, and every other file, is the same."""
    return [line for line in data.splitlines() if b"regular.png" not in line and not line.startswith(b"output = ")]


@pytest.mark.parametrize("name", [name for name in TABLES if "per-case" not in name and name != "--write-config"])
def test_standard_output_by_its_name_gets_the_results_and_nothing_else(data, to_file, name):
    command = TABLES[name].format("/dev/stdout")
    ran = shell(f"{command} | cat", data)
    assert ran.returncode == 0 and ran.stdout == to_file[name], ran.stderr
    ran = shell(f"(echo first; {command}; echo last) > {data}/all", data)
    assert ran.returncode == 0 and (data / "all").read_bytes() == b"first\n" + to_file[name] + b"last\n"


def test_standard_output_takes_two_tables_one_after_the_other(data, to_file):
    ran = shell("mri-score p.csv -r in --per-case /dev/stdout | cat", data)
    assert ran.stdout == to_file["score --per-case"] + to_file["score -o"], ran.stderr


@pytest.mark.parametrize("name", ["score -o", "view -o", "score --per-case"])
def test_a_reader_that_is_gone_ends_with_141(data, name):
    ran = shell(f"exec 9> >(exec true); sleep 1; {TABLES[name].format('/dev/fd/9')}", data)
    assert ran.returncode == 141 and b"Traceback" not in ran.stderr, ran.stderr


def test_a_fifo_without_a_reader_is_waited_for_and_can_be_interrupted(data, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    said = tmp_path / "said"
    ran = shell(f"timeout -s INT 60 mri-score p.csv -r in -o {tmp_path}/fifo 2> {said} & "
                f"until grep -q 'waiting for a reader of' {said}; do sleep 0.1; done; kill -INT %1; wait %1", data)
    assert ran.returncode in (124, 130), said.read_text()


@pytest.mark.parametrize("command", ["mri-denoise in --method median -o {}", "mri-normalize in -o {}",
                                     "mri-augment in --rotate 9 -o {}", "mri-phantom -n 2 -o {}",
                                     "mri-denoise in --method median -o new --residual {}",
                                     "mri-normalize in --bias n4 -o new --field {}"])
def test_a_folder_is_no_device_and_may_be_a_link(data, tmp_path, command):
    null = devices(tmp_path / "devices", "null", (1, 3))
    ran = shell(command.format(null), data)
    assert ran.returncode == 2 and b"is not a folder" in ran.stderr
    assert stat.S_ISCHR(null.lstat().st_mode) and os.listdir(null.parent) == ["null"]
    (tmp_path / "link").symlink_to("disk")
    ran = shell(command.replace("-o new", f"-o {tmp_path}/new").format(tmp_path / "link"), data)
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "link").is_symlink() and any((tmp_path / "disk").rglob("*.*"))


def test_a_folder_for_a_file_is_wrong_use_before_the_work(data):
    for name, command in {**TABLES, **ALIKE}.items():
        ran = shell(command.format("in"), data)
        assert ran.returncode == 2 and b"in: is a folder" in ran.stderr, (name, ran.stderr)


@pytest.fixture(scope="module")
def images(data):
    ran = shell("mri-normalize in --size 32 -o small", data)
    assert ran.returncode == 0, ran.stderr
    return data


TRAIN = "mri-train small --epochs 1 --backbone lenet --threads 1 --device cpu"


@pytest.fixture(scope="module")
def model(images):
    ran = shell(f"{TRAIN} -o a.h5", images)
    assert ran.returncode == 0, ran.stderr
    return images / "a.h5"


def test_a_model_goes_whole_into_a_pipe(images, model, tmp_path):
    ran = shell(f"{TRAIN} -o /dev/stdout --curve {tmp_path}/c.csv > {tmp_path}/b.h5", images)
    assert ran.returncode == 0, ran.stderr
    assert sorted(os.listdir(tmp_path)) == ["b.h5", "c.csv"]
    assert model.with_name("a.curve.csv").read_bytes() == (tmp_path / "c.csv").read_bytes()
    told = shell(f"mri-predict small -m {model}", images).stdout
    ran = shell(f"mri-predict small -m {tmp_path}/b.h5 -o /dev/stdout | cat", images)
    assert ran.stdout == told and told.count(b"\n") == 9, ran.stderr


def test_a_model_for_a_device_leaves_nothing_beside_it(images, tmp_path):
    null = devices(tmp_path / "devices", "null", (1, 3))
    ran = shell(f"{TRAIN} -o {null} --curve {null} ", images)
    assert ran.returncode == 0 and ran.stdout.decode() == f"{null}\n", ran.stderr
    assert stat.S_ISCHR(null.lstat().st_mode) and os.listdir(null.parent) == ["null"]
    ran = shell(f"{TRAIN} -o {null} --resume", images)
    assert ran.returncode == 2 and b"--resume has no effect" in ran.stderr
    ran = shell(f"{TRAIN} -o {devices(tmp_path / 'devices', 'full', (1, 7))}", images)
    assert ran.returncode == 3 and b"no space left" in ran.stderr
    assert sorted(os.listdir(null.parent)) == ["full", "null"]


def test_a_model_behind_a_link_is_up_to_date_and_replaced_there(images, model, tmp_path):
    (tmp_path / "disk").mkdir()
    stored = tmp_path / "disk/stored.h5"
    stored.write_bytes(model.read_bytes())
    stored.chmod(0o640)
    (tmp_path / "m.h5").symlink_to("disk/stored.h5")
    again = shell(f"{TRAIN} -o {tmp_path}/m.h5", images)
    assert again.returncode == 0 and b"up to date" in again.stderr
    forced = shell(f"{TRAIN} -o {tmp_path}/m.h5 --seed 1 --force", images)
    assert forced.returncode == 0 and os.listdir(tmp_path / "disk") == ["stored.h5"], forced.stderr
    assert (tmp_path / "m.h5").is_symlink() and stat.S_IMODE(stored.stat().st_mode) == 0o640
    assert stored.read_bytes() != model.read_bytes()


@pytest.mark.parametrize("name", ["\U0001f9e0 brain", "日本語", 'quo"te\\back', "tab\tand\nnewline", "del\x7f", "true",
                                  "\udcff raw", "# no comment", "[table]"])
def test_settings_with_any_name_are_read_back(data, name):
    first = shell(f"mri-inspect in --write-config a.toml --json --per-case {shlex.quote(name)}", data)
    assert first.returncode == 0, first.stderr
    (data / name).rename(data / "first.csv")
    second = shell("mri-inspect in --config a.toml", data)
    assert second.returncode == 0 and second.stdout == first.stdout, second.stderr
    assert (data / name).read_bytes() == (data / "first.csv").read_bytes()
    (data / name).unlink()
