"use strict";
// Shows what api/v1 answers. Text goes into the page as text alone, never as markup.

const askEvery = 5; // seconds; the server may ask for more
const rowsAPage = 50;
const mostNotes = 20;
const mostEvents = 200;

// make makes an element of text and other elements.
function make(tag, attributes, ...inside) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...inside.filter((one) => one !== undefined && one !== ""));
  return made;
}

const at = (id) => document.getElementById(id);
const orDash = (value) => (value === null || value === undefined ? "-" : String(value));
const words = (state) => state.replaceAll("_", " ");
const time = (text) => text.replace("T", " ").replace(/\.\d+/, "");

// setText changes what has changed, so that a selection and a screen reader's place stay.
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// numbers reads JSON whose offsets may be beyond what a double holds.
function numbers(text) {
  if (!/\d{16}/.test(text)) return JSON.parse(text);
  return JSON.parse(text, (_, value, context) =>
    typeof value === "number" && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? "")
      ? BigInt(context.source) : value);
}

// ask answers what the server says; what it refuses is an error with a remedy.
async function ask(path) {
  const response = await fetch(path, { cache: "no-store", credentials: "same-origin" });
  const text = await response.text();
  let said;
  try {
    said = numbers(text);
  } catch {
    said = { error: `the answer of ${path} is none: ${response.status} ${response.statusText}` };
  }
  if (!response.ok) throw Object.assign(new Error(said.error), { remedy: said.remedy });
  return { said, age: Number(response.headers.get("Age") ?? 0) };
}

// Grid is a table with search, order and pages, which outlive new rows.
class Grid {
  constructor(section, what, columns, filters) {
    Object.assign(this, { what, columns, filters, rows: [], page: 0, by: -1, down: false });
    const id = section.id;
    this.search = make("input", { type: "search", autocomplete: "off", spellcheck: "false", name: `${id}-search` });
    this.search.addEventListener("input", () => { this.page = 0; this.show(); });
    const controls = make("div", { class: "controls", role: "search", "aria-label": `Search ${what}` },
      make("label", {}, `Search ${what}`, this.search));
    this.checks = filters.map((filter) => {
      const box = make("input", { type: "checkbox", name: `${id}-${filter.name}` });
      box.addEventListener("change", () => { this.page = 0; this.show(); });
      controls.append(make("label", { class: "check" }, box, filter.label));
      return box;
    });
    this.body = make("tbody", { role: "rowgroup" });
    this.caption = make("caption", {});
    this.heads = columns.map((column, n) => {
      const button = make("button", { type: "button" }, column.label);
      button.addEventListener("click", () => this.order(n));
      return make("th", { scope: "col", role: "columnheader", class: column.kind }, button);
    });
    const table = make("table", { role: "table" }, this.caption,
      make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...this.heads)), this.body);
    this.back = make("button", { type: "button" }, "Previous");
    this.next = make("button", { type: "button" }, "Next");
    this.back.addEventListener("click", () => { this.page--; this.show(); });
    this.next.addEventListener("click", () => { this.page++; this.show(); });
    const sorter = make("select", { name: `${id}-order` },
      make("option", { value: "-1" }, "as listed"), ...columns.map((c, n) => make("option", { value: n }, c.label)));
    sorter.addEventListener("change", () => this.order(Number(sorter.value)));
    this.sorter = sorter;
    controls.append(make("label", { class: "order" }, "Order by", sorter));
    section.append(controls,
      make("div", { class: "wide", role: "region", tabindex: "0", "aria-label": `Table of ${what}` }, table),
      make("div", { class: "controls", role: "group", "aria-label": `Pages of ${what}` }, this.back, this.next));
  }

  order(n) {
    this.down = this.by === n ? !this.down : this.columns[n]?.kind === "number";
    this.by = n;
    this.page = 0;
    this.sorter.value = n;
    this.show();
  }

  set(rows) {
    this.rows = rows;
    this.show();
  }

  chosen() {
    const wanted = this.search.value.trim().toLowerCase();
    const filters = this.filters.filter((_, n) => this.checks[n].checked);
    const rows = this.rows.filter((row) => filters.every((f) => f.holds(row)) &&
      (wanted === "" || row.words.includes(wanted)));
    const column = this.columns[this.by];
    if (!column) return rows;
    const value = column.value ?? column.text;
    const sign = this.down ? -1 : 1;
    const keyed = rows.map((row) => [value(row) ?? -1, row]);
    keyed.sort(([a], [b]) => (a < b ? -sign : a > b ? sign : 0));
    return keyed.map(([, row]) => row);
  }

  show() {
    const rows = this.chosen();
    const pages = Math.max(Math.ceil(rows.length / rowsAPage), 1);
    this.page = Math.min(Math.max(this.page, 0), pages - 1);
    const shown = rows.slice(this.page * rowsAPage, (this.page + 1) * rowsAPage);
    setText(this.caption, `${rows.length} of ${this.rows.length} ${this.what}, page ${this.page + 1} of ${pages}`);
    this.heads.forEach((head, n) =>
      head.setAttribute("aria-sort", n !== this.by ? "none" : this.down ? "descending" : "ascending"));
    this.back.disabled = this.page === 0;
    this.next.disabled = this.page >= pages - 1;
    while (this.body.rows.length > shown.length) this.body.lastChild.remove();
    shown.forEach((row, n) => {
      const tr = this.body.rows[n] ?? this.body.appendChild(make("tr", { role: "row" },
        ...this.columns.map((c) => make("td",
          { role: "cell", "data-label": c.label, class: c.kind }, make("span", {})))));
      tr.dataset.key = row.key;
      this.columns.forEach((column, i) => {
        const cell = tr.cells[i];
        setText(cell.firstChild, column.text(row));
        if (column.mood) cell.firstChild.className = column.mood(row);
      });
    });
  }
}

const shown = {};

const flowColumn = { label: "Flow", kind: "flow", text: (r) => r.flow };
const calm = new Set(["copying", "idle"]);

const partitions = new Grid(at("partitions"), "partitions", [
  flowColumn,
  { label: "Partition", text: (r) => `${r.topic}/${r.partition}` },
  { label: "State", text: (r) => words(r.state), mood: (r) => mood(r.state) },
  { label: "Behind", kind: "number", value: (r) => behind(r).value, text: (r) => behind(r).text },
  { label: "Source end", kind: "number", value: (r) => r.source_end,
    text: (r) => (r.ends_unknown ? (r.last_seen ? `>=${r.last_seen.source_end}` : "?") : String(r.source_end)) },
  { label: "Progress", kind: "number", value: (r) => r.progress, text: (r) => orDash(r.progress) },
  { label: "Target end", kind: "number", value: (r) => r.target_end, text: (r) => orDash(r.target_end) },
  { label: "Reason and remedy", text: because },
], [
  { name: "behind", label: "only behind or not copied", holds: (r) => !calm.has(r.state) || behind(r).value > 0 },
  { name: "stopped", label: "only stopped", holds: (r) => r.state === "stopped" },
]);

const positions = new Grid(at("groups"), "positions of groups", [
  flowColumn,
  { label: "Group", text: (r) => (r.target_group !== r.group ? `${r.group} (${r.target_group} on the target)` : r.group) },
  { label: "Partition", text: (r) => (r.topic === undefined ? "-" : `${r.topic}/${r.partition}`) },
  { label: "Source", kind: "number", value: (r) => r.source_offset,
    text: (r) => (r.source_unknown && !r.source_offset ? "?" : orDash(r.source_offset)) },
  { label: "Source lag", kind: "number", value: (r) => r.source_lag,
    text: (r) => (r.source_unknown ? "?" : orDash(r.source_lag)) },
  { label: "Translation", kind: "number", value: (r) => r.translation, text: (r) => orDash(r.translation) },
  { label: "Rule", text: (r) => words(r.rule ?? "-") },
  { label: "Target", kind: "number", value: (r) => r.target_offset, text: (r) => orDash(r.target_offset) },
  { label: "Target lag", kind: "number", value: (r) => r.target_lag, text: (r) => orDash(r.target_lag) },
  { label: "State", text: (r) => words(r.state), mood: (r) => (r.state === "right" ? "good" : "wait") },
  { label: "Why and remedy", text: because },
], [
  { name: "odd", label: "only what does not stand right", holds: (r) => r.state !== "right" },
]);

function mood(state) {
  return calm.has(state) ? "good" : state === "stopped" ? "bad" : "wait";
}

// behind is how far a partition is; what is not known is neither 0 nor left out.
function behind(r) {
  if (!r.ends_unknown) return { value: r.records_behind, text: String(r.records_behind) };
  if (!r.last_seen) return { value: Infinity, text: "?" };
  return { value: r.last_seen.records_behind ?? Infinity, text: `>=${orDash(r.last_seen.records_behind)}` };
}

function because(r) {
  const why = r.reason ?? r.why ?? r.error ?? "";
  const since = r.stopped_since ? ` (since ${time(r.stopped_since)})` : "";
  return why + since + (r.remedy ? `${why ? ". " : ""}What to do: ${r.remedy}` : "");
}

// rowsOf gives rows what the grids need of them.
function rowsOf(flows, list) {
  return flows.flatMap((flow) => list(flow).map((row) => {
    row.flow = flow.flow;
    row.key = [row.flow, row.group, row.topic === undefined ? undefined : `${row.topic}/${row.partition}`]
      .filter((part) => part !== undefined).join(" ");
    row.words = `${row.key} ${row.target_topic ?? ""} ${row.target_group ?? ""} ${words(row.state ?? "")}`.toLowerCase();
    return row;
  }));
}

function positionsOf(flow) {
  return flow.groups.flatMap((g) => {
    const of = { group: g.group, target_group: g.target_group };
    if (g.error) return [{ ...of, state: "cannot_be_read", error: g.error, remedy: g.remedy }];
    return g.positions.map((p) => ({ ...p, ...of }));
  });
}

function note(one) {
  return make("li", {}, make("span", { class: one.urgent ? "fact bad" : "fact" }, one.fact),
    one.remedy ? make("div", { class: "remedy" }, one.remedy) : undefined);
}

function showFlows(said) {
  const cards = said.remarks.map((remark) => {
    const flow = said.flows.find((f) => f.flow === remark.flow);
    const urgent = remark.notes.some((n) => n.urgent) || flow.stopped > 0;
    const more = remark.notes.length - mostNotes;
    return make("article", { class: urgent ? "card urgent" : "card", "data-flow": remark.flow },
      make("h3", {}, `Flow ${remark.flow}`),
      make("p", { class: "headline" }, remark.headline),
      make("p", {}, `${flow.partitions.length} partitions, ${flow.groups.length} groups; ${flow.delivery}, ` +
        `${flow.lane} lane (${flow.lane_why}); ledger ${flow.ledger}`),
      make("ul", {}, ...remark.notes.slice(0, mostNotes).map(note)),
      more > 0 ? make("p", {}, `and ${more} more like these: 'replicator status --all' shows them`) : undefined);
  });
  const none = make("p", {}, "No flow could be looked at: nothing is known of partitions and groups.");
  at("flow-list").replaceChildren(...(cards.length ? cards : [none]));
  setText(at("said"), said.remarks.map((r) => `Flow ${r.flow}: ${r.headline}`).join(". "));
}

function facts(pairs) {
  return make("dl", {}, ...pairs.filter(([, value]) => value !== undefined && value !== null && value !== "")
    .flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, String(value))]));
}

function showMoves(said) {
  const cards = said.flows.flatMap((flow) => {
    const list = [];
    const c = flow.cutover;
    if (c) {
      list.push(make("article", { class: "card" }, make("h3", {}, `Cutover ${c.id} of flow ${flow.flow}`), facts([
        ["State", words(c.state)], ["Begun", time(c.begun)], ["Done", c.ended && time(c.ended)],
        ["Takes back", c.takes_back], ["Partitions", c.partitions],
        ["Written to the source since, at most", c.written_to_source_since < 0 ? "not known" : c.written_to_source_since],
        ["Written to the target since, at most", c.written_to_target_since < 0 ? "not known" : c.written_to_target_since],
        ["Given up", c.given_up?.join("; ")],
      ]), make("h4", {}, "Groups that were moved"), make("ul", {}, ...c.groups.map((g) => make("li", {},
        `${g.group}: ${g.ended ? "moved at " + time(g.ended) : "it is not noted when"}` +
        (g.at_work_on_source_since ? "; at work on the source since" : "") +
        (g.at_work_on_target_since ? "; at work on the target since" : ""))))));
    }
    const f = flow.failover;
    if (f) {
      list.push(make("article", { class: "card urgent" }, make("h3", {}, `Failover ${f.id} of flow ${flow.flow}`), facts([
        ["State", words(f.state)], ["Begun", time(f.begun)], ["Done", f.ended && time(f.ended)],
        ["Why the source did not answer", f.source_why], ["Source seen last", f.seen_at && time(f.seen_at)],
        ["Records not copied, at most, of what was seen", f.records_not_copied],
        ["Partitions of which the end is not known", f.ends_unknown],
        ["Partitions", f.partitions], ["Groups", f.groups],
        ["Opened again", f.failed_back && time(f.failed_back)], ["Orphans", f.orphans],
      ])));
    }
    return list;
  });
  at("move-list").replaceChildren(...(cards.length ? cards : [make("p", {}, "There was none.")]));
}

function showTimeline() {
  const list = [...(shown.status?.timeline ?? []), ...(shown.history?.events ?? [])];
  list.sort((a, b) => Date.parse(b.at) - Date.parse(a.at));
  const items = list.slice(0, mostEvents).map((e) => make("li", { "data-kind": e.kind },
    make("time", { datetime: e.at }, time(e.at)), ` ${e.flow} ${e.where ? e.where + " " : ""}`,
    make("strong", {}, words(e.kind)), ` ${e.what}`));
  at("event-list").replaceChildren(...(items.length ? items : [make("li", {}, "Nothing is noted.")]));
}

const drawing = "http://www.w3.org/2000/svg";

// chart draws a list over time; where nothing is known there is no line.
function chart(title, times, values, say) {
  const known = values.filter((v) => v !== null);
  const from = Date.parse(times[0]);
  const long = Math.max(Date.parse(times[times.length - 1]) - from, 1);
  const high = Math.max(...known, 0);
  let path = "";
  let pen = "M";
  values.forEach((v, n) => {
    if (v === null) { pen = "M"; return; }
    const x = 1000 * (Date.parse(times[n]) - from) / long;
    path += `${pen}${x.toFixed(1)} ${(96 - 90 * (high > 0 ? v / high : 0)).toFixed(1)}`;
    pen = "L";
  });
  const svg = document.createElementNS(drawing, "svg");
  for (const [name, value] of Object.entries({ viewBox: "0 0 1000 100", preserveAspectRatio: "none",
    "aria-hidden": "true" })) svg.setAttribute(name, value);
  const line = document.createElementNS(drawing, "path");
  line.setAttribute("d", path);
  svg.append(line);
  const last = values[values.length - 1];
  const peak = values.indexOf(high);
  const text = known.length === 0 ? "not known yet"
    : `now ${last === null ? "not known" : say(last)}, highest ${say(high)}${peak >= 0 ? " at " + time(times[peak]) : ""}`;
  return make("figure", {}, make("figcaption", {}, `${title}: ${text}`), svg);
}

const size = (n) => (n >= 1e6 ? `${(n / 1e6).toFixed(1)} M` : n >= 1e3 ? `${(n / 1e3).toFixed(1)} k` : n.toFixed(0));

function showCharts() {
  const h = shown.history;
  if (!h || h.times.length < 2) {
    at("chart-list").replaceChildren(make("p", {}, "Charts begin some seconds after this process."));
    return;
  }
  at("chart-list").replaceChildren(...h.flows.map((f) => make("article", { "data-flow": f.flow },
    make("h3", {}, `Flow ${f.flow}, since ${time(h.times[0])}`), make("div", { class: "charts" },
      chart("Lag in records", h.times, f.lag_records, (n) => n.toFixed(0)),
      chart("Records a second", h.times, f.records_per_second, size),
      chart("Bytes a second", h.times, f.bytes_per_second, size),
      chart("Time of a commit", h.times, f.commit_seconds, (n) => `${(1000 * n).toFixed(0)} ms`)))));
}

function showStatus(said) {
  shown.status = said;
  document.body.classList.toggle("one-flow", said.flows.length < 2);
  showFlows(said);
  partitions.set(rowsOf(said.flows, (f) => f.partitions));
  positions.set(rowsOf(said.flows, positionsOf));
  showMoves(said);
  showTimeline();
  const select = at("ask").elements.flow;
  const names = said.flows.map((f) => f.flow);
  if (names.length && names.join() !== [...select.options].map((o) => o.value).join()) {
    select.replaceChildren(...names.map((name) => make("option", { value: name }, name)));
  }
}

// showTrouble says what could not be looked at. An error stands until there is an answer again.
function showTrouble(problems) {
  const text = JSON.stringify(problems);
  if (at("trouble").dataset.said === text) return; // a screen reader has read it out
  at("trouble").dataset.said = text;
  at("trouble").replaceChildren(...problems.flatMap((p) => [make("p", {}, p.error),
    p.remedy ? make("p", { class: "remedy" }, p.remedy) : undefined].filter(Boolean)));
}

function showAge() {
  if (shown.at === undefined) return;
  const seconds = Math.round((performance.now() - shown.at) / 1000);
  const old = shown.failed || seconds > 3 * Math.max(shown.again, askEvery);
  document.body.classList.toggle("old", Boolean(old));
  setText(at("age"), `The clusters were looked at ${seconds} s ago, at ${time(shown.status.looked_at)}` +
    (old ? ". THIS IS OLD: there is no newer answer" : ""));
}

let timer;
let asking = false;

// look asks for all, and again later, while somebody sees the page.
async function look() {
  clearTimeout(timer);
  if (asking || document.hidden) return;
  asking = true;
  let pause = askEvery;
  try {
    const { said, age } = await ask("api/v1/status");
    Object.assign(shown, { at: performance.now() - 1000 * age, again: said.again_after_seconds, failed: false });
    showStatus(said);
    showTrouble(said.problems);
    pause = Math.max(askEvery, said.again_after_seconds - age);
    shown.history = (await ask("api/v1/history")).said;
    showCharts();
    showTimeline();
  } catch (err) {
    shown.failed = true;
    showTrouble([{ error: `No answer: ${err.message}`, remedy: err.remedy }]);
  }
  asking = false;
  showAge();
  timer = setTimeout(look, 1000 * pause);
}

at("ask").addEventListener("submit", async (event) => {
  event.preventDefault();
  const given = new URLSearchParams(new FormData(event.target));
  setText(at("translated"), "Asking…");
  try {
    const { said } = await ask(`api/v1/offsets?${given}`);
    const on = said.inverse
      ? `target offset ${said.target_offset} of ${said.target_topic}/${said.partition} is source offset ${said.source_offset} of ${said.topic}/${said.partition}`
      : `source offset ${said.source_offset} of ${said.topic}/${said.partition} is target offset ${said.target_offset} of ${said.target_topic}/${said.partition}`;
    setText(at("translated"), `${on}\nRule ${words(said.rule)}: ${said.why}`);
  } catch (err) {
    setText(at("translated"), err.message + (err.remedy ? `\nWhat to do: ${err.remedy}` : ""));
  }
});

document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
setInterval(showAge, 1000);
ask("api/v1/version").then(({ said }) => setText(at("version"), said.version), () => {});
look();
