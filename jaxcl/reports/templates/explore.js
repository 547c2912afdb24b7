"use strict";
// Names come from strangers' data: they become text, never markup.
(() => {
  // Okabe and Ito's colors, which color-blind people tell apart, in several shapes.
  const COLORS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a900", "#882255"];
  const SHAPES = ["circle", "triangle", "square", "diamond"];
  const MISSING = "#b4b9bf", OTHER = "other values", UNKNOWN = "unknown";
  // Cividis, from low to high.
  const SCALE = [[0, 34, 78], [53, 69, 108], [102, 105, 112], [148, 142, 119], [200, 184, 102], [254, 232, 56]];
  const MOST_ROWS = 200, MOST_THUMBS = 400;
  const page = JSON.parse(document.getElementById("data").textContent);
  const total = page.images.length, byId = id => document.getElementById(id);

  function make(tag, text, attributes) {
    const node = document.createElement(tag);
    if (text !== undefined && text !== null) node.textContent = text;
    return Object.assign(node, attributes);
  }
  function value(column, i) {
    const found = column.values[i];
    return column.kind === "category" && found !== null ? column.levels[found] : found;
  }
  function told(column, i) {
    const found = value(column, i);
    return found === null ? "–" : String(found);
  }
  function name(i) {
    const named = page.columns.filter(c => c.name === "label" || c.name === "domain");
    return named.map(c => told(c, i)).join(", ") || `image ${i + 1}`;
  }
  function image(i, kind) {
    const uri = page.images[i];
    return uri ? make("img", null, {src: uri, alt: name(i), className: kind || ""})
      : make("span", null, {className: "none", title: "no image"});
  }

  // How each point looks: a color, a shape, and the list of these.
  function scaled(share) {
    const at = share * (SCALE.length - 1), i = Math.min(Math.floor(at), SCALE.length - 2);
    const mixed = SCALE[i].map((low, k) => Math.round(low + (at - i) * (SCALE[i + 1][k] - low)));
    return `rgb(${mixed.join(",")})`;
  }
  function numbers(column) {
    const known = column.values.filter(v => v !== null);
    const low = known.reduce((a, b) => Math.min(a, b), Infinity);
    const high = known.reduce((a, b) => Math.max(a, b), -Infinity);
    const color = column.values.map(
      v => v === null ? MISSING : scaled(high > low ? (v - low) / (high - low) : 0.5));
    const steps = Array.from({length: 11}, (_, i) => scaled(i / 10)).join(",");
    const bar = make("div", null, {className: "bar"}), strip = make("i"), ends = make("span");
    strip.style.background = `linear-gradient(90deg, ${steps})`;
    ends.append(make("span", low), make("span", column.name), make("span", high));
    bar.append(strip, ends);
    const missing = column.values.flatMap((v, i) => v === null ? [i] : []);
    const entries = known.length ? [bar] : [];
    if (missing.length) entries.push(entry(MISSING, "circle", UNKNOWN, missing));
    return {color, marker: Array(total).fill("circle"), entries};
  }
  function categories(column) {
    const groups = column.levels.map(() => []), missing = [];
    column.values.forEach((v, i) => (v === null ? missing : groups[v]).push(i));
    const order = column.levels.map((_, k) => k).filter(k => groups[k].length);
    const most = COLORS.length * SHAPES.length;
    let shown = order, rest = [];
    if (order.length > most) {
      const ranked = [...order].sort((a, b) => groups[b].length - groups[a].length);
      const kept = new Set(ranked.slice(0, most));
      shown = order.filter(k => kept.has(k));
      rest = ranked.slice(most).flatMap(k => groups[k]);
    }
    const color = Array(total).fill(MISSING), marker = Array(total).fill("circle");
    const entries = shown.map((k, place) => {
      const paint = COLORS[place % COLORS.length];
      const shape = SHAPES[Math.floor(place / COLORS.length)];
      for (const i of groups[k]) { color[i] = paint; marker[i] = shape; }
      return entry(paint, shape, column.levels[k], groups[k]);
    });
    if (rest.length) entries.push(entry(MISSING, "circle", OTHER, rest));
    if (missing.length) entries.push(entry(MISSING, "circle", UNKNOWN, missing));
    return {color, marker, entries};
  }
  const DRAWN = {
    circle: "M6 1a5 5 0 1 0 .01 0z", triangle: "M6 1L11.5 11H.5z",
    square: "M1.5 1.5h9v9h-9z", diamond: "M6 0L11 6L6 12L1 6z",
  };
  function entry(paint, shape, text, members) {
    const button = make("button", null, {type: "button", title: "Select these images"});
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    svg.setAttribute("viewBox", "0 0 12 12");
    svg.setAttribute("aria-hidden", "true");
    path.setAttribute("d", DRAWN[shape]);
    path.style.fill = paint;
    svg.append(path);
    button.append(svg, `${text} (${members.length})`);
    button.onclick = () => { points.selected.indices = members; };
    return button;
  }

  let plot, points, thumbs, coordinates, look, waiting = 0, inside = [];
  // Equal units on both axes, so that distances are what they seem.
  function fit() {
    const [xs, ys] = coordinates;
    const width = plot.inner_width || 800, height = plot.inner_height || 500;
    const ends = values => values.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
    const [[left, right], [low, high]] = [ends(xs), ends(ys)];
    const unit = 1.1 * Math.max((right - left) / width, (high - low) / height, 1e-9);
    const set = (range, middle, size) => {
      const [start, end] = [middle - unit * size / 2, middle + unit * size / 2];
      range.setv({reset_start: start, reset_end: end, start, end});
    };
    set(plot.x_range, (left + right) / 2, width);
    set(plot.y_range, (low + high) / 2, height);
  }
  // Of every cell of the window one image, so that no thumbnail hides another.
  function thin(side) {
    const {x_range: x, y_range: y} = plot, [xs, ys] = coordinates;
    const wide = side * (x.end - x.start) / (plot.inner_width || 800);
    const tall = side * (y.end - y.start) / (plot.inner_height || 500);
    const cells = new Map(), chosen = [];
    let visible = 0;
    for (let i = 0; i < total; i++) {
      if (xs[i] < x.start || xs[i] > x.end || ys[i] < y.start || ys[i] > y.end) continue;
      visible++;
      const column = Math.floor(xs[i] / wide), row = Math.floor(ys[i] / tall);
      let free = page.images[i] && chosen.length < MOST_THUMBS;
      // Thumbnails stand where their points are, so neighboring cells count too.
      for (let a = -1; free && a <= 1; a++)
        for (let b = -1; free && b <= 1; b++) {
          const other = cells.get(`${column + a},${row + b}`);
          if (other !== undefined && Math.abs(xs[i] - xs[other]) < wide
              && Math.abs(ys[i] - ys[other]) < tall) free = false;
        }
      if (!free) continue;
      cells.set(`${column},${row}`, i);
      chosen.push(i);
    }
    return [chosen, visible];
  }
  function drawThumbs() {
    let side = 0, chosen = [], visible = total;
    if (byId("thumbnails").checked)
      for (side of [64, 48, 36]) {
        [chosen, visible] = thin(side + 4);
        if (chosen.length >= Math.min(visible, 60)) break;
      }
    inside = chosen;
    const [xs, ys] = coordinates, pick = values => chosen.map(i => values[i]);
    const named = found => plot.renderers.find(r => r.name === found).glyph;
    named("images").w = named("images").h = {value: side, units: "screen"};
    named("frames").size = {value: side + 2};
    thumbs.data = {x: pick(xs), y: pick(ys), color: pick(look.color), url: pick(page.images)};
    byId("shown").textContent = `${total.toLocaleString("en")} images`
      + (chosen.length && chosen.length < visible ? "; zoom in for more thumbnails" : "");
  }
  function drawSoon() {
    clearTimeout(waiting);
    waiting = setTimeout(drawThumbs, 60);
  }
  function draw() {
    const column = page.columns.find(c => c.name === byId("color").value);
    look = !column ? {color: Array(total).fill(COLORS[0]), marker: Array(total).fill("circle"), entries: []}
      : column.kind === "number" ? numbers(column) : categories(column);
    byId("legend").replaceChildren(...look.entries);
    coordinates = page.maps[byId("map").value];
    points.data = {x: coordinates[0], y: coordinates[1], color: look.color, marker: look.marker};
    drawSoon();
  }

  function show(i) {
    const rows = make("tbody"), table = make("table"), near = make("div", null, {className: "thumbs"});
    for (const column of page.columns) {
      const row = make("tr");
      row.append(make("th", column.name, {scope: "row"}), make("td", told(column, i)));
      rows.append(row);
    }
    table.append(rows);
    for (const j of page.neighbors[i]) {
      const one = make("span", null, {className: "thumb"});
      one.append(image(j), make("span", name(j), {className: "names"}));
      near.append(one);
    }
    byId("detail").replaceChildren(
      image(i, "big"), table, make("p", "Nearest neighbors", {className: "when"}), near);
  }
  function list(chosen) {
    byId("selection").hidden = !chosen.length;
    byId("count").textContent = `${chosen.length.toLocaleString("en")} images`;
    const table = byId("selection").querySelector("table"), head = make("tr");
    head.append(make("th", "image", {scope: "col"}), ...page.columns.map(c => make("th", c.name, {scope: "col"})));
    table.tHead.replaceChildren(head);
    table.tBodies[0].replaceChildren(...chosen.slice(0, MOST_ROWS).map(i => {
      const row = make("tr"), cell = make("td");
      cell.append(image(i));
      row.append(cell, ...page.columns.map(c => make("td", told(c, i))));
      row.onmouseenter = () => show(i);
      return row;
    }));
    byId("more").textContent = chosen.length > MOST_ROWS
      ? `The first ${MOST_ROWS} are listed; all are saved.` : "";
  }
  function rows() {
    return points.selected.indices.map(
      i => Object.fromEntries(page.columns.map(c => [c.name, value(c, i)])));
  }
  function csv() {
    const quote = cell => cell === null ? "" : `"${String(cell).replaceAll('"', '""')}"`;
    const names = page.columns.map(c => c.name);
    return [names, ...rows().map(row => names.map(n => row[n]))]
      .map(line => line.map(quote).join(",")).join("\r\n") + "\r\n";
  }
  function save(text, file, type) {
    const link = make("a", null, {href: URL.createObjectURL(new Blob([text], {type})), download: file});
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  function start() {
    const root = Bokeh.documents[0];
    plot = root.get_model_by_name("plot");
    const source = found => plot.renderers.find(r => r.name === found).data_source;
    [points, thumbs] = [source("dots"), source("frames")];
    for (const map of Object.keys(page.maps)) byId("map").append(new Option(map));
    for (const column of page.columns)
      if (column.kind !== "text") byId("color").append(new Option(column.name));
    byId("color").append(new Option("none", ""));
    byId("map").onchange = () => { draw(); fit(); };
    byId("color").onchange = draw;
    byId("thumbnails").onchange = drawThumbs;
    points.inspect.connect(() => { const [i] = points.inspected.indices; if (i !== undefined) show(i); });
    thumbs.inspect.connect(() => { const [i] = thumbs.inspected.indices; if (i !== undefined) show(inside[i]); });
    points.selected.properties.indices.change.connect(() => list(points.selected.indices));
    thumbs.selected.properties.indices.change.connect(() => {
      const [i] = thumbs.selected.indices;
      if (i === undefined) return;
      thumbs.selected.indices = [];
      points.selected.indices = [inside[i]];
      show(inside[i]);
    });
    byId("clear").onclick = () => { points.selected.indices = []; };
    byId("csv").onclick = () => save(csv(), "selected.csv", "text/csv");
    byId("json").onclick = () => save(JSON.stringify(rows(), null, 1), "selected.json", "application/json");
    for (const range of [plot.x_range, plot.y_range]) range.change.connect(drawSoon);
    for (const size of ["inner_width", "inner_height"])
      plot.properties[size].change.connect(() => { fit(); drawSoon(); });
    draw();
    fit();
    drawThumbs();
    window.explorer = {page, plot, points, thumbs, show, list, csv, rows, draw, drawThumbs};
    document.documentElement.dataset.ready = String(Math.round(performance.now()));
  }
  // Bokeh draws when the document is complete, and is found here soon after.
  (function wait() {
    const ready = window.Bokeh && Bokeh.documents.length && Bokeh.documents[0].get_model_by_name("plot");
    if (ready) start(); else setTimeout(wait, 10);
  })();
})();
