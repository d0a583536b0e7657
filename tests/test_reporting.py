"""The HTML page of an experiment, read as text: complete, self-contained, within its size, safe from names."""

import csv
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image as Picture

import mrilib
from mrilib.errors import CaseError, UsageError
from mrilib.reporting import pictures

HOSTILE = "<script>alert(1)</script>&\"'\u202e"
VOID = {"meta", "link", "img", "input"}


class Page(HTMLParser):
    """The elements, texts and addresses of a page; fails where elements do not close in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.addresses, self.scripts, self.shown = [], [], [], [], ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] == ["script"]:
            self.scripts.append(data)
        else:
            self.shown += data

    @property
    def cases(self):
        return json.loads(self.scripts[0])["cases"]


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    rng = np.random.default_rng(0)
    for i in range(8):
        kind = folder / ("yes" if i % 2 else "no")
        kind.mkdir(exist_ok=True)
        Picture.fromarray(rng.integers(0, 255, (40, 48), np.uint8)).save(kind / f"case{i}.png")
    return folder


def predictions(names):
    rows = [["case", "class", "p_no", "p_yes", "seen"]]
    rows += [[name, "yes", "0.25", "0.75", ""] for name in names]
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue()


def written(tmp_path, *arguments, **settings):
    path = mrilib.report(*arguments, out=tmp_path / "r.html", **settings)
    text = path.read_text(encoding="utf-8")
    return text, Page(text)


def test_page_shows_every_case_with_its_prediction_and_picture(scans, tmp_path):
    names = [f"{'yes' if i % 2 else 'no'}/case{i}" for i in range(8)]
    (tmp_path / "seen.csv").write_text(predictions(names))
    (tmp_path / "split.csv").write_text("case,subject,group,fold,part\n" + "".join(f"{n},,{n},0,\n" for n in names))
    (tmp_path / "scores.csv").write_text("metric,class,value,low,high,unit,n,cases,level,resamples,seed,resampled\n"
                                         "accuracy,,50,20,80,%,8,all,95,2000,0,group\n")
    text, page = written(tmp_path, [tmp_path / f"{name}.csv" for name in ("seen", "split", "scores")], cases=scans)
    assert [one["wrong"] for one in page.cases] == [not name.startswith("yes") for name in
                                                    [one["id"] for one in page.cases]]
    assert len(page.cases) == 8 and all(one["picture"]["size"] == [1, 40, 48] for one in page.cases)
    assert all(one["picture"]["sprites"][0].startswith("data:image/jpeg;base64,") for one in page.cases)
    assert "accuracy" in page.shown and "fold 0: 8" in page.shown
    assert page.tags.count("canvas") == 4 and "Content-Security-Policy" in text


def test_page_fetches_nothing(scans, tmp_path):
    text, page = written(tmp_path, [scans])
    assert all(address.startswith(("#", "data:")) for address in page.addresses)
    assert not re.search(r"https?://|//\w+\.|@import|url\(|fetch\(|XMLHttpRequest", text)


def test_a_hostile_name_stays_text(tmp_path):
    kind = tmp_path / "in" / HOSTILE.replace("/", "")
    kind.mkdir(parents=True)
    (tmp_path / "in/plain").mkdir()
    name = HOSTILE.replace("/", "") + "é" * 50
    for folder in (kind, tmp_path / "in/plain"):
        Picture.fromarray(np.eye(30, dtype=np.uint8) * 200).save(folder / f"{name}.png")
    text, page = written(tmp_path, [tmp_path / "in"])
    assert page.tags.count("script") == 2 and "<script>alert" not in text
    assert {one["id"].rpartition("/")[2] for one in page.cases} == {name}


def test_the_size_is_kept_and_cases_beyond_it_are_listed_without_a_picture(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for i in range(30):
        Picture.fromarray(rng.integers(0, 255, (200, 200), np.uint8)).save(tmp_path / f"in/n{i}.png")
    text, page = written(tmp_path, [tmp_path / "in"], size=0.3)
    assert len(text) < 300_000 and len(page.cases) == 30 and sum(bool(one["picture"]) for one in page.cases) > 5
    with pytest.raises(UsageError, match="without a picture"):
        written(tmp_path, [tmp_path / "in"], size=0.01)


def test_volumes_become_sprites_with_prediction_and_reference():
    from mrilib.images.grid import Grid, Image

    array = np.zeros((20, 30, 40), np.float32)
    array[5:15, 8:20, 10:30] = 100
    reference, predicted = np.zeros(array.shape, np.uint8), np.zeros(array.shape, np.uint8)
    reference[8:12, 10:14, 12:20], predicted[9:12, 10:14, 12:20] = 2, 1
    shown = pictures.encoded(Image(array, Grid.of(array.shape)), predicted, reference, (), 1 << 20)
    assert shown["size"] == [18, 20, 28] and shown["columns"] == 5 and shown["compared"]  # cropped, with a margin of 4
    z, y, x = shown["places"]
    assert 8 <= z + 1 < 12 and 10 <= y + 4 < 14 and 12 <= x + 6 < 20
    import base64

    label = np.asarray(Picture.open(io.BytesIO(base64.b64decode(shown["label"].partition(",")[2]))))
    assert label.shape == (4 * 20, 5 * 28, 3) and (label[..., 1] == 2).sum() == 4 * 4 * 8
    assert (label[..., 0] == 1).sum() == 3 * 4 * 8


def test_what_is_no_part_of_an_experiment_is_refused(scans, tmp_path):
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UsageError, match="no table of mri-split"):
        mrilib.report([tmp_path / "other.csv"], out=tmp_path / "r.html")
    with pytest.raises(UsageError, match="needs --cases"):
        mrilib.report(predictions(["yes/case1"]), out=tmp_path / "r.html")
    with pytest.raises(CaseError):
        mrilib.report([], out=tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()
