/* The panel: all that is known of a session or of a request. */

/** Show as code what stands between backticks. */
const withCode = (words) => words.split("`").map((one, index) => (index % 2 ? el("code", {}, one) : one));
const code = (words) => words && el("code", {}, words);
const codes = (...places) => [...new Set(places.map(place))].filter(Boolean).map(code);
const steps = (path) => path?.length && code(path.join(" → "));
const toRequest = (number) => el("a", { href: address({ request: number, session: "" }) }, `request ${number}`);
const toSession = (number) => el("a", { href: address({ session: number, request: "" }) }, `session ${number}`);
const toFinding = (index) => el("a", { href: `#finding-${index + 1}` }, `finding ${index + 1}: `, withCode(data.findings[index]));

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
  const more = el("button", { type: "button" }, `Show all ${figure(values.length)}`);
  more.onclick = () => {
    all.append(...items(values.slice(FEW)));
    more.remove();
  };
  return [all, more];
}

/** A violation. Its finding says what to change. */
function aboutViolation({ rule, what, view, finding, own, place: used }) {
  return el("article", {},
    el("h4", {}, el("span", { className: "rule" }, rule), " ", withCode(what)),
    el("p", { className: "hint" }, data.rules[rule]),
    facts([
      ["View", label(view)],
      [labels.own, code(place(own))],
      [labels.used, used !== own && code(place(used))],
      [labels.change, toFinding(finding)],
    ]));
}

function lateCommit(request, use) {
  return data.late_commits.find((one) => one.request === request.number && one.session === use.session);
}

function writesOf(request, refused) {
  return data.writes.filter((one) => one.request === request.number && Boolean(one.refused) === refused);
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
      [labels.made, codes(session.own, session.place)],
      [`first ${labels.used}`, codes(first?.own, first?.place)],
      ["Closed", end],
      [labels.kept, steps(session.kept_by)],
      ["Left alone", session.left_alone && "a pattern of --leave-alone matches it: it is not judged"],
      ["Used outside of any request", list(session.outside ?? [], (one) => [`thread ${one.thread} `, code(place(one.own ?? one.place)), one.request !== undefined && [" during ", toRequest(one.request)]].flat())],
      ["Kept rows that it loaded", list(instances, (one) => [`a ${one.model}, by `, steps(one.kept_by)])],
    ]),
    el("h3", {}, bar.broken ? "What it breaks" : "It breaks no rule"),
    ...bar.violations.map(aboutViolation),
    el("h3", {}, `Requests that it served: ${figure(uses.length)}`),
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
      ["Breaks", list(data.violations.filter((one) => one.requests.includes(request.number)), ({ rule, what, finding }) => [
        el("span", { className: "rule" }, rule), " ", withCode(what), " ", toFinding(finding),
      ].flat())],
      ["Injected fault", request.injected && injected(request)],
      ["Not as expected", request.unexpected],
      ["Rolled back", list(writesOf(request, false), (one) => [code(one.sql), " ", code(place(one.own ?? one.place))])],
      ["Refused", list(writesOf(request, true), (one) => [code(one.sql), " ", code(place(one.own ?? one.place))])],
      ["Sessions", request.uses.length ? list(request.uses, (use) => [
        toSession(use.session),
        use.closed ? "" : el("em", {}, " left open"),
        " ", code(place(use.own ?? use.place)),
        use.closed_early !== undefined && [el("em", {}, " closed before the view had answered, at "), code(place(use.closed_early))],
        use.used_after_close !== undefined && [el("em", {}, " used again after it was closed, at "), code(place(use.used_after_close))],
        lateCommit(request, use) && [el("em", {}, " committed after the view had answered, at "), code(place(lateCommit(request, use).place))],
      ].flat()) : "none"],
    ]),
  ];
}

const panel = find("panel");

function openPanel() {
  const bar = barOf[state.session];
  const request = columns[columnOf[state.request]];
  if (!bar && !request) return panel.close();
  const close = el("button", { type: "button", className: "close", ariaLabel: "Close" }, "×");
  close.onclick = () => panel.close();
  panel.replaceChildren(
    close,
    el("h2", { id: "panel-title" }, bar ? `Session ${bar.session.number}` : `Request ${request.number}`),
    bar?.broken ? el("p", { className: "rules" }, el("span", { className: "state broken" }, words.broken), bar.rules.map((rule) => [el("span", { className: "rule" }, rule), " "]).flat()) : "",
    ...(bar ? aboutSession(bar) : aboutRequest(request)),
  );
  if (!panel.open) panel.showModal();
  panel.scrollTop = 0;
}

panel.addEventListener("close", () => (state.session || state.request) && writeAddress({ session: "", request: "" }));
panel.addEventListener("click", (event) => event.target === panel && panel.close());

