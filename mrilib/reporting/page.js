"use strict";
(() => {
  const data = JSON.parse(document.getElementById("contents").textContent);
  const at = (id) => document.getElementById(id);
  const make = (tag, text) => { const e = document.createElement(tag); if (text !== undefined) e.textContent = text; return e; };
  // Okabe and Ito's colours, which the colour-blind tell apart
  const HIT = [0, 158, 115], FALSE = [213, 94, 0], MISSED = [86, 180, 233], REFERENCE = [240, 228, 66], PREDICTED = [204, 121, 167];
  const css = (colour) => `rgb(${colour.join(",")})`;
  const PLANES = ["axial", "coronal", "sagittal"];

  // ---- sprites: the slices of a case side by side on one picture, read back as pixels
  const decoded = new Map();
  function pixels(source) {
    if (!decoded.has(source)) {
      if (decoded.size > 40) decoded.clear();
      decoded.set(source, new Promise((done, failed) => {
        const image = new Image();
        image.onload = () => {
          const canvas = make("canvas");
          canvas.width = image.width; canvas.height = image.height;
          const context = canvas.getContext("2d", { willReadFrequently: true });
          context.drawImage(image, 0, 0);
          done({ width: image.width, values: context.getImageData(0, 0, image.width, image.height).data });
        };
        image.onerror = () => failed(new Error("a picture cannot be decoded"));
        image.src = source;
      }));
    }
    return decoded.get(source);
  }
  const extent = (size, plane) => plane === 0 ? [size[2], size[1], size[0]] : plane === 1 ? [size[2], size[0], size[1]] : [size[1], size[0], size[2]];
  const voxel = (plane, place, u, v, depth) => plane === 0 ? [place, v, u] : plane === 1 ? [depth - 1 - v, place, u] : [depth - 1 - v, u, place];

  // draw one slice; returns its grey values for the filter
  async function draw(canvas, shown, state, plane, place) {
    const [wide, high] = extent(shown.size, plane), [depth, rows, columns] = shown.size;
    const sprite = await pixels(shown.sprites[Math.min(state.channel, shown.sprites.length - 1)]);
    const label = shown.label ? await pixels(shown.label) : null;
    const offset = (u, v, width) => {
      const [z, y, x] = voxel(plane, place, u, v, depth);
      return 4 * ((Math.floor(z / shown.columns) * rows + y) * width + (z % shown.columns) * columns + x);
    };
    canvas.width = wide; canvas.height = high;
    const context = canvas.getContext("2d"), output = context.createImageData(wide, high), grey = new Float32Array(wide * high);
    const gain = 255 / Math.max(state.high - state.low, 1);
    const numbers = (u, v) => { const i = offset(u, v, label.width); return [label.values[i], label.values[i + 1]]; };
    for (let v = 0; v < high; v++) for (let u = 0; u < wide; u++) {
      const i = offset(u, v, sprite.width), o = 4 * (v * wide + u);
      let colour = [0, 1, 2].map((c) => (sprite.values[i + c] - state.low) * gain);
      grey[v * wide + u] = sprite.values[i];
      if (label && state.overlay !== "none") {
        const [p, r] = numbers(u, v), areas = state.overlay === "errors";
        let tint = null;
        if (areas && (p || r)) {
          tint = !shown.compared ? PREDICTED : p === r ? HIT : !r ? FALSE : !p ? MISSED : PREDICTED;
          colour = colour.map((value, c) => 0.55 * Math.max(0, Math.min(255, value)) + 0.45 * tint[c]);
        } else if (!areas) {
          const edge = (k, own) => own && [[-1, 0], [1, 0], [0, -1], [0, 1]].some(([a, b]) => u + a >= 0 && v + b >= 0 && u + a < wide && v + b < high && numbers(u + a, v + b)[k] !== own);
          if (edge(0, p)) colour = PREDICTED; else if (edge(1, r)) colour = REFERENCE;
        }
      }
      output.data.set([colour[0], colour[1], colour[2], 255], o);
    }
    context.putImageData(output, 0, 0);
    if (plane === 0 && state.overlay !== "none") for (const [x0, y0, x1, y1, kind] of shown.boxes) {
      context.strokeStyle = css({ reference: REFERENCE, hit: HIT, false: FALSE, missed: MISSED, ignored: PREDICTED }[kind]);
      context.lineWidth = Math.max(1, wide / 200); context.strokeRect(x0, y0, x1 - x0, y1 - y0);
    }
    const [sz, sy, sx] = shown.spacing;
    canvas.style.aspectRatio = plane === 0 ? `${wide * sx} / ${high * sy}` : plane === 1 ? `${wide * sx} / ${high * sz}` : `${wide * sy} / ${high * sz}`;
    return { grey, wide, high };
  }

  // ---- the viewer
  const state = { case: null, channel: 0, low: 0, high: 255, overlay: "outlines", places: [0, 0, 0] };
  let slice = null;
  async function refresh() {
    const shown = state.case && state.case.picture;
    if (!shown) return;
    for (let plane = 0; plane < 3; plane++) {
      const figure = at("plane" + plane);
      figure.hidden = plane > 0 && shown.size[0] === 1;
      if (figure.hidden) continue;
      const count = extent(shown.size, plane)[2], result = await draw(figure.querySelector("canvas"), shown, state, plane, state.places[plane]);
      figure.querySelector("figcaption").textContent = count > 1 ? `${PLANES[plane]}, slice ${state.places[plane] + 1} of ${count}` : "image";
      if (plane === 0) { slice = result; filter(); }
    }
  }
  function open(one, focus) {
    if (!one.picture) return;
    state.case = one; state.channel = 0;
    state.places = one.picture.places.slice();
    at("which").textContent = one.id + (one.text ? " – " + one.text : "");
    at("channel").replaceChildren(...one.picture.channels.map((name, i) => { const o = make("option", name); o.value = i; return o; }));
    refresh();
    if (focus) { at("viewer").scrollIntoView(); at("plane0").querySelector("canvas").focus({ preventScroll: true }); }
  }
  function move(plane, by) {
    const count = extent(state.case.picture.size, plane)[2];
    state.places[plane] = Math.max(0, Math.min(count - 1, state.places[plane] + by));
    refresh();
  }
  if (at("viewer")) {
    for (let plane = 0; plane < 3; plane++) {
      const canvas = at("plane" + plane).querySelector("canvas");
      let start = 0;
      canvas.addEventListener("wheel", (e) => { if (state.case.picture.size[0] > 1) { e.preventDefault(); move(plane, Math.sign(e.deltaY)); } }, { passive: false });
      canvas.addEventListener("keydown", (e) => {
        const by = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 10, PageDown: -10, Home: -1e6, End: 1e6 }[e.key];
        if (by) { e.preventDefault(); move(plane, by); }
      });
      canvas.addEventListener("touchstart", (e) => { start = e.touches[0].clientY; }, { passive: true });
      canvas.addEventListener("touchmove", (e) => {
        const steps = Math.trunc((start - e.touches[0].clientY) / 6);
        if (steps) { start = e.touches[0].clientY; move(plane, steps); }
      }, { passive: true });
    }
    for (const [id, name] of [["channel", "channel"], ["low", "low"], ["high", "high"], ["overlay", "overlay"]])
      at(id).addEventListener("input", (e) => { state[name] = id === "overlay" ? e.target.value : Number(e.target.value); refresh(); });
    for (const [id, colour] of [["kp", PREDICTED], ["kr", REFERENCE], ["kh", HIT], ["kf", FALSE], ["km", MISSED]]) at(id).style.background = css(colour);
  }

  // ---- a convolution of the axial slice by the kernel in the fields
  const fields = [...document.querySelectorAll(".kernel input")];
  const kernel = () => fields.map((field) => Number(field.value) || 0);
  const near = (u, v) => { // the 3 x 3 grey values around a pixel, edges repeated
    const values = [];
    for (let b = -1; b <= 1; b++) for (let a = -1; a <= 1; a++)
      values.push(slice.grey[Math.max(0, Math.min(slice.high - 1, v + b)) * slice.wide + Math.max(0, Math.min(slice.wide - 1, u + a))]);
    return values;
  };
  function filter() {
    if (!slice || !fields.length) return;
    const weights = kernel(), canvas = at("response"), { wide, high } = slice;
    canvas.width = wide; canvas.height = high;
    const response = new Float32Array(wide * high);
    let low = Infinity, top = -Infinity;
    for (let v = 0; v < high; v++) for (let u = 0; u < wide; u++) {
      const sum = near(u, v).reduce((total, value, i) => total + value * weights[i], 0);
      response[v * wide + u] = sum; low = Math.min(low, sum); top = Math.max(top, sum);
    }
    const context = canvas.getContext("2d"), output = context.createImageData(wide, high);
    response.forEach((value, i) => { const g = 255 * (value - low) / Math.max(top - low, 1e-6); output.data.set([g, g, g, 255], 4 * i); });
    context.putImageData(output, 0, 0);
    at("range").textContent = `Response from ${low.toFixed(1)} (black) to ${top.toFixed(1)} (white).`;
  }
  fields.forEach((field) => field.addEventListener("input", filter));
  if (fields.length) {
    at("preset").addEventListener("input", (e) => { e.target.value.split(" ").forEach((value, i) => { fields[i].value = value; }); filter(); });
    at("response").addEventListener("pointermove", (e) => {
      if (!slice) return;
      const frame = e.target.getBoundingClientRect(), u = Math.floor((e.clientX - frame.left) / frame.width * slice.wide), v = Math.floor((e.clientY - frame.top) / frame.height * slice.high);
      const weights = kernel(), values = near(u, v);
      at("sum").textContent = `x ${u}, y ${v}: ` + values.map((value, i) => `${value.toFixed(0)}·${weights[i]}`).join(" + ") + ` = ${values.reduce((s, value, i) => s + value * weights[i], 0).toFixed(1)}`;
    });
  }

  // ---- the table of cases
  const body = at("rows"), order = { column: -1, up: true };
  let rows = data.cases.slice();
  const cell = (one, i) => one.row[i];
  function fill() {
    const words = at("filter").value.toLowerCase(), wrong = at("wrong").checked;
    const kept = rows.filter((one) => (!wrong || one.wrong) && (!words || one.row.join(" ").toLowerCase().includes(words)));
    body.replaceChildren(...kept.map((one) => {
      const line = make("tr");
      one.row.forEach((value, i) => {
        const td = make("td");
        if (i === 0 && one.picture) { const b = make("button", value); b.addEventListener("click", () => open(one, true)); td.append(b); }
        else td.textContent = typeof value === "number" ? +value.toPrecision(4) : value ?? "";
        if (typeof value === "number") td.className = "number";
        line.append(td);
      });
      return line;
    }));
    at("count").textContent = `${kept.length} of ${rows.length} cases`;
  }
  function sort(i) {
    order.up = order.column === i ? !order.up : true; order.column = i;
    const empty = (value) => value === null || value === "";
    rows.sort((a, b) => {
      const one = cell(a, i), other = cell(b, i);
      if (empty(one) || empty(other)) return empty(one) - empty(other);
      return (typeof one === "number" && typeof other === "number" ? one - other : String(one).localeCompare(String(other), "en", { numeric: true })) * (order.up ? 1 : -1);
    });
    document.querySelectorAll("#table thead th").forEach((th, k) => th.setAttribute("aria-sort", k !== i ? "none" : order.up ? "ascending" : "descending"));
    fill();
  }
  if (body) {
    document.querySelectorAll("#table thead button").forEach((button, i) => button.addEventListener("click", () => sort(i)));
    at("filter").addEventListener("input", fill); at("wrong").addEventListener("input", fill);
    fill();
  }
  for (const holder of document.querySelectorAll(".cards")) for (const i of JSON.parse(holder.dataset.cases)) {
    const one = data.cases[i], button = make("button"), canvas = make("canvas");
    canvas.setAttribute("role", "img"); canvas.setAttribute("aria-label", "picture of " + one.id);
    button.append(canvas, make("div", one.id), make("div", one.text));
    button.addEventListener("click", () => open(one, true));
    holder.append(button);
    draw(canvas, one.picture, { channel: 0, low: 0, high: 255, overlay: "outlines" }, 0, one.picture.places[0]).then(() => { canvas.style.aspectRatio = ""; });
  }
  const holder = document.querySelector(".cards"), first = holder && data.cases[JSON.parse(holder.dataset.cases)[0]];
  if (first) open(first, false);
})();
