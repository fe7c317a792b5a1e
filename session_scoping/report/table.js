/* The table of views: search, choose a state, sort. */

const table = find("cells");
const entries = table ? [...table.tBodies[0].rows] : []; // worst first, as they were written
const states = [...find("state").options].map((option) => option.value).filter(Boolean);
const stateOf = (row, index) => states.indexOf(row.cells[index].dataset.state);
const order = { column: null, reverse: false };

/** Sort by a column: worst first, then the other way round, then as before. */
function sortBy(column) {
  if (order.column !== column) Object.assign(order, { column, reverse: false });
  else if (!order.reverse) order.reverse = true;
  else Object.assign(order, { column: null, reverse: false });
  const compare = column === 0
    ? (one, other) => one.cells[0].textContent.localeCompare(other.cells[0].textContent)
    : (one, other) => stateOf(one, column) - stateOf(other, column);
  const sorted = order.column === null ? [...entries] : [...entries].sort(compare);
  table.tBodies[0].append(...(order.reverse ? sorted.reverse() : sorted));
  [...table.tHead.rows[0].cells].forEach((cell, index) => {
    if (index === order.column) cell.ariaSort = order.reverse ? "descending" : "ascending";
    else cell.removeAttribute("aria-sort");
  });
}

function searchTable() {
  const wanted = find("search").value.trim().toLowerCase(), chosen = find("state").value;
  for (const row of entries) {
    const named = row.cells[0].textContent.toLowerCase().includes(wanted);
    const has = !chosen || [...row.cells].some((cell) => cell.dataset.state === chosen);
    row.hidden = !(named && has);
  }
  const number = entries.filter((row) => !row.hidden).length;
  find("found").textContent = `${figure(number)} of ${figure(entries.length)} views`;
}

/** Make the links and buttons inside of something one Tab stop. The arrow keys go from one to the next. */
function oneTabStop(container, selector) {
  const stops = () => [...container.querySelectorAll(selector)].filter((stop) => stop.offsetParent);
  const choose = (stop) => {
    container.querySelectorAll(selector).forEach((one) => (one.tabIndex = one === stop ? 0 : -1));
    return stop;
  };
  const keys = {
    ArrowRight: (all, at) => at + 1,
    ArrowLeft: (all, at) => at - 1,
    ArrowDown: (all, at) => below(all, at, 1),
    ArrowUp: (all, at) => below(all, at, -1),
    Home: () => 0,
    End: (all) => all.length - 1,
  };
  const column = (stop) => stop.closest("td, th")?.cellIndex;
  /** The next stop in the same column, or else in the next row. */
  function below(all, at, step) {
    const there = all.map((_, index) => index).filter((index) => (index - at) * step > 0);
    if (step < 0) there.reverse();
    return there.find((index) => column(all[index]) === column(all[at])) ?? at + step;
  }
  container.addEventListener("focusin", ({ target }) => target.matches(selector) && choose(target));
  container.addEventListener("keydown", (event) => {
    const all = stops(), at = all.indexOf(document.activeElement);
    if (at < 0 || !(event.key in keys) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    choose(all[clamp(0, keys[event.key](all, at), all.length - 1)]).focus();
  });
  const first = stops()[0];
  if (first) choose(first);
}

if (table) {
  [...table.tHead.rows[0].cells].forEach((cell, index) => {
    const button = el("button", { type: "button" }, ...cell.childNodes);
    button.onclick = () => sortBy(index);
    cell.append(button);
  });
  oneTabStop(table, "a, button");
}
find("search").oninput = searchTable;
find("state").onchange = searchTable;
