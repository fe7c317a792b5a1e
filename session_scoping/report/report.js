"use strict";

/* What was recorded. `html.py` says what is in it. */

const NONE = -1; // no column: not in a request; no view: outside of the admin
const find = (id) => document.getElementById(id);
const data = JSON.parse(find("data").textContent);
const { words, labels } = data;
const columns = data.requests; // a column each, in the order in which they began
const place = (number) => data.places[number] ?? "";
const label = (view) => data.views[view]?.label ?? words.no_view;
const figure = (value) => value.toLocaleString("en");
const clamp = (low, value, high) => Math.max(low, Math.min(high, value));

const columnOf = []; // by the number of a request
columns.forEach((request, column) => {
  request.view ??= NONE;
  request.uses ??= [];
  columnOf[request.number] = column;
});

const barOf = []; // by the number of a session
const bars = data.bars.map(([number, first, last, open, rules]) => {
  const session = data.sessions[number];
  const bar = { session, first: first ?? NONE, last: last ?? NONE, open, rules, uses: [], violations: [], instances: [] };
  bar.broken = rules.length > 0;
  return (barOf[number] = bar);
});
columns.forEach((request, column) => {
  for (const use of request.uses) barOf[use.session].uses.push({ ...use, request, column });
});
const breaks = new Set(); // the columns that break a rule, where no session does
for (const violation of data.violations) {
  violation.sessions ??= [];
  violation.requests ??= [];
  violation.view ??= NONE;
  for (const number of violation.sessions) barOf[number].violations.push(violation);
  if (!violation.sessions.length) for (const number of violation.requests) breaks.add(columnOf[number]);
}
for (const kept of data.kept_instances) barOf[kept.session].instances.push(kept);
for (const bar of bars) {
  bar.views = new Set([...bar.uses.map((use) => use.request.view), ...bar.violations.map((violation) => violation.view)]);
  data.views.forEach((view, number) => view.session === bar.session.number && bar.views.add(number));
}

/* The filters, the zoom and the open panel are in the address, so that a link keeps them. */

const state = { view: "", rule: "", finding: "", broken: "", session: "", request: "", zoom: "", at: "" };

function address(changes) {
  const given = Object.entries({ ...state, ...changes }).filter(([, value]) => value !== "");
  return "#" + given.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&");
}

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const name in state) state[name] = given.get(name) ?? "";
}

function writeAddress(changes, { back = false } = {}) {
  Object.assign(state, changes);
  history[back ? "pushState" : "replaceState"](null, "", address());
}

/* In words. */

const injected = ({ injected: { fault, step } }) => `injected fault, ${fault}: ${step}`;
const failed = (request) => Boolean(request.exception || request.stream_exception || request.status >= 500);
const position = (column) => (column === NONE ? "outside of any request" : `request ${columns[column].number}`);

function failure(request) {
  if (request.injected) return injected(request);
  return request.exception || request.stream_exception || request.unexpected || "";
}

function aboutColumn(column) {
  const request = columns[column];
  return [
    `Request ${request.number}`, `${request.method} ${request.path}`, label(request.view), request.operation,
    request.status, failure(request), request.uses.length ? "" : "no session", breaks.has(column) ? words.broken : "",
  ].filter(Boolean).join(" · ");
}

function aboutBar(bar) {
  return `Session ${bar.session.number}` + (bar.broken ? ` · breaks ${bar.rules.join(", ")}` : "") + (bar.open ? " · never closed, or kept" : "");
}

function described(bar, row) {
  const end = bar.open || bar.last === bar.first ? "" : `to ${position(bar.last)}`;
  return [aboutBar(bar), `${row + 1} of ${rows.length}`, `from ${position(bar.first)}`, end].filter(Boolean).join(", ");
}

/** Make an element. */
function el(name, values, ...children) {
  const node = Object.assign(document.createElement(name), values);
  node.append(...children.flat().filter((child) => child || child === 0));
  return node;
}
