"use strict";

const OUTSIDE = -1; // the place before the first request, and the view of no view
const find = (id) => document.getElementById(id);
const data = JSON.parse(find("data").textContent);
const place = (number) => data.places[number] ?? "";
const label = (view) => data.views[view]?.label ?? "outside of the admin";
const clamp = (low, value, high) => Math.max(low, Math.min(high, value));

/* The recording: a column for each request, a bar for each session. */

for (const request of data.requests) {
  request.view ??= OUTSIDE;
  request.uses ??= [];
}
const columns = data.requests.toSorted(
  (one, other) => (one.started ?? 0) - (other.started ?? 0) || one.number - other.number,
);
const columnOf = [];
columns.forEach((request, column) => (columnOf[request.number] = column));

const bars = data.sessions.map((session) => ({ session, uses: [], violations: [], instances: [] }));
columns.forEach((request, column) => {
  for (const use of request.uses) bars[use.session].uses.push({ ...use, request, column });
});
for (const violation of data.violations) {
  violation.sessions ??= [];
  violation.view ??= OUTSIDE;
  for (const number of violation.sessions) bars[number].violations.push(violation);
}
for (const kept of data.kept_instances) bars[kept.session].instances.push(kept);
for (const bar of bars) {
  const { session, uses } = bar;
  const last = uses.at(-1);
  bar.broken = bar.violations.length > 0;
  bar.rules = [...new Set(bar.violations.map((violation) => violation.rule))];
  bar.open = Boolean(session.kept || !session.closed);
  bar.from = session.born_in === undefined ? OUTSIDE : (uses[0]?.column ?? columnOf[session.born_in]);
  if (bar.open) bar.to = columns.length;
  else if (last?.closed) bar.to = last.column;
  else if (bar.from === OUTSIDE && !last) bar.to = OUTSIDE;
  else bar.to = Math.max(bar.from, last?.column ?? 0, columns.findLastIndex((one) => (one.started ?? 0) <= session.released));
  bar.views = new Set(uses.map((use) => use.request.view));
  for (const violation of bar.violations) bar.views.add(violation.view);
  data.views.forEach((view, number) => view.session === session.number && bar.views.add(number));
}
const ordered = bars.toSorted(
  (one, other) => one.from - other.from || one.session.number - other.session.number,
);

const bands = []; // neighbouring requests of one view
columns.forEach((request, column) => {
  if (bands.at(-1)?.view === request.view) bands.at(-1).to = column;
  else bands.push({ view: request.view, from: column, to: column });
});

const failed = (request) => Boolean(request.exception || request.stream_exception || request.status >= 500);

/* The filters, the zoom and the open panel. They are in the address, so that a link keeps them. */

const asked = { view: "", rule: "", broken: "", session: "", request: "", zoom: "", at: "" };

function address(changes) {
  const given = Object.entries({ ...asked, ...changes }).filter(([, value]) => value !== "");
  return "#" + given.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&");
}

function read() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const name in asked) asked[name] = given.get(name) ?? "";
}

function go(changes, { remember = false } = {}) {
  Object.assign(asked, changes);
  history[remember ? "pushState" : "replaceState"](null, "", address());
}

/* Where things are drawn, in pixels. */

const plot = find("plot"), drawing = find("drawing"), frame = find("frame"), overview = find("overview");
const GUTTER = 56, MARGIN = 58, LEFT = GUTTER + MARGIN, RIGHT = 26, HEAD = 50;
const TALLEST = 22, WIDEST = 32, LEGIBLE = 14;

let shown = []; // the bars that pass the filters
let tops = [0]; // the top of each row, and the bottom of the last row
let wide = 0; // a column
let zoom = 1, widest = 1;
const cursor = { row: 0, column: 0 };
let hover = null;

function rowAt(y) {
  let low = 0, high = shown.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (tops[middle] <= y) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** Make the broken rows high enough to read. The other rows share the rest. */
function layout() {
  if (!shown.length) return drawOverview(0);
  const width = plot.offsetWidth - 2;
  const height = clamp(180, innerHeight * 0.62, 640);
  const broken = shown.filter((bar) => bar.broken).length;
  const even = Math.min(TALLEST, height / shown.length);
  const ill = broken && Math.max(even, Math.min(LEGIBLE, (height * 0.6) / broken));
  const well = Math.min(TALLEST, (height - ill * broken) / (shown.length - broken));
  const fit = Math.min(WIDEST, (width - LEFT - RIGHT) / Math.max(1, columns.length));
  widest = Math.max(1, WIDEST / fit);
  zoom = clamp(1, zoom, widest);
  wide = fit * zoom;
  tops = new Float64Array(shown.length + 1);
  shown.forEach((bar, row) => {
    tops[row + 1] = tops[row] + Math.min(TALLEST, (bar.broken ? ill : well) * zoom);
  });
  const [full, long] = [Math.floor(LEFT + columns.length * wide + RIGHT), Math.floor(HEAD + tops.at(-1) + 6)];
  find("extent").style.width = `${full}px`;
  find("extent").style.height = `${long}px`;
  plot.style.height = `${Math.min(long, HEAD + height + 6) + (full > width ? 18 : 2)}px`;
  drawOverview(width);
}

/** The outline of a bar in a row. `x` gives the left edge of a column. */
function outline(bar, x, top, height, before) {
  const from = bar.from === OUTSIDE ? before : x(bar.from);
  const gap = Math.min(3, height * 0.2);
  const tall = Math.max(1, height - gap);
  const y = top + gap / 2;
  if (bar.open) {
    const to = x(columns.length) + 6, tip = Math.min(10, tall);
    return `M${from} ${y}H${to}l${tip} ${tall / 2}l${-tip} ${tall / 2}H${from}z`;
  }
  const to = bar.to === OUTSIDE ? x(0) - 8 : x(bar.to + 1);
  return `M${from} ${y}h${Math.max(1.5, to - from)}v${tall}H${from}z`;
}

/** The notches of a bar. Notches that no pixel separates are joined. */
function notches(bar, x, top, height, width) {
  let path = "", right = -Infinity;
  const size = Math.max(0.75, Math.min(wide * 0.5, 6));
  for (const { column } of bar.uses) {
    const left = x(column) + (wide - size) / 2;
    if (left < right + 0.75 || left < -size || left > width) continue;
    path += `M${left} ${top + height * 0.35}h${size}v${height * 0.3}h${-size}z`;
    right = left + size;
  }
  return path;
}

const part = (name, within = drawing) => within.querySelectorAll(name);
const set = (node, values) => Object.entries(values).forEach(([name, value]) => node.setAttribute(name, value));

function text(words, x, y, kind) {
  const node = document.createElementNS(drawing.namespaceURI, "text");
  set(node, { x, y, class: kind });
  node.textContent = words;
  return node;
}

function draw() {
  if (!shown.length) return;
  const { scrollLeft, scrollTop, clientWidth: width, clientHeight: height } = plot;
  const x = (column) => LEFT + column * wide - scrollLeft;
  const y = (row) => HEAD + tops[row] - scrollTop;
  set(drawing, { width, height, viewBox: `0 0 ${width} ${height}` });
  set(part("#inside rect")[0], { x: GUTTER, y: HEAD, width: Math.max(0, width - GUTTER), height: Math.max(0, height - HEAD) });
  set(part("#above rect")[0], { x: GUTTER, y: 0, width: Math.max(0, width - GUTTER), height: HEAD });

  const path = { healthy: "", broken: "", "healthy-use": "", "broken-use": "" };
  for (let row = rowAt(scrollTop); row < shown.length && y(row) < height; row++) {
    const bar = shown[row], top = y(row), tall = tops[row + 1] - tops[row];
    const kind = bar.broken ? "broken" : "healthy";
    if (bar.to !== OUTSIDE && !bar.open && x(bar.to + 1) < 0) continue;
    if (x(bar.from) > width) continue;
    path[kind] += outline(bar, x, top, tall, GUTTER + 8 - scrollLeft);
    if (tall >= 5) path[`${kind}-use`] += notches(bar, x, top, tall, width);
  }
  for (const kind in path) set(part(`g > .${kind}`)[0], { d: path[kind] });

  drawColumns(x, width, height);
  drawRows(y, height);
  set(part(".axes")[0], { d: `M${GUTTER} 0V${height}M0 ${HEAD}H${width}` });
  drawWindow();
  point();
}

/** The smallest round number of things of a size that fill some room. */
function round(room, size) {
  const least = size >= room ? 1 : room / size, power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].find((one) => one * power >= least) * power;
}

function drawColumns(x, width, height) {
  const words = [], first = clamp(0, Math.floor((GUTTER - LEFT + plot.scrollLeft) / wide), columns.length);
  const last = Math.min(columns.length - 1, Math.ceil((width - LEFT + plot.scrollLeft) / wide));
  let stripes = "", crosses = "", circles = "", lastCross = -Infinity, lastCircle = -Infinity;
  if (x(0) > GUTTER) words.push(text("outside", x(0) - 8, 31, "end"));
  bands.forEach(({ view, from, to }, index) => {
    const left = Math.max(GUTTER, x(from)), room = Math.min(width, x(to + 1)) - left;
    if (room < 3 || x(to + 1) < GUTTER) return;
    if (index % 2 === 0) stripes += `M${left} 0h${room}V${height}h${-room}z`;
    const name = data.views[view]?.model || data.views[view]?.name || "";
    const letters = Math.floor((room - 6) / 6.6);
    if (letters >= Math.min(4, name.length)) {
      words.push(text(name.length > letters ? name.slice(0, letters - 1) + "…" : name, left + 4, 14, "view"));
    }
  });
  const step = round(38, wide);
  for (let column = first; column <= last; column++) {
    const request = columns[column], middle = x(column) + wide / 2;
    if (column % step === 0) words.push(text(request.number, middle, 31, "middle"));
    if (request.injected && middle >= lastCircle + 4) {
      circles += `M${middle - 3} 42a3 3 0 1 0 6 0a3 3 0 1 0 -6 0z`;
      lastCircle = middle;
    } else if (!request.injected && failed(request) && middle >= lastCross + 4) {
      crosses += `M${middle - 3} 39l6 6m0 -6l-6 6`;
      lastCross = middle;
    }
  }
  part(".columns")[0].replaceChildren(...words);
  part(".stripes").forEach((node) => set(node, { d: stripes }));
  set(part(".crosses")[0], { d: crosses });
  set(part(".circles")[0], { d: circles });
}

function drawRows(y, height) {
  const words = [text("request", GUTTER - 6, 31, "end"), text("session", 6, HEAD - 5, "start")];
  const taken = [];
  const say = (row, number, kind) => {
    const middle = (y(row) + y(row + 1)) / 2;
    if (middle < HEAD + 5 || taken.some((one) => Math.abs(one - middle) < 11)) return middle;
    taken.push(middle);
    words.push(text(number, GUTTER - 6, middle + 4, kind));
    return middle;
  };
  const visible = [];
  for (let row = rowAt(plot.scrollTop); row < shown.length && y(row) < height; row++) visible.push(row);
  let below = 0;
  for (const row of visible) {
    if (shown[row].broken && y(row) >= below) below = say(row, `▲ ${shown[row].session.number}`, "end ill") + 5;
  }
  const well = visible.find((row) => !shown[row].broken);
  const step = well === undefined ? 1 : round(11, y(well + 1) - y(well));
  for (const row of visible) {
    const { broken, session } = shown[row];
    if (!broken && session.number % step === 0) say(row, session.number, "end");
  }
  part(".rows")[0].replaceChildren(...words);
}

function drawOverview(width) {
  overview.toggleAttribute("hidden", zoom === 1 || !shown.length);
  if (overview.hasAttribute("hidden")) return;
  const height = 64, scale = Math.max(1, columns.length), rows = Math.max(1, shown.length);
  const x = (column) => 14 + (column / scale) * (width - 32);
  const path = { healthy: "", broken: "" };
  shown.forEach((bar, row) => {
    const kind = bar.broken ? "broken" : "healthy";
    path[kind] += outline(bar, x, (row / rows) * height, Math.max(bar.broken ? 2 : 1, height / rows), 0);
  });
  set(overview, { viewBox: `0 0 ${width} ${height}`, height });
  for (const kind in path) set(part(`.${kind}`, overview)[0], { d: path[kind] });
}

function drawWindow() {
  if (zoom === 1) return;
  const { width, height } = overview.viewBox.baseVal;
  const column = (x) => 14 + clamp(0, (x + plot.scrollLeft - LEFT) / wide / columns.length, 1) * (width - 32);
  const line = (y) => (rowAt(y + plot.scrollTop) / shown.length) * height;
  const left = column(GUTTER), top = line(0), bottom = line(plot.clientHeight - HEAD);
  set(part(".window", overview)[0], {
    x: left, y: top,
    width: Math.max(6, column(plot.clientWidth) - left),
    height: Math.max(4, bottom - top + height / shown.length),
  });
}

/** Put the crosshair, the focus ring and the tip where the mouse or the keyboard is. */
function point() {
  const at = hover ?? (document.activeElement === find("bar") ? cursor : null);
  const crosshair = part(".crosshair")[0], tip = find("tip"), bar = shown[cursor.row];
  const x = (column) => LEFT + column * wide - plot.scrollLeft;
  if (bar) {
    const from = clamp(GUTTER, bar.from === OUTSIDE ? GUTTER + 8 - plot.scrollLeft : x(bar.from), plot.clientWidth - 12);
    const to = clamp(from + 8, bar.open ? x(columns.length) + 16 : x(bar.to + 1), plot.clientWidth);
    const tall = tops[cursor.row + 1] - tops[cursor.row];
    Object.assign(find("bar").style, {
      left: `${from}px`, width: `${to - from}px`,
      top: `${HEAD + tops[cursor.row] - plot.scrollTop - Math.max(0, 8 - tall) / 2}px`,
      height: `${Math.max(8, tall)}px`,
    });
    find("bar").setAttribute("aria-label", named(bar, cursor.row));
  }
  tip.hidden = !at;
  crosshair.toggleAttribute("hidden", !at || at.column === OUTSIDE);
  if (!at) return;
  set(crosshair, { x: x(at.column), y: 0, width: Math.max(1, wide), height: plot.clientHeight });
  const lines = [at.column === OUTSIDE ? "" : described(columns[at.column]), at.row === null ? "" : short(shown[at.row])];
  tip.replaceChildren(...lines.filter(Boolean).map((line) => el("span", {}, line)));
  const box = plot.getBoundingClientRect();
  const left = at.x ?? Math.max(x(at.column), GUTTER), top = at.y ?? HEAD + tops[at.row + 1] - plot.scrollTop;
  tip.style.left = `${clamp(8, box.left + left + 14, document.documentElement.clientWidth - tip.offsetWidth - 8) + scrollX}px`;
  tip.style.top = `${box.top + top + 16 + scrollY}px`;
}

/* In words. */

const injected = ({ injected: { fault, step } }) => `injected fault, ${fault}: ${step}`;

function ended(request) {
  if (request.injected) return injected(request);
  return request.exception || request.stream_exception || request.unexpected || "";
}

function described(request) {
  const facts = [`Request ${request.number}`, `${request.method} ${request.path}`, label(request.view)];
  return [...facts, request.operation, request.status, ended(request)].filter(Boolean).join(" · ");
}

function short(bar) {
  return `Session ${bar.session.number}` + (bar.broken ? ` · breaks ${bar.rules.join(", ")}` : "") + (bar.open ? " · open end" : "");
}

const spot = (column) => (column === OUTSIDE ? "outside of any request" : `request ${columns[column].number}`);

function named(bar, row) {
  const end = bar.open || bar.to === bar.from ? "" : `to ${spot(bar.to)}`;
  return [short(bar), `${row + 1} of ${shown.length}`, `from ${spot(bar.from)}`, end].filter(Boolean).join(", ");
}

/* All that is known of a session or of a request. */

function el(name, values, ...children) {
  const node = Object.assign(document.createElement(name), values);
  node.append(...children.flat().filter((child) => child || child === 0));
  return node;
}

/** Show as code what stands between backticks. */
const withCode = (words) => words.split("`").map((one, index) => (index % 2 ? el("code", {}, one) : one));
const code = (words) => words && el("code", {}, words);
const steps = (path) => path?.length && code(path.join(" → "));
const toRequest = (number) => el("a", { href: address({ request: number, session: "" }) }, `request ${number}`);
const toSession = (number) => el("a", { href: address({ session: number, request: "" }) }, `session ${number}`);

function facts(pairs) {
  const known = pairs.filter(([, value]) => (Array.isArray(value) ? value.length : value || value === 0));
  return el("dl", { className: "known" }, known.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

const FEW = 50;

/** A long list begins with what fits on a screen. */
function list(values, item) {
  const items = (some) => some.map((value) => el("li", {}, item(value)));
  if (!values.length) return [];
  const all = el("ul", { className: "list" }, items(values.slice(0, FEW)));
  if (values.length <= FEW) return [all];
  const more = el("button", { type: "button" }, `Show all ${values.length.toLocaleString("en")}`);
  more.onclick = () => {
    all.append(...items(values.slice(FEW)));
    more.remove();
  };
  return [all, more];
}

function why(violation) {
  const { rule, what, cause, kept_by } = violation;
  return el("article", {},
    el("h4", {}, el("span", { className: "rule" }, rule), " ", withCode(what)),
    el("p", { className: "hint" }, data.rules[rule]),
    facts([
      ["In the app’s own code", code(place(violation.own))],
      ["In a library", violation.place !== violation.own && code(place(violation.place))],
      ["The session was made", code(place(violation.made))],
      ["Kept by", steps(kept_by)],
      ["Cause", cause && [el("b", {}, withCode(cause.name)), el("br"), withCode(cause.sentence)]],
      ["Fix", cause && el("pre", { tabIndex: 0 }, code(cause.fix))],
      ["Read", cause?.link && el("a", { href: cause.link }, cause.link)],
    ]));
}

function lateCommit(request, use) {
  return data.late_commits.find((one) => one.request === request.number && one.session === use.session);
}

function aboutSession(bar) {
  const { session, uses, instances } = bar;
  const first = uses[0] ?? session.outside?.[0];
  const last = uses.at(-1);
  const end = [];
  if (session.kept) end.push(session.closed ? "closed, but kept" : "kept, and not closed");
  else if (!session.closed) end.push("never");
  else end.push(last?.closed ? `when request ${last.request.number} was over` : `${(session.released ?? 0).toFixed(3)} s after the start`);
  return [
    facts([
      ["Maker", code(session.maker)],
      ["Engine", (session.engines ?? []).map((engine) => code(data.engines[engine] ?? String(engine)))],
      ["Made in", session.at_startup ? "no request: the app was being built" : session.born_in === undefined ? "no request" : toRequest(session.born_in)],
      ["Made at", [code(place(session.own)), code(place(session.place))].filter(Boolean)],
      ["First used in the app’s own code", code(place(first?.own))],
      ["First used in a library", code(place(first?.place))],
      ["Closed", end],
      ["Kept by", steps(session.kept_by)],
      ["Left alone", session.left_alone && "a pattern of --leave-alone matches it: it is not judged"],
      ["Used outside of any request", list(session.outside ?? [], (one) => [`thread ${one.thread} `, code(place(one.own ?? one.place)), one.request !== undefined && [" during ", toRequest(one.request)]].flat())],
      ["Kept rows that it loaded", list(instances, (one) => [`a ${one.model}, by `, steps(one.kept_by)])],
    ]),
    el("h3", {}, bar.broken ? "What it breaks" : "It breaks no rule"),
    ...bar.violations.map(why),
    el("h3", {}, `Requests that it served: ${uses.length.toLocaleString("en")}`),
    ...list(uses, (use) => [
      toRequest(use.request.number),
      ` ${[`${use.request.method} ${use.request.path}`, label(use.request.view), use.request.operation, use.request.status].filter(Boolean).join(" · ")}`,
      !use.closed && el("em", {}, " left open"),
    ]),
  ];
}

function aboutRequest(request) {
  const { started = 0, ended: end = 0 } = request;
  return [
    el("p", {}, code(`${request.method} ${request.path}`)),
    facts([
      ["View", label(request.view)],
      ["Operation", request.operation],
      ["Status", request.status],
      ["Answer", request.streamed && "streamed"],
      ["Time", end > started && `${((end - started) * 1000).toFixed(1)} ms, ${started.toFixed(3)} s after the start`],
      ["Thread", request.thread + (request.ended_on ? `, and ended on ${request.ended_on}` : "")],
      ["Made by", request.parent !== undefined && toRequest(request.parent)],
      ["App context", request.outer_context && "it was there before the request began"],
      ["Statements", request.statements],
      ["Connections", request.taken && `${request.taken} taken, ${request.returned ?? 0} returned`],
      ["Not returned, taken at", code(place(data.unreturned.find((one) => one.request === request.number)?.place))],
      ["Exception", request.exception],
      ["Exception in the stream", request.stream_exception],
      ["Injected fault", request.injected && injected(request)],
      ["Not as expected", request.unexpected],
      ["Stopped writes", list(request.stopped ?? [], (one) => [code(one.sql), " ", code(place(one.own ?? one.place))])],
      ["Sessions", list(request.uses, (use) => [
        toSession(use.session),
        use.closed ? "" : el("em", {}, " left open"),
        " ", code(place(use.own ?? use.place)),
        use.closed_early !== undefined && [el("em", {}, " closed before the view had answered, at "), code(place(use.closed_early))],
        use.used_after_close !== undefined && [el("em", {}, " used again after it was closed, at "), code(place(use.used_after_close))],
        lateCommit(request, use) && [el("em", {}, " committed after the view had answered, at "), code(place(lateCommit(request, use).place))],
      ].flat())],
    ]),
  ];
}

const panel = find("panel");

function openPanel() {
  const bar = asked.session !== "" && bars[asked.session];
  const request = asked.request !== "" && data.requests[asked.request];
  if (!bar && !request) return panel.close();
  const close = el("button", { type: "button", className: "close", ariaLabel: "Close" }, "×");
  close.onclick = () => panel.close();
  panel.replaceChildren(
    close,
    el("h2", { id: "panel-title" }, bar ? `Session ${bar.session.number}` : `Request ${request.number}`),
    bar?.broken ? el("p", { className: "rules" }, el("span", { className: "state broken" }, "broken"), bar.rules.map((rule) => el("span", { className: "rule" }, rule))) : "",
    ...(bar ? aboutSession(bar) : aboutRequest(request)),
  );
  if (!panel.open) panel.showModal();
  panel.scrollTop = 0;
}

panel.addEventListener("close", () => (asked.session || asked.request) && go({ session: "", request: "" }));
panel.addEventListener("click", (event) => event.target === panel && panel.close());

/* Filters, zoom, mouse and keyboard. */

function filter() {
  const view = asked.view === "" ? null : asked.view === "outside" ? OUTSIDE : Number(asked.view);
  const accused = new Set();
  for (const violation of data.violations) {
    if (violation.rule === asked.rule && (view === null || violation.view === view)) {
      violation.sessions.forEach((number) => accused.add(number));
    }
  }
  shown = ordered.filter((bar) =>
    (view === null || bar.views.has(view)) &&
    (!asked.rule || accused.has(bar.session.number)) &&
    (!asked.broken || bar.broken));
  cursor.row = clamp(0, cursor.row, Math.max(0, shown.length - 1));
  const broken = shown.filter((bar) => bar.broken).length;
  const number = (value) => value.toLocaleString("en");
  find("count").textContent = `${number(shown.length)} of ${number(bars.length)} sessions, ${number(broken)} broken`;
  plot.hidden = !shown.length;
  find("nothing").hidden = Boolean(shown.length);
  const unnamed = data.violations.filter((violation) =>
    violation.rule === asked.rule && (view === null || violation.view === view) && !violation.sessions.length);
  find("nothing").replaceChildren(
    bars.length ? "No session matches." : "No session was seen.",
    ...unnamed.flatMap((violation) => [" This rule is broken without a session: ", violation.what, ", in ",
      ...(violation.requests ?? []).slice(0, 8).flatMap((one, index) => [index ? ", " : "", toRequest(one)]), "."]),
  );
}

function show() {
  find("view").value = asked.view;
  find("rule").value = asked.rule;
  find("broken").checked = Boolean(asked.broken);
  zoom = Number(asked.zoom) || 1;
  filter();
  layout();
  const [column, row] = asked.at.split(",").map(Number);
  if (row >= 0) {
    plot.scrollLeft = column * wide;
    plot.scrollTop = tops[clamp(0, row, shown.length)];
  }
  const found = asked.session === "" ? -1 : shown.findIndex((bar) => bar.session.number === Number(asked.session));
  if (found >= 0) move(found, shown[found].from);
  else if (asked.request !== "" && data.requests[asked.request]) reveal(null, columnOf[asked.request]);
  draw();
  openPanel();
}

/** Bring a row and a column into sight. */
function reveal(row, column) {
  const left = column * wide, room = plot.clientWidth - LEFT - RIGHT;
  if (left < plot.scrollLeft || left + wide > plot.scrollLeft + room) plot.scrollLeft = left - room / 2;
  if (row === null) return;
  const height = plot.clientHeight - HEAD;
  if (tops[row] < plot.scrollTop) plot.scrollTop = tops[row];
  if (tops[row + 1] > plot.scrollTop + height) plot.scrollTop = tops[row + 1] - height;
}

function move(row, column) {
  cursor.row = clamp(0, row, Math.max(0, shown.length - 1));
  cursor.column = clamp(0, column, Math.max(0, columns.length - 1));
  hover = null;
  reveal(cursor.row, cursor.column);
}

/** Zoom around a point of the drawing. */
function magnify(by, px = plot.clientWidth / 2, py = plot.clientHeight / 2) {
  const column = (plot.scrollLeft + px - LEFT) / wide;
  const row = rowAt(plot.scrollTop + py - HEAD);
  const share = (plot.scrollTop + py - HEAD - tops[row]) / (tops[row + 1] - tops[row]);
  zoom = by === 0 ? 1 : clamp(1, zoom * by, widest);
  if (zoom < 1.01) zoom = 1;
  layout();
  plot.scrollLeft = column * wide - px + LEFT;
  plot.scrollTop = tops[row] + share * (tops[row + 1] - tops[row]) - py + HEAD;
  draw();
  remember();
}

/** Zoom around the bar of the keyboard, or around the middle. */
function magnifyHere(by) {
  if (document.activeElement !== find("bar")) return magnify(by);
  magnify(by, LEFT + (cursor.column + 0.5) * wide - plot.scrollLeft, HEAD + tops[cursor.row] - plot.scrollTop);
}

let waiting;
function remember() {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    const at = `${Math.round(plot.scrollLeft / wide)},${rowAt(plot.scrollTop)}`;
    go(zoom === 1 ? { zoom: "", at: "" } : { zoom: zoom.toFixed(2), at });
  }, 200);
}

let due = false;
function soon() {
  if (due) return;
  due = true;
  requestAnimationFrame(() => {
    due = false;
    draw();
  });
}

plot.addEventListener("scroll", () => {
  soon();
  remember();
});

function under(event) {
  const box = plot.getBoundingClientRect();
  const x = event.clientX - box.left, y = event.clientY - box.top;
  const column = Math.floor((x - LEFT + plot.scrollLeft) / wide);
  const depth = y - HEAD + plot.scrollTop;
  const row = y < HEAD || depth > tops.at(-1) ? null : rowAt(depth);
  return { x, y, row, column: x < GUTTER || column < 0 || column >= columns.length ? OUTSIDE : column };
}

frame.addEventListener("pointermove", (event) => {
  hover = under(event);
  point();
});
frame.addEventListener("pointerleave", () => {
  hover = null;
  point();
});
frame.addEventListener("click", (event) => {
  if (event.target === find("bar")) return;
  const { row, column } = under(event);
  if (row !== null) {
    cursor.row = row;
    cursor.column = Math.max(0, column);
    find("bar").focus({ preventScroll: true });
    go({ session: String(shown[row].session.number), request: "" }, { remember: true });
  } else if (column !== OUTSIDE) {
    find("bar").focus({ preventScroll: true });
    go({ session: "", request: String(columns[column].number) }, { remember: true });
  }
  openPanel();
});
plot.addEventListener("wheel", (event) => {
  if (!event.ctrlKey && !event.metaKey) return;
  event.preventDefault();
  const { x, y } = under(event);
  magnify(2 ** (-event.deltaY / 200), x, y);
}, { passive: false });

function drag(event) {
  if (!event.buttons) return;
  const box = overview.getBoundingClientRect();
  const [across, down] = [(event.clientX - box.left - 14) / (box.width - 32), (event.clientY - box.top) / box.height];
  plot.scrollLeft = across * columns.length * wide - (plot.clientWidth - LEFT) / 2;
  plot.scrollTop = tops[clamp(0, Math.round(down * shown.length), shown.length)] - (plot.clientHeight - HEAD) / 2;
}
overview.addEventListener("pointerdown", (event) => {
  overview.setPointerCapture(event.pointerId);
  drag(event);
});
overview.addEventListener("pointermove", drag);

find("bar").addEventListener("click", () => {
  go({ session: String(shown[cursor.row].session.number), request: "" }, { remember: true });
  openPanel();
});
find("bar").addEventListener("focus", soon);
find("bar").addEventListener("blur", soon);
find("bar").addEventListener("keydown", (event) => {
  const { row, column } = cursor;
  const to = (next) => move(next, shown[clamp(0, next, shown.length - 1)].from);
  const keys = {
    ArrowDown: () => to(row + 1),
    ArrowUp: () => to(row - 1),
    PageDown: () => to(row + 10),
    PageUp: () => to(row - 10),
    Home: () => to(0),
    End: () => to(shown.length - 1),
    ArrowRight: () => move(row, column + 1),
    ArrowLeft: () => move(row, column - 1),
    "+": () => magnifyHere(2),
    "-": () => magnifyHere(0.5),
    0: () => magnifyHere(0),
  };
  if (!(event.key in keys) || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  keys[event.key]();
  draw();
  const across = event.key === "ArrowLeft" || event.key === "ArrowRight";
  find("said").textContent = across ? described(columns[cursor.column]) : named(shown[cursor.row], cursor.row);
});

find("in").onclick = () => magnifyHere(2);
find("out").onclick = () => magnifyHere(0.5);
find("fit").onclick = () => magnifyHere(0);
for (const name of ["view", "rule", "broken"]) {
  find(name).onchange = ({ target }) => {
    go({ [name]: target.type === "checkbox" ? (target.checked ? "1" : "") : target.value, at: "" });
    show();
  };
}
find("controls").addEventListener("submit", (event) => event.preventDefault());

addEventListener("hashchange", arrive);
addEventListener("resize", () => {
  layout();
  draw();
});
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => (one.open = true)));

function arrive() {
  read();
  show();
  if (asked.view || asked.rule || asked.broken) find("timeline").scrollIntoView();
}

const theme = find("theme"), dark = matchMedia("(prefers-color-scheme: dark)");
function paint(name) {
  document.documentElement.style.colorScheme = name;
  theme.textContent = name === "dark" ? "Light" : "Dark";
  theme.ariaLabel = `${theme.textContent} colours`;
}
paint(dark.matches ? "dark" : "light");
dark.addEventListener("change", () => paint(dark.matches ? "dark" : "light"));
theme.onclick = () => paint(theme.textContent.toLowerCase());

for (const name of ["theme", "controls", "keys", "legend"]) find(name).hidden = false;
plot.hidden = false;
arrive();
