/* The picture: where things are drawn, in pixels. */

const plot = find("plot"), drawing = find("drawing"), frame = find("frame"), overview = find("overview");
const GUTTER = 56, HEAD = 50, RIGHT = 26, TALLEST = 22, WIDEST = 32, LEGIBLE = 14;
// Room for the sessions that are in no request.
const LEFT = GUTTER + (bars.some((bar) => bar.first === NONE) ? 70 : 12);
const MARKS = { crosses: "M-3 39l6 6m0 -6l-6 6", circles: "M-3 42a3 3 0 1 0 6 0a3 3 0 1 0 -6 0z", flags: "M0 37l4 8h-8z" };

let rows = []; // the bars that pass the filters
let visible = []; // the rows that have a bar in the columns in sight
let tops = [0]; // the top of each visible row, and the bottom of the last
let room = 0; // the height of all visible rows
let wide = 0; // a column
let zoom = 1, deepest = 1;
const cursor = { row: 0, column: 0 };
let pointer = null; // the mouse, in the window

const part = (name, within = drawing) => within.querySelectorAll(name);
const set = (node, values) => Object.entries(values).forEach(([name, value]) => node.setAttribute(name, value));

function rowAt(y) {
  let low = 0, high = visible.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (tops[middle] <= y) low = middle;
    else high = middle - 1;
  }
  return low;
}

function layout() {
  overview.toggleAttribute("hidden", zoom === 1 || !rows.length);
  if (!rows.length) return;
  const width = plot.offsetWidth - 2;
  const fit = (width - LEFT - RIGHT) / Math.max(1, columns.length);
  deepest = Math.max(1, WIDEST / fit);
  zoom = clamp(1, zoom, deepest);
  wide = fit * zoom;
  room = Math.min(clamp(180, innerHeight * 0.42, 560), rows.length * TALLEST);
  const full = Math.floor(LEFT + columns.length * wide + RIGHT);
  find("extent").style.width = `${full}px`;
  plot.style.height = `${HEAD + room + 6 + (full > width ? 18 : 2)}px`;
}

/** Share the height among the visible rows. Broken rows are high enough to read. */
function arrange() {
  const [first, last] = inSight();
  visible = rows.filter((bar) => bar.first <= last && (bar.open || bar.last >= first || (bar.last === NONE && first === 0)));
  const broken = visible.filter((bar) => bar.broken).length;
  const even = Math.min(TALLEST, room / visible.length);
  const ofBroken = broken && Math.max(even, Math.min(LEGIBLE, (room * 0.6) / broken));
  const ofOthers = Math.min(TALLEST, (room - ofBroken * broken) / (visible.length - broken));
  tops = new Float64Array(visible.length + 1);
  visible.forEach((bar, row) => (tops[row + 1] = tops[row] + (bar.broken ? ofBroken : ofOthers)));
}

/** The first and the last column in sight. */
function inSight() {
  const first = Math.floor((GUTTER - LEFT + plot.scrollLeft) / wide), last = Math.ceil((plot.clientWidth - LEFT + plot.scrollLeft) / wide);
  return [clamp(0, first, columns.length - 1), clamp(0, last, columns.length - 1)];
}

const x = (column) => LEFT + column * wide - plot.scrollLeft;
const y = (row) => HEAD + tops[row];
const left = (bar) => (bar.first === NONE ? GUTTER + 8 - plot.scrollLeft : x(bar.first));
const right = (bar) => (bar.last === NONE ? x(0) - 8 : x(bar.last + 1));

/** The outline of a bar. */
function outline(bar, top, height) {
  const gap = Math.min(3, height * 0.2), tall = Math.max(1.5, height - gap), from = left(bar), line = top + gap / 2;
  if (bar.open) {
    const tip = Math.min(10, tall);
    return `M${from} ${line}H${x(columns.length) + 6}l${tip} ${tall / 2}l${-tip} ${tall / 2}H${from}z`;
  }
  return `M${from} ${line}h${Math.max(1.5, right(bar) - from)}v${tall}H${from}z`;
}

/** The notches of a bar. Notches that no pixel separates are joined. */
function notches(bar, top, height, width) {
  let path = "", end = -Infinity;
  const size = clamp(0.75, wide * 0.5, 6);
  for (const { column } of bar.uses) {
    const start = x(column) + (wide - size) / 2;
    if (start < end + 0.75 || start < -size || start > width) continue;
    path += `M${start} ${top + height * 0.35}h${size}v${height * 0.3}h${-size}z`;
    end = start + size;
  }
  return path;
}

function text(words, x, y, kind) {
  const node = document.createElementNS(drawing.namespaceURI, "text");
  set(node, { x, y, class: kind });
  node.textContent = words;
  return node;
}

function draw() {
  if (!rows.length) return;
  arrange();
  const { clientWidth: width, clientHeight: height } = plot;
  set(drawing, { width, height, viewBox: `0 0 ${width} ${height}` });
  set(part("#inside rect")[0], { x: GUTTER, y: HEAD, width: Math.max(0, width - GUTTER), height: Math.max(0, height - HEAD) });
  set(part("#above rect")[0], { x: GUTTER, y: 0, width: Math.max(0, width - GUTTER), height: HEAD });
  const path = { healthy: "", broken: "", "healthy-use": "", "broken-use": "" };
  visible.forEach((bar, row) => {
    const tall = tops[row + 1] - tops[row], kind = bar.broken ? "broken" : "healthy";
    path[kind] += outline(bar, y(row), tall);
    if (tall >= 5) path[`${kind}-use`] += notches(bar, y(row), tall, width);
  });
  for (const kind in path) set(part(`g > .${kind}`)[0], { d: path[kind] });
  drawColumns(width, height);
  drawRows();
  set(part(".axes")[0], { d: `M${GUTTER} 0V${height}M0 ${HEAD}H${width}` });
  drawWindow();
  point();
}

/** The smallest round number of things of a size that fill some room. */
function round(room, size) {
  const least = size >= room ? 1 : room / size, power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].find((one) => one * power >= least) * power;
}

const bands = []; // neighbouring requests of a view
columns.forEach(({ view }, column) => {
  if (bands.at(-1)?.view === view) bands.at(-1).last = column;
  else bands.push({ view, first: column, last: column });
});

function drawColumns(width, height) {
  const written = [];
  let stripes = "";
  if (LEFT - GUTTER > 12 && x(0) > GUTTER) written.push(text("no request", x(0) - 8, 31, "end"));
  bands.forEach(({ view, first, last }, index) => {
    const start = Math.max(GUTTER, x(first)), room = Math.min(width, x(last + 1)) - start;
    if (room < 3 || x(last + 1) < GUTTER) return;
    if (index % 2 === 0) stripes += `M${start} 0h${room}V${height}h${-room}z`;
    const name = label(view), letters = Math.floor((room - 12) / 6.6);
    if (letters >= Math.min(6, name.length)) {
      written.push(text(name.length > letters ? name.slice(0, letters - 1) + "…" : name, start + 4, 14, "view"));
    }
  });
  const marks = { crosses: "", circles: "", flags: "" }, end = {}, step = round(38, wide);
  let empty = "", gap = NONE; // where the requests began that use no session
  const [first, last] = inSight();
  for (let column = first; column <= last; column++) {
    const request = columns[column], middle = x(column) + wide / 2;
    if (column % step === 0) written.push(text(request.number, middle, 31, "middle"));
    const kind = breaks.has(column) ? "flags" : request.injected ? "circles" : failed(request) ? "crosses" : "";
    if (kind && middle >= (end[kind] ?? -Infinity) + 4) {
      marks[kind] += MARKS[kind].replace(/^M(-?\d+)/, (_, offset) => `M${middle + Number(offset)}`);
      end[kind] = middle;
    }
    if (gap === NONE && !request.uses.length) gap = column;
    if (gap !== NONE && (request.uses.length || column === last)) {
      const stop = request.uses.length ? column : column + 1;
      empty += `M${x(gap) + 1} 43H${Math.max(x(gap) + 2.5, x(stop) - 1)}`;
      gap = NONE;
    }
  }
  part(".columns")[0].replaceChildren(...written);
  part(".stripes").forEach((node) => set(node, { d: stripes }));
  set(part(".empty")[0], { d: empty });
  for (const kind in marks) set(part(`.${kind}`)[0], { d: marks[kind] });
}

function drawRows() {
  const written = [text("request", GUTTER - 6, 31, "end"), text("session", GUTTER - 6, HEAD - 5, "end")];
  const taken = [];
  const write = (row, words, kind) => {
    const middle = (y(row) + y(row + 1)) / 2;
    if (taken.some((one) => Math.abs(one - middle) < 11)) return;
    taken.push(middle);
    written.push(text(words, GUTTER - 6, middle + 4, kind));
  };
  visible.forEach((bar, row) => bar.broken && write(row, `▲ ${bar.session.number}`, "end alert"));
  const healthy = visible.findIndex((bar) => !bar.broken);
  const step = healthy < 0 ? 1 : round(11, tops[healthy + 1] - tops[healthy]);
  visible.forEach(({ broken, session }, row) => !broken && session.number % step === 0 && write(row, session.number, "end"));
  part(".rows")[0].replaceChildren(...written);
}

/* The overview shows all sessions. A column is 1 there. */

/** Mark the columns in sight in the overview. */
function drawWindow() {
  if (zoom === 1) return;
  const [first, last] = inSight(), { y, height } = overview.viewBox.baseVal;
  set(part(".window", overview)[0], { x: Number(overview.dataset.margin) + first, y, width: last + 1 - first, height });
}

/** What is under the mouse. */
function under({ clientX, clientY }) {
  const box = plot.getBoundingClientRect(), across = clientX - box.left, down = clientY - box.top;
  const column = Math.floor((across - LEFT + plot.scrollLeft) / wide);
  const depth = down - HEAD;
  return {
    x: across, y: down,
    row: down < HEAD || depth > tops.at(-1) ? null : rowAt(depth),
    column: across < GUTTER || column < 0 || column >= columns.length ? NONE : column,
  };
}

/** Put the crosshair, the focus ring and the tip where the mouse or the keyboard is. */
function point() {
  const at = (pointer && under(pointer)) ?? (document.activeElement === find("bar") ? { column: cursor.column, row: visible.indexOf(rows[cursor.row]) } : null);
  const crosshair = part(".crosshair")[0], tip = find("tip"), bar = rows[cursor.row], row = visible.indexOf(bar);
  if (row >= 0) {
    const from = clamp(GUTTER, left(bar), plot.clientWidth - 12);
    const to = clamp(from + 8, bar.open ? x(columns.length) + 16 : right(bar), plot.clientWidth);
    const tall = tops[row + 1] - tops[row];
    Object.assign(find("bar").style, {
      left: `${from}px`, width: `${to - from}px`,
      top: `${y(row) - Math.max(0, 8 - tall) / 2}px`, height: `${Math.max(8, tall)}px`,
    });
    find("bar").setAttribute("aria-label", described(bar, cursor.row));
  }
  tip.hidden = !at;
  crosshair.toggleAttribute("hidden", !at || at.column === NONE);
  if (!at) return;
  set(crosshair, { x: x(at.column), y: 0, width: Math.max(1, wide), height: plot.clientHeight });
  const lines = [at.column === NONE ? "" : aboutColumn(at.column), visible[at.row] ? aboutBar(visible[at.row]) : ""];
  tip.replaceChildren(...lines.filter(Boolean).map((line) => el("span", {}, line)));
  tip.hidden = !tip.childElementCount;
  const box = plot.getBoundingClientRect();
  const across = at.x ?? Math.max(x(at.column), GUTTER), down = at.y ?? y(at.row + 1);
  tip.style.left = `${clamp(8, box.left + across + 14, document.documentElement.clientWidth - tip.offsetWidth - 8) + scrollX}px`;
  tip.style.top = `${box.top + down + 16 + scrollY}px`;
}

/** Bring a column into sight. */
function reveal(column) {
  const start = column * wide, space = plot.clientWidth - LEFT - RIGHT;
  if (start < plot.scrollLeft || start + wide > plot.scrollLeft + space) plot.scrollLeft = start - space / 2;
}

/** Zoom, and keep a column where it is. `by` is 0 for the whole picture. */
function magnify(by, column, across) {
  zoom = by === 0 ? 1 : clamp(1, zoom * by, deepest);
  if (zoom < 1.01) zoom = 1;
  layout();
  plot.scrollLeft = column * wide - across + LEFT;
  draw();
  rememberZoom();
}

/** Zoom at the bar of the keyboard: the open session, or the first broken session. */
function magnifyAtCursor(by) {
  if (!rows.length) return;
  const across = x(cursor.column + 0.5), there = across > GUTTER && across < plot.clientWidth;
  magnify(by, cursor.column + 0.5, there ? across : (GUTTER + plot.clientWidth) / 2);
}
