"""The model file: what goes in comes out, and what a stranger put in runs nothing."""

import io
import json
import resource
import subprocess
import sys
import zipfile

import h5py
import numpy as np
import pytest

from mrilib.errors import CaseError, MachineError, UsageError
from mrilib.models import file, safety
from mrilib.models.classifier import classifier

VALUES = np.linspace(-1, 1, 2 * 16 * 16, dtype=np.float32).reshape(2, 16, 16, 1)
SUFFIXES = (".h5", ".keras")


@pytest.fixture(scope="module")
def network():
    return classifier("lenet", (16, 16, 1), 2, dropout=0.1)


@pytest.fixture
def saved(network, tmp_path):
    path = tmp_path / "model.h5"
    file.save(network, path, {"task": "classify"})
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_large_record_and_the_network_come_back(network, tmp_path, suffix):
    path = tmp_path / f"m{suffix}"
    record = {"task": "classify", "training": {"cases": {f"fälle/{i}": {"content": "0" * 64} for i in range(10000)}}}
    assert len(json.dumps(record)) > 800_000
    file.save(network, path, record)
    model, found = file.load(path)
    assert found == {**record, "format": 1} == file.read_record(path)
    assert np.array_equal(np.asarray(model(VALUES)), np.asarray(network(VALUES)))
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_model_that_finds_no_room_is_said(network, tmp_path, suffix):
    known = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, known[1]))
    try:
        with pytest.raises(MachineError, match="cannot write: file too large"):
            file.save(network, tmp_path / f"m{suffix}", {"task": "classify"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, known)
    assert not [*tmp_path.iterdir()]


def test_the_attribute_is_a_str(saved):
    with h5py.File(saved) as opened:
        assert isinstance(opened.attrs["mri"], str)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_compiled_mixed_precision_network_is_kept_as_float32_without_its_optimizer(tmp_path, suffix):
    import keras

    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = classifier("lenet", (16, 16, 1), 2)
    finally:
        keras.config.set_dtype_policy("float32")
    model.compile("adam", "categorical_crossentropy", jit_compile=False)
    model.fit(VALUES, np.eye(2), verbose=0)
    file.save(model, tmp_path / f"m{suffix}", {})
    loaded, _ = file.load(tmp_path / f"m{suffix}")
    assert {layer.dtype_policy.name for layer in loaded.layers} == {"float32"}
    assert not loaded.compiled
    mine, theirs = model.get_weights(), loaded.get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(mine, theirs, strict=True))


def test_the_record_is_read_without_tensorflow(saved):
    code = (f"import sys; from mrilib.models import file, safety; file.read_record({str(saved)!r}); "
            f"safety.check({str(saved)!r}); print(sorted({{'tensorflow', 'keras'}} & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_failed_save_leaves_the_old_file(saved, network):
    before = saved.read_bytes()
    with pytest.raises(ValueError, match="JSON compliant"):
        file.save(network, saved, {"loss": float("nan")})
    assert saved.read_bytes() == before and len(list(saved.parent.iterdir())) == 1
    with pytest.raises(UsageError, match="ends with .h5 or .keras"):
        file.save(network, saved.with_suffix(".pb"), {})


def test_the_hash_names_the_bytes(saved, tmp_path):
    other = tmp_path / "other.h5"
    other.write_bytes(saved.read_bytes())
    assert file.file_hash(saved) == file.file_hash(other)
    with h5py.File(other, "r+") as opened:
        opened.attrs["mri"] = "{}"
    assert file.file_hash(saved) != file.file_hash(other)


def refused(path, said):
    with pytest.raises(CaseError, match=said) as caught:
        file.load(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.parametrize(("content", "said"), [(b"", "is empty"), (b"just text\n", "not an HDF5"),
                                               (b"\x89HDF\r\n\x1a\n" + b"\0" * 600, "damaged")])  # fmt: skip
def test_what_is_no_hdf5_is_refused(tmp_path, content, said):
    path = tmp_path / "m.h5"
    path.write_bytes(content)
    refused(path, said)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("part", [0.2, 0.6, 0.95, 0.999])
def test_a_cut_file_is_refused(network, tmp_path, suffix, part):
    path = tmp_path / f"m{suffix}"
    file.save(network, path, {})
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    refused(path, "damaged or cut short")


def test_folders_and_foreign_files_are_refused(tmp_path):
    refused(tmp_path, "folder")
    refused(tmp_path / "missing.h5", "No such file")
    (tmp_path / "m.bin").write_bytes(b"x")
    refused(tmp_path / "m.bin", "suffix")
    with h5py.File(tmp_path / "data.h5", "w") as opened:
        opened["x"] = 1
    refused(tmp_path / "data.h5", "no record")


def test_a_lambda_layer_is_refused_before_keras_sees_it(tmp_path):
    import keras

    image = keras.Input((16, 16, 1))
    model = keras.Model(image, keras.layers.Lambda(lambda x: x * 2)(image))
    path = tmp_path / "m.h5"
    with pytest.raises(UsageError, match="Lambda"):
        file.save(model, path, {})
    assert not path.exists()
    model.save(path)
    with h5py.File(path, "r+") as opened:
        opened.attrs["mri"] = '{"format": 1}'
    refused(path, "'Lambda'.*not on the list")


def change_config(path, change):
    with h5py.File(path, "r+") as opened:
        config = json.loads(opened.attrs["model_config"])
        change(config["config"]["layers"])
        opened.attrs["model_config"] = json.dumps(config)


@pytest.mark.parametrize(("change", "said"), [
    (lambda layers: layers[1].update(module="os"), "from 'os'"),
    (lambda layers: layers[1].update(module="keras.layers.evil"), "not from Keras"),
    (lambda layers: layers[1].update(registered_name="evil>Rescaling"), "'evil>Rescaling'"),
    (lambda layers: layers[1].update(class_name="function"), "'function'"),
    (lambda layers: layers[1].update(class_name=["Dense"]), "not on the list"),
    (lambda layers: layers[1]["config"].update(dtype={"class_name": "system", "module": "os"}), "'system'"),
    (lambda layers: layers[1]["config"].update(extra={"module": "os", "name": "system"}), "without a class"),
    (lambda layers: layers[2]["config"].update(activation="os.system"), "unknown activation"),
    (lambda layers: layers[2]["config"].update(activation={"class_name": "ReLU"}), "unknown activation"),
    (lambda layers: layers[2]["config"]["kernel_initializer"].update(module="subprocess", class_name="Popen"), "Popen"),
    (lambda layers: layers[1].update(class_name="TFSMLayer"), "TFSMLayer"),
    (lambda layers: layers[2]["config"].update(filters="many"), "Keras cannot build"),
    (lambda layers: layers[2]["config"].update(filters=9), "Keras cannot build"),
    (lambda layers: layers[2]["config"].update(nonsense=1), "Keras cannot build"),
    (lambda layers: layers.pop(3), "Keras cannot build"),
])  # fmt: skip
def test_a_config_with_anything_else_is_refused(saved, change, said):
    change_config(saved, change)
    refused(saved, said)


def test_a_config_without_end_is_refused(saved):
    deep = []
    for _ in range(200):
        deep = [deep]
    change_config(saved, lambda layers: layers[1]["config"].update(scale=deep))
    refused(saved, "nested without end")


def first_dataset(opened):
    names = []
    opened.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    return names[0]


def test_hdf5_that_reaches_outside_is_refused(saved, tmp_path):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as opened:
        opened["x"] = np.zeros((5, 5, 1, 8), np.float32)
    kept = saved.read_bytes()

    def external_link(opened, name):
        opened[name] = h5py.ExternalLink(str(secret), "/x")

    def soft_link(opened, name):
        opened[name] = h5py.SoftLink("/somewhere")

    def virtual(opened, name):
        layout = h5py.VirtualLayout((5, 5, 1, 8), np.float32)
        layout[:] = h5py.VirtualSource(str(secret), "x", (5, 5, 1, 8))
        opened.create_virtual_dataset(name, layout)

    def external_data(opened, name):
        opened.create_dataset(name, (5, 5, 1, 8), np.float32, external=[(str(secret), 0, 800)])

    for trick, said in ((external_link, "link to elsewhere"), (soft_link, "link to elsewhere"),
                        (virtual, "in another file"), (external_data, "in another file")):
        saved.write_bytes(kept)
        with h5py.File(saved, "r+") as opened:
            name = first_dataset(opened)
            del opened[name]
            trick(opened, name)
        refused(saved, said)


def test_a_ring_of_hdf5_groups_ends(saved):
    with h5py.File(saved, "r+") as opened:
        opened["model_weights/again"] = opened["model_weights"]
    safety.check(saved)


@pytest.mark.parametrize(("name", "data", "said"), [
    ("assets/evil.txt", b"x", "assets/evil.txt"),
    ("../evil.txt", b"x", "evil.txt"),
    ("mri.json", b"not json", "record is damaged"),
    ("mri.json", b'{"format": 7}', "format 7"),
    ("config.json", b'{"class_name": "Lambda", "module": "keras.layers"}', "no functional Keras network"),
    ("config.json", b'{"class_name": "Functional", "module": "os", "config": {}}', "from 'os'"),
])  # fmt: skip
def test_a_keras_zip_with_anything_else_is_refused(network, tmp_path, name, data, said):
    path = tmp_path / "m.keras"
    file.save(network, path, {})
    with zipfile.ZipFile(path) as opened:
        members = {n: opened.read(n) for n in opened.namelist()}
    with zipfile.ZipFile(path, "w") as opened:
        for member, content in {**members, name: data}.items():
            opened.writestr(member, content)
    refused(path, said)


def test_links_inside_a_keras_zip_are_refused(network, tmp_path):
    path = tmp_path / "m.keras"
    file.save(network, path, {})
    with zipfile.ZipFile(path) as opened:
        members = {n: opened.read(n) for n in opened.namelist()}
    weights = io.BytesIO(members["model.weights.h5"])
    with h5py.File(weights, "r+") as opened:
        name = first_dataset(opened)
        del opened[name]
        opened[name] = h5py.ExternalLink("/etc/hostname", "/")
    members["model.weights.h5"] = weights.getvalue()
    with zipfile.ZipFile(path, "w") as opened:
        for member, content in members.items():
            opened.writestr(member, content)
    refused(path, "link to elsewhere")


def test_weights_that_are_no_numbers_are_not_kept(tmp_path):
    model = classifier("lenet", (16, 16, 1), 2)
    kernel, bias = model.get_layer("logits").get_weights()
    kernel[0, 0] = np.nan
    model.get_layer("logits").set_weights([kernel, bias])
    with pytest.raises(MachineError, match="logits"):
        file.save(model, tmp_path / "m.h5", {"task": "classify"})
    assert not list(tmp_path.iterdir())
