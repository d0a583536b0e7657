"""The HTML of a report: every text escaped, styles, script and pictures inside, nothing fetched."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable, Sequence
from importlib.resources import files

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
PRESETS = {"identity": "0 0 0 0 1 0 0 0 0", "Sobel, vertical edges": "1 0 -1 2 0 -2 1 0 -1",
           "Sobel, horizontal edges": "1 2 1 0 0 0 -1 -2 -1",
           "Gaussian": ".0625 .125 .0625 .125 .25 .125 .0625 .125 .0625",
           "mean": ".111 .111 .111 .111 .111 .111 .111 .111 .111", "Laplacian": "0 1 0 1 -4 1 0 1 0",
           "sharpen": "0 -1 0 -1 5 -1 0 -1 0"}  # fmt: skip


def escaped(value: object) -> str:
    """A text inside an element or a quoted attribute; bytes of a name that are not UTF-8 become question marks."""
    return html.escape(str(value).encode("utf-8", "replace").decode())


def page(title: str, sections: Iterable[tuple[str, str, str]], cases: Sequence[dict]) -> str:
    """One HTML file. sections: (id, heading, HTML). cases: what the script shows, as plain values."""
    sections = [section for section in sections if section[2]]
    links = "".join(f'<a href="#{name}">{escaped(heading)}</a>' for name, heading, _ in sections)
    body = "".join(f'<section id="{name}"><h2>{escaped(heading)}</h2>{text}</section>\n'
                   for name, heading, text in sections)
    # a < inside the data could end the script element
    data = json.dumps({"cases": list(cases)}, allow_nan=False).replace("<", "\\u003c")
    return (f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">'
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"><link rel="icon" href="data:,">'
            f"<title>{escaped(title)}</title><style>\n{_part('page.css')}</style></head>\n<body><main>"
            f"<h1>{escaped(title)}</h1><nav aria-label=\"sections\">{links}</nav>\n{body}</main>"
            f'<script type="application/json" id="contents">{data}</script>\n<script>\n{_part("page.js")}</script>'
            f"</body></html>\n")


def _part(name: str) -> str:
    return files("mrilib.reporting").joinpath(name).read_text(encoding="utf-8")


def facts(lines: Iterable[tuple[str, str]]) -> str:
    """A table of (name, text) lines."""
    rows = "".join(f'<tr><th scope="row">{escaped(name)}</th><td>{escaped(text)}</td></tr>' for name, text in lines)
    return f"<table><tbody>{rows}</tbody></table>" if rows else ""


def table(columns: Sequence[str], rows: Iterable[Sequence]) -> str:
    """A table that scrolls within the page; numbers are aligned right."""
    head = "".join(f'<th scope="col">{escaped(name)}</th>' for name in columns)
    body = "".join("<tr>" + "".join(_cell(value) for value in row) + "</tr>" for row in rows)
    return f'<div class="scroll" tabindex="0" role="region" aria-label="table"><table><thead><tr>{head}</tr></thead>' \
           f"<tbody>{body}</tbody></table></div>"


def _cell(value) -> str:
    number = isinstance(value, int | float)
    return f"<td{' class=number' if number else ''}>{escaped(f'{value:.4g}' if number else value or '')}</td>"


def chart(svg: bytes, text: str) -> str:
    """A chart as an image. text: what it shows, for those who do not see it."""
    data = base64.b64encode(svg).decode()
    return f'<img class="chart" alt="{escaped(text)}" src="data:image/svg+xml;base64,{data}">'


def cards(heading: str, numbers: Sequence[int]) -> str:
    """Pictures of cases, drawn by the script. numbers: of `cases`."""
    return f'<h3>{escaped(heading)}</h3><div class="cards" data-cases="{json.dumps(list(numbers))}"></div>' \
        if numbers else ""


def viewer() -> str:
    """The slice viewer; the script fills it."""
    figures = "".join(f'<figure id="plane{n}"><canvas tabindex="0" role="img" aria-label="{plane} slice; scroll with '
                      f'the arrow keys"></canvas><figcaption></figcaption></figure>'
                      for n, plane in enumerate(("axial", "coronal", "sagittal")))
    key = "".join(f'<span id="{name}"></span>{text}' for name, text in (
        ("kp", "predicted"), ("kr", "reference"), ("kh", "hit"), ("kf", "false"), ("km", "missed")))
    return ('<div id="viewer"><h3 id="which" aria-live="polite"></h3><div class="controls">'
            '<label>channel <select id="channel"></select></label>'
            '<label>overlay <select id="overlay"><option value="outlines">outlines</option>'
            '<option value="errors">areas: hits and mistakes</option>'
            '<option value="none">none</option></select></label>'
            '<label>black <input id="low" type="range" min="0" max="254" value="0"></label>'
            '<label>white <input id="high" type="range" min="1" max="255" value="255"></label></div>'
            f'<div class="planes">{figures}</div><p class="key">{key}</p>'
            '<p class="note">Scroll with the wheel, the arrow keys, Page Up and Page Down, or by dragging on a touch '
            "screen. Volumes are cropped, downsampled and stored with 8 bit.</p></div>")


def convolution() -> str:
    """The editable kernel over the slice of the viewer."""
    options = "".join(f'<option value="{values}">{escaped(name)}</option>' for name, values in PRESETS.items())
    names = ("upper left", "upper", "upper right", "left", "centre", "right", "lower left", "lower", "lower right")
    fields = "".join(f'<input type="number" step="any" value="{value}" aria-label="weight {name}">'
                     for name, value in zip(names, PRESETS["Sobel, vertical edges"].split(), strict=True))
    selected = options.replace('"1 0 -1 2 0 -2 1 0 -1">', '"1 0 -1 2 0 -2 1 0 -1" selected>')
    return ("<p>The kernel moves over the axial slice of the viewer. Each pixel of the response is the sum of the nine "
            "products of weights and grey values around this pixel (as convolution layers compute it, without a flip)."
            f'</p><div class="controls"><label>kernel <select id="preset">{selected}</select></label></div>'
            f'<div class="kernel">{fields}</div><div class="planes"><figure><canvas id="response" role="img" '
            'aria-label="response of the kernel"></canvas><figcaption id="range"></figcaption></figure></div>'
            '<p id="sum">Point at a pixel of the response to see its sum.</p>')


def case_table(columns: Sequence[str]) -> str:
    """The table of cases; the script fills, sorts and filters it."""
    head = "".join(f'<th scope="col" aria-sort="none"><button>{escaped(name)}</button></th>' for name in columns)
    return ('<div class="controls"><label>filter <input id="filter" type="search"></label>'
            '<label><input id="wrong" type="checkbox"> mistakes only</label>'
            '<span id="count" role="status"></span></div>'
            f'<div class="scroll" tabindex="0" role="region" aria-label="cases"><table id="table">'
            f'<thead><tr>{head}</tr>'
            '</thead><tbody id="rows"></tbody></table></div>')
