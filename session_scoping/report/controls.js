/* Filters, zoom, mouse and keyboard. */

const FILTERS = ["view", "rule", "finding", "broken"];

function filterRows() {
  const view = state.view === "" ? null : state.view === "none" ? NONE : Number(state.view);
  const finding = state.finding === "" ? null : Number(state.finding);
  const matching = data.violations.filter((violation) =>
    (!state.rule || violation.rule === state.rule) &&
    (finding === null || violation.finding === finding) &&
    (view === null || violation.view === view));
  const accused = new Set(matching.flatMap((violation) => violation.sessions));
  rows = bars.filter((bar) =>
    (view === null || bar.views.has(view)) &&
    ((!state.rule && finding === null) || accused.has(bar.session.number)) &&
    (!state.broken || bar.broken));
  cursor.row = Math.max(0, rows.findIndex((bar) => bar.broken));
  cursor.column = Math.max(0, rows[cursor.row]?.uses[0]?.column ?? rows[cursor.row]?.first ?? 0);
  const broken = rows.filter((bar) => bar.broken).length;
  find("count").textContent = `${figure(rows.length)} of ${figure(bars.length)} sessions, ${figure(broken)} ${words.broken}`;
  find("clear").hidden = FILTERS.every((name) => state[name] === "");
  plot.hidden = !rows.length;
  find("nothing").hidden = Boolean(rows.length);
  const filtered = state.rule || finding !== null;
  const unnamed = filtered ? matching.filter((violation) => !violation.sessions.length) : [];
  find("nothing").replaceChildren(
    bars.length ? "No session matches." : "No session was seen.",
    ...unnamed.flatMap(({ rule, what, requests }) => [` ${rule} is ${words.broken} without a session: `, withCode(what), ", in ",
      ...requests.slice(0, 8).flatMap((one, index) => [index ? ", " : "", toRequest(one)]), "."]).flat(),
  );
}

function show() {
  find("view").value = state.view;
  find("rule").value = state.rule;
  find("broken").checked = Boolean(state.broken);
  zoom = Number(state.zoom) || 1;
  filterRows();
  layout();
  plot.scrollLeft = (Number(state.at) || 0) * wide;
  const found = state.session === "" ? -1 : rows.findIndex((bar) => bar.session.number === Number(state.session));
  if (found >= 0) move(found, columnOfUse(found));
  else if (columnOf[state.request] !== undefined) reveal(columnOf[state.request]);
  draw();
  openPanel();
}

const columnOfUse = (row) => rows[row].uses[0]?.column ?? rows[row].first;

function move(row, column) {
  cursor.row = clamp(0, row, Math.max(0, rows.length - 1));
  cursor.column = clamp(0, column, Math.max(0, columns.length - 1));
  pointer = null;
  reveal(cursor.column);
}

let waiting;
function rememberZoom() {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    const at = String(Math.round(plot.scrollLeft / wide));
    writeAddress(zoom === 1 ? { zoom: "", at: "" } : { zoom: zoom.toFixed(2), at });
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

function open(changes) {
  writeAddress({ session: "", request: "", ...changes }, { back: true });
  openPanel();
}

plot.addEventListener("scroll", () => {
  soon();
  rememberZoom();
});
frame.addEventListener("pointermove", (event) => {
  pointer = event;
  point();
});
frame.addEventListener("pointerleave", () => {
  pointer = null;
  point();
});
frame.addEventListener("click", (event) => {
  const at = under(event);
  if (event.target === find("bar")) return;
  if (at.row !== null) {
    cursor.row = rows.indexOf(visible[at.row]);
    cursor.column = Math.max(0, at.column);
  }
  find("bar").focus({ preventScroll: true });
  if (at.row !== null) open({ session: String(visible[at.row].session.number) });
  else if (at.column !== NONE) open({ request: String(columns[at.column].number) });
});
plot.addEventListener("wheel", (event) => {
  if (!event.ctrlKey && !event.metaKey) return;
  event.preventDefault();
  const across = event.clientX - plot.getBoundingClientRect().left;
  magnify(2 ** (-event.deltaY / 200), (plot.scrollLeft + across - LEFT) / wide, across);
}, { passive: false });

function drag(event) {
  if (!event.buttons) return;
  const box = overview.getBoundingClientRect(), { width } = overview.viewBox.baseVal;
  const column = ((event.clientX - box.left) / box.width) * width - Number(overview.dataset.margin);
  plot.scrollLeft = column * wide - (plot.clientWidth - LEFT) / 2;
}
overview.addEventListener("pointerdown", (event) => {
  overview.setPointerCapture(event.pointerId);
  drag(event);
});
overview.addEventListener("pointermove", drag);

find("bar").addEventListener("click", () => open({ session: String(rows[cursor.row].session.number) }));
find("bar").addEventListener("focus", soon);
find("bar").addEventListener("blur", soon);
find("bar").addEventListener("keydown", (event) => {
  const { row, column } = cursor;
  const to = (next) => move(next, columnOfUse(clamp(0, next, rows.length - 1)));
  const keys = {
    ArrowDown: () => to(row + 1),
    ArrowUp: () => to(row - 1),
    PageDown: () => to(row + 10),
    PageUp: () => to(row - 10),
    Home: () => to(0),
    End: () => to(rows.length - 1),
    ArrowRight: () => move(row, column + 1),
    ArrowLeft: () => move(row, column - 1),
    "+": () => magnifyAtCursor(2),
    "-": () => magnifyAtCursor(0.5),
    0: () => magnifyAtCursor(0),
  };
  if (!(event.key in keys) || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  keys[event.key]();
  draw();
  const across = event.key === "ArrowLeft" || event.key === "ArrowRight";
  find("announcement").textContent = across ? aboutColumn(cursor.column) : described(rows[cursor.row], cursor.row);
});

find("in").onclick = () => magnifyAtCursor(2);
find("out").onclick = () => magnifyAtCursor(0.5);
find("fit").onclick = () => magnifyAtCursor(0);
oneTabStop(find("zoom"), "button");
for (const name of ["view", "rule", "broken"]) {
  find(name).onchange = ({ target }) => {
    writeAddress({ [name]: target.type === "checkbox" ? (target.checked ? "1" : "") : target.value, at: "" });
    show();
  };
}
find("clear").onclick = () => {
  writeAddress(Object.fromEntries([...FILTERS, "at"].map((name) => [name, ""])));
  show();
  find("view").focus();
};
find("controls").addEventListener("submit", (event) => event.preventDefault());
find("filters").addEventListener("submit", (event) => event.preventDefault());

addEventListener("hashchange", arrive);
addEventListener("resize", () => {
  layout();
  draw();
});

/** Do what the address says. A link to a part of the page leaves the picture as it is. */
function arrive() {
  const target = find(decodeURIComponent(location.hash.slice(1)));
  if (target?.matches("details")) target.open = true;
  if (target) Object.assign(state, { session: "", request: "" });
  else readAddress();
  show();
  if (target) target.scrollIntoView();
  else if (FILTERS.some((name) => state[name])) find("picture").scrollIntoView();
}

arrive();
