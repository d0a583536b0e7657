"""Reports of files that no case uses, and of label maps that are used as images."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mrilib.cases import Case, Unused, stem_of, suffix_of
from mrilib.cases.names import BRAIN_WORDS, LABEL_WORDS, MASK_ENDINGS, MASK_WORDS, PICTURES, is_mask_folder, words_of
from mrilib.errors import CaseError

REMEDIES = {
    "label maps": "name each as its image, x_mask.png or masks/x.png beside images/x.png, x_seg.nii.gz in the folder "
                  "of its case; or list file,label in a CSV",
    "brain masks": "nothing to do: mri-normalize --brain makes its own",
    "images without an annotation": "an image without a tumour has an empty label file or an entry without boxes; "
                                    "--layout plain takes every image",
    "images": "name them as the other images, list them in a CSV, or take every image with --layout plain",
    "annotation files": "name each as its image: YOLO txt in labels/ beside images/, COCO, Pascal VOC, VGG Image "
                        "Annotator and LabelMe files are read; or list file,x0,y0,x1,y1,class in a CSV",
    "tables": "give the table itself as input: its column file names the images",
    "images in a format that is not read": "save them as PNG, TIFF or NIfTI",
    "DICOM files that are no series of slices": "give each the suffix .dcm to read it as an image",
    "archives": "unpack them",
    "files that cannot be opened": "check their permissions",
}
USED_AS_IMAGE = "label maps used as images"
REMEDY_USED = ("name each as its image, x_mask.png or x_seg.nii.gz, put them into masks/ beside images/, list "
               "file,label in a CSV, or move them away")
REMEDY_ALL = "give the images too, if this folder is to be more than a reference or predictions"
SHOWN = 3  # first names in a line
SAMPLES = 24  # number of files that are read because their names do not tell what they are
LABEL_NAMES = {*LABEL_WORDS, *MASK_WORDS, "lesion", "lesions", "contour", "contours", "dseg", "probseg", "manual"}
OTHER_FORMATS = {
    ".heic", ".heif", ".avif", ".jp2", ".j2k", ".jpx", ".jxl", ".ppm", ".pgm", ".pnm", ".pbm", ".tga", ".psd", ".svg",
    ".ico", ".raw", ".cr2", ".dng", ".exr", ".hdr", ".img", ".mgz", ".mgh", ".mnc", ".par", ".rec", ".brik", ".head",
    ".npy", ".npz", ".mat", ".vtk", ".vti", ".svs", ".ndpi", ".czi", ".lsm", ".nhdr", ".dicom", ".dic", ".ima",
    ".eps", ".pcx", ".tfrecord", ".tfrecords", ".mp4", ".avi", ".fits", ".mrc", ".nia", ".spr", ".gipl", ".sdt",
    ".hdf5", ".apng", ".webp", ".jfif", ".jpe", ".pjpeg", ".dib",
}  # fmt: skip
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".rar", ".7z")
TEXTS = {".json", ".xml", ".txt", ".csv", ".tsv", ".jsonl", ".ndjson", ".geojson"}
SILENT = {".py", ".md", ".pdf", ".html", ".htm", ".h5", ".keras", ".toml", ".ini", ".cfg", ".log", ".sh", ".ipynb",
          ".yaml", ".yml", ".pkl", ".gz", ".docx", ".exe", ".dll", ".js", ".css"}
# patterns of re, which compiles them when they are used
JSON_KEYS = (rb'"(bbox|bboxes|bndbox|box|boxes|shapes|regions|polygons?|segmentation|annotations?|points|'
             rb'shape_attributes|rectangles?|rectanglelabels|polygonlabels|xtl|xmin|x0|x_min|left)"\s*:')
XML_TAGS = rb"<(bndbox|polygon|box|object|annotations?|xmin|pt|points)\b"
BOX_COLUMNS = (r"(?i)\b(x_?0|x_?1|x_?min|xmin|bbox|box|left|region_shape_attributes|polygon|segmentation|"
               r"encodedpixels|rle)\b")
FILE_COLUMNS = {
    "file", "filename", "file_name", "filepath", "file_path", "path", "image", "images", "image_id", "imageid",
    "image_path", "image_name", "img", "id_image", "image_file", "name",
}  # fmt: skip
OWN_TABLES = ("case,",)  # split.csv, predictions and scores of this suite
MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"\x1f\x8b", b"NRRD")


class Note(NamedTuple):
    """Files of one kind below a folder, in sorted order, and what to do about them."""

    folder: Path
    kind: str
    files: tuple[Path, ...]
    remedy: str

    @property
    def names(self) -> str:
        """The first names."""
        first = ", ".join(_below(path, self.folder) for path in self.files[:SHOWN])
        return first + (" …" if len(self.files) > SHOWN else "")

    @property
    def title(self) -> str:
        return self.kind if self.kind == USED_AS_IMAGE else f"unused {self.kind}"

    @property
    def text(self) -> str:
        """How many files, the first names and the remedy."""
        return f"{len(self.files)}: {self.names} ({self.remedy})"

    def __str__(self) -> str:
        return f"{self.folder}: {self.title}, {self.text}"


def notes(unused: Unused, used_as_images: bool = True) -> list[Note]:
    """One note for each kind of file that no case of a folder uses, and one for label maps that are used as images.

    Names decide if they can. Else one file of each pattern of names is read, up to SAMPLES files.
    """
    kinds: dict[str, list[Path]] = defaultdict(list)
    by_name = [_named_as_label(path, unused.folder) for path in unused.images]
    by_values = _holding_few_values([path for path, named in zip(unused.images, by_name, strict=True) if not named])
    for path, named in zip(unused.images, by_name, strict=True):
        is_label = named or path in by_values
        brain = BRAIN_WORDS & {*words_of(path)} and is_label
        kinds["brain masks" if brain else "label maps" if is_label else "images"].append(path)
    kinds["images without an annotation"] += unused.unannotated
    for path in unused.others:
        try:
            kind = _kind_of(path)
        except OSError:
            kind = "files that cannot be opened"
        if kind:
            kinds[kind].append(path)
    result = [Note(unused.folder, kind, tuple(kinds[kind]), remedy)
              for kind, remedy in REMEDIES.items() if kinds.get(kind)]
    if used_as_images:
        result += _used_as_images(unused)
    return result


def summary(all_notes: list[Note]) -> str:
    """Join several notes in one line."""
    def short(note):
        return f"{len(note.files)} {note.kind} ({note.names})"

    unused = ", ".join(short(note) for note in all_notes if note.kind != USED_AS_IMAGE)
    wrong = [short(note) for note in all_notes if note.kind == USED_AS_IMAGE]
    texts = [*([f"no case uses {unused}"] if unused else []), *wrong]
    return f"{all_notes[0].folder}: {'; '.join(texts)}; mri-inspect {all_notes[0].folder} says what to do"


def tell(unused: Unused, used_as_images: bool = True, level: int = logging.INFO) -> None:
    """Log in one line the files of a folder that no case uses, and label maps that are used as images."""
    if lines := notes(unused, used_as_images):
        logging.getLogger("mrilib").log(level, "%s", summary(lines))


def _used_as_images(unused: Unused) -> list[Note]:
    """The images of cases that look like label maps. Prepared cases are not checked."""
    cases = [case for case in unused.cases if case.layout != "prepared"]
    files = list(dict.fromkeys(path for case in cases for path in _single_files(case)))
    labels = {path for case in cases for path in case.label_files}
    files = [path for path in files if path not in labels]
    by_values = _holding_few_values(files, lambda path: _named_as_label(path, unused.folder))
    wrong = tuple(path for path in files if path in by_values or (_is_jpeg(path) and _ends_as_mask(path)))
    if not wrong:
        return []
    return [Note(unused.folder, USED_AS_IMAGE, wrong, REMEDY_ALL if len(wrong) == len(files) else REMEDY_USED)]


def _single_files(case: Case) -> Iterable[Path]:
    """The files of a case, without those of stacks and series."""
    return (path for channel, path in case.channels.items() if channel not in case.slices)


def _holding_few_values(files: list[Path], is_suspect: Callable[[Path], bool] = lambda path: False) -> set[Path]:
    """The files that hold few values, by one file of each pattern of names. Suspect patterns are read first."""
    patterns: dict[tuple, list[Path]] = defaultdict(list)
    for path in files:
        patterns[_pattern(path)].append(path)
    chosen = sorted(patterns.values(), key=lambda members: not is_suspect(members[0]))
    if len(chosen) > SAMPLES:  # names without a pattern: read the first ones and an even sample of the rest
        half = SAMPLES // 2
        rest = chosen[half:]
        chosen = chosen[:half] + [rest[i * len(rest) // half] for i in range(half)]
    return {path for members in chosen if has_few_values(members[0]) for path in members}


def _named_as_label(path: Path, folder: Path) -> bool:
    words = {word.strip("0123456789") for word in words_of(path)}
    folders = Path(_below(path, folder)).parts[:-1]
    return bool(LABEL_NAMES & words) or _ends_as_mask(path) or any(map(is_mask_folder, folders))


def _ends_as_mask(path: Path) -> bool:
    return stem_of(path).lower().endswith(MASK_ENDINGS)


def _is_jpeg(path: Path) -> bool:
    return suffix_of(path) in (".jpg", ".jpeg", ".jfif")


def _pattern(path: Path) -> tuple:
    """The common pattern of the names of files of one kind: suffix, and names of file and folder without digits."""
    return suffix_of(path), re.sub(r"\d+", "0", stem_of(path)), re.sub(r"\d+", "0", path.parent.name)


def has_few_values(path: Path) -> bool:
    """Whether an image holds two to five values, all whole numbers, as label maps do. False for a damaged one."""
    from mrilib.images.io import files

    if _is_jpeg(path):
        return False  # compression changes the values of a label map
    try:
        if suffix_of(path) in PICTURES and (colours := _colours(path)) is not None:
            return 2 <= colours <= 5
        array = files.read(path, several=True, fix=True).array
    except CaseError:
        return False  # reported when the case is read
    middle = np.unique(array[len(array) // 2])
    if len(middle) > 5:
        return False
    values = np.unique(array)
    return 2 <= len(values) <= 5 and bool(np.isfinite(values).all()) and bool((values == np.rint(values)).all())


def _colours(path: Path) -> int | None:
    """How many colours a picture holds, 6 for more than 5; None where Pillow does not count them."""
    from PIL import Image as Picture

    try:
        with Picture.open(path) as picture:
            if picture.mode not in ("1", "L", "P", "RGB"):
                return None
            counts = picture.getcolors(5)
            return 6 if counts is None else len(counts)
    except (OSError, SyntaxError, ValueError, Picture.DecompressionBombError):
        return 6  # damaged: reported when the case is read


def _kind_of(path: Path) -> str | None:
    """The kind of a file without an image's suffix, a key of REMEDIES; None for what is no data."""
    name, suffix = path.name.lower(), path.suffix.lower()
    if name.endswith(ARCHIVES):
        return "archives"
    if name == "dicomdir" or suffix in SILENT:
        return None
    if suffix in TEXTS:
        return _kind_of_text(path, suffix)
    with open(path, "rb") as file:
        head = file.read(132)
    if head[128:] == b"DICM":
        return "DICOM files that are no series of slices"
    is_image = suffix in OTHER_FORMATS or head.startswith(MAGIC) or head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    return "images in a format that is not read" if is_image else None


def _kind_of_text(path: Path, suffix: str) -> str | None:
    with open(path, "rb") as file:
        head = file.read(1 << 20 if suffix not in (".txt", ".csv", ".tsv") else 4096)
    if suffix == ".xml":
        return "annotation files" if re.search(XML_TAGS, head) else None
    if "json" in suffix:
        return "annotation files" if re.search(JSON_KEYS, head) else None
    wide = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    text = head.decode("utf-16" if wide else "utf-8-sig", "replace")
    lines = [line for line in text.splitlines() if line.strip()][:20]
    if not lines or text.startswith(OWN_TABLES):
        return None
    if suffix in (".csv", ".tsv"):
        if re.search(BOX_COLUMNS, lines[0]) or _are_boxes(lines):
            return "annotation files"
        columns = {word.strip(' "\'').lower() for word in re.split(r"[,;\t]", lines[0])}
        return "tables" if columns & FILE_COLUMNS else None
    return "annotation files" if _are_boxes(lines) else None


def _are_boxes(lines: list[str]) -> bool:
    """Whether most lines hold four numbers or more, and little else."""
    def is_box(line):
        words = [word for word in re.split(r"[\s,;]+", line.strip()) if word]
        numbers = sum(bool(re.fullmatch(r"[-+]?\d*\.?\d+(?:[eE][-+]?\d+)?", word)) for word in words)
        return numbers >= 4 and len(words) - numbers <= 2

    return 2 * sum(map(is_box, lines)) > len(lines)


def _below(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
