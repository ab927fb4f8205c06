// The review: a list of labels, decisions by key, and the case. Texts become text nodes, never HTML.

import { Viewer, colourOf, hasWebGL2 } from "./viewer.js";

const PAGE = 100;
const POLL = 4000;
const WORDS = { keep: "keep", redraw: "redraw", edit: "edited", "leave-out": "left out" };
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const token = document.querySelector('meta[name="review-token"]').content;

const state = {
  labels: [], cases: [], structures: [], version: "", decisions: new Map(), drafts: new Map(), made: [],
  shown: [], page: 0, current: -1, slices: null, worst: -1, drawing: null, dirty: false, layersBefore: null,
};
let viewer = null;

const say = (text) => (at("status").textContent = text);
const complain = (text = "") => (at("error").textContent = text);
const time = (when) => {
  const date = new Date(when);
  return Number.isNaN(date.getTime()) ? when : date.toLocaleString([], { dateStyle: "short", timeStyle: "short" });
};

// Asks the server; what it refuses, or that it is gone, becomes an error of one line.
async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { ...options, headers: { "X-Review-Token": token, ...options.headers } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer: was it stopped? Start it again with selfcleanse review.");
  }
  if (answer.ok) return answer;
  if (answer.status === 503) { // another tab has asked for another case, and was first
    await new Promise((done) => setTimeout(done, 300));
    options.signal?.throwIfAborted();
    return ask(path, options);
  }
  const text = await answer.text();
  let said = { error: text };
  try {
    said = JSON.parse(text);
  } catch { /* a plain line */ }
  throw Object.assign(new Error(said.error || `The server answers ${answer.status}.`), { status: answer.status, said });
}

// ---- decisions -------------------------------------------------------------------------------------------------------

function take({ version, decisions }) {
  state.version = version;
  const before = state.decisions;
  state.decisions = new Map(Object.entries(decisions).map(([i, decision]) => [Number(i), decision]));
  const others = [...state.decisions].filter(([i, d]) => d.when !== before.get(i)?.when || d.who !== before.get(i)?.who);
  return others.map(([i]) => i);
}

// A label's decision; of a case that is left out, that holds for its other labels.
function decided(i) {
  const own = state.decisions.get(i);
  if (own) return own;
  const other = state.leftOut.get(state.labels[i].case);
  return other === undefined ? null : { ...state.decisions.get(other), with: other };
}

function refresh() {
  state.leftOut = new Map();
  for (const [i, d] of state.decisions) if (d.decision === "leave-out") state.leftOut.set(state.labels[i].case, i);
  drawRows();
  drawProgress();
  drawVerdict();
}

let line = Promise.resolve(); // decisions are written one after the other
function decide(i, choice, note) {
  line = line.then(async () => {
    const before = state.decisions.get(i) ?? null;
    const following = next(1, i, true);
    if (!(await write(i, choice, note))) return;
    state.made.push({ i, before });
    if (choice !== "undecided" && before?.decision !== choice && i === state.current && following !== null) select(following);
  });
  return line;
}

// Writes a decision; whether that was possible.
async function write(i, choice, note) {
  try {
    const body = JSON.stringify({ label: i, decision: choice, note, seen: state.decisions.get(i) ?? null });
    take(await (await ask("/api/decisions", { method: "POST", body })).json());
  } catch (error) {
    complain(error.message);
    if (error.status === 409) await poll(true);
    return false;
  }
  complain();
  state.drafts.delete(i);
  refresh();
  say(`${nameOf(i)}: ${choice === "undecided" ? "undecided" : WORDS[choice]}`);
  return true;
}

function undo() {
  line = line.then(async () => {
    const last = state.made.at(-1);
    if (!last) return say("There is nothing to undo. Press 0 to make this label undecided.");
    const { i, before } = last;
    if (!(await write(i, before?.decision ?? "undecided", before?.note ?? ""))) return;
    state.made = state.made.filter((one) => one !== last);
    select(i);
  });
  return line;
}

async function poll(now = false) {
  if (document.hidden && !now) return;
  try {
    const answer = await ask(`/api/decisions?version=${encodeURIComponent(state.version)}`);
    if (at("error").dataset.poll) complain(); // the server is back
    delete at("error").dataset.poll;
    if (answer.status === 204) return;
    const changed = take(await answer.json());
    refresh();
    const others = changed.filter((i) => state.decisions.get(i).who !== state.who);
    if (others.length) say(`${state.decisions.get(others[0]).who || "Somebody"} has decided about ${others.length === 1 ? nameOf(others[0]) : `${others.length} labels`}.`);
  } catch (error) {
    at("error").dataset.poll = "1";
    complain(error.message);
  }
}

// ---- the list --------------------------------------------------------------------------------------------------------

const nameOf = (i) => `${state.labels[i].name}, ${state.structures[state.labels[i].structure].name}`;

function filter() {
  const text = at("text").value.trim().toLowerCase();
  const structure = at("structure").value;
  const everything = at("all").checked;
  const open = at("undecided").checked;
  state.shown = state.labels
    .filter(
      (label) =>
        (everything || label.suspected) &&
        (!open || !decided(label.i)) &&
        (structure === "" || label.structure === Number(structure)) &&
        (text === "" || label.name.toLowerCase().includes(text)),
    )
    .map((label) => label.i);
}

// The next label of the list, or the one before; where `open`, the next undecided one. Null at the end.
function next(by, from = state.current, open = false) {
  const order = [...new Set([...state.shown, from])].sort((a, b) => a - b);
  for (let k = order.indexOf(from) + by; k >= 0 && k < order.length; k += by) {
    if (order[k] >= 0 && (!open || !decided(order[k]))) return order[k];
  }
  return null;
}

function drawRows() {
  filter();
  const pages = Math.max(1, Math.ceil(state.shown.length / PAGE));
  state.page = Math.min(Math.max(state.page, 0), pages - 1);
  const rows = state.shown.slice(state.page * PAGE, (state.page + 1) * PAGE);
  const focused = at("rows").contains(document.activeElement);
  at("rows").start = state.page * PAGE + 1;
  at("rows").replaceChildren(...rows.map(row));
  if (!rows.length) at("rows").append(make("li", { class: "none" }, "No label fits the filter."));
  if (focused) at("rows").querySelector("[aria-current]")?.focus();
  at("count").textContent = `${state.shown.length} labels` + (pages > 1 ? `, page ${state.page + 1} of ${pages}` : "");
  at("earlier").hidden = at("later").hidden = pages === 1;
  at("earlier").setAttribute("aria-disabled", String(state.page === 0));
  at("later").setAttribute("aria-disabled", String(state.page === pages - 1));
}

function row(i) {
  const label = state.labels[i];
  const decision = decided(i);
  const button = make(
    "button", { type: "button", "data-label": String(i) },
    make("span", { class: "rank" }, String(i + 1)),
    make("span", { class: "case", title: label.name }, label.name),
    make("span", { class: `badge ${decision?.decision ?? ""}` }, decision ? WORDS[decision.decision] : "undecided"),
    make("span", { class: "line" }, `${state.structures[label.structure].name} · ${label.reason || "not suspected"}`),
    make("span", { class: "line" }, `clean ${number(label.clean, 2)} · score ${number(label.score, 2)} · Dice ${number(label.dice, 2)}`),
  );
  button.lastChild.style.gridColumnStart = "2";
  if (i === state.current) button.setAttribute("aria-current", "true");
  return make("li", {}, button);
}

function drawProgress() {
  const counted = state.labels.filter((label) => label.suspected);
  const of = counted.length ? counted : state.labels;
  const done = of.filter((label) => decided(label.i)).length;
  at("progress").replaceChildren(
    make("strong", {}, String(done)), ` of ${of.length} ${counted.length ? "suspects" : "labels"} decided, ${of.length - done} left`,
  );
  at("meter").style.width = `${of.length ? (100 * done) / of.length : 0}%`;
}

// ---- one label -------------------------------------------------------------------------------------------------------

function drawVerdict() {
  if (state.current < 0) return;
  const decision = decided(state.current);
  for (const button of all("#choices button[data-choice]")) {
    button.setAttribute("aria-pressed", String(decision?.decision === button.dataset.choice && !("with" in decision)));
  }
  let words = "Undecided.";
  if (decision) {
    const by = [decision.who && `by ${decision.who}`, decision.when && time(decision.when)].filter(Boolean).join(", ");
    const what = "with" in decision ? `The case is left out, with ${state.structures[state.labels[decision.with].structure].name}` : `Decided: ${WORDS[decision.decision]}`;
    words = `${what}${by ? ` (${by})` : ""}.`;
  }
  at("decided").textContent = words;
  if (document.activeElement !== at("note")) at("note").value = state.drafts.get(state.current) ?? state.decisions.get(state.current)?.note ?? "";
}

async function leaveDrawing() {
  await saving;
  if (!state.drawing) return true;
  if (state.dirty && (await choose("What you have drawn is not saved.", ["Save", "Discard", "Go on drawing"])) === "Go on drawing") return false;
  if (state.dirty && at("ask").returnValue === "Save") {
    if (!(await save())) return false;
    if (state.dirty) return leaveDrawing(); // somebody has drawn on meanwhile
  }
  stopDrawing();
  return true;
}

async function select(i, focus = false) {
  if (i === null || i < 0) return say("That was the last one.");
  if (i !== state.current && !(await leaveDrawing())) return;
  const label = state.labels[i], isThere = i === state.current && document.body.dataset.loaded === String(i);
  state.current = i;
  state.page = Math.floor(Math.max(0, state.shown.indexOf(i)) / PAGE);
  at("title").textContent = `${label.name} · ${state.structures[label.structure].name}`;
  at("reason").textContent = label.words || "Nothing speaks against this label.";
  at("numbers").replaceChildren(
    ...[["rank", String(i + 1)], ["clean probability", number(label.clean)], ["score", number(label.score)], ["Dice", number(label.dice)]].map(
      ([term, value]) => make("div", {}, make("dt", {}, term), make("dd", {}, value)),
    ),
  );
  drawRows();
  drawVerdict();
  at("rows").querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
  if (focus) at("title").focus();
  say(`${i + 1} of ${state.labels.length}: ${nameOf(i)}, ${label.reason || "not suspected"}`);
  if (isThere) return;
  clearTimeout(select.timer);
  delete document.body.dataset.loaded;
  select.timer = setTimeout(() => load(i), 120); // whoever leafs through the list asks for no volumes
}

async function load(i) {
  const label = state.labels[i];
  load.stop?.abort();
  const stop = (load.stop = new AbortController());
  at("loading").hidden = false;
  at("slices").replaceChildren();
  [state.slices, state.worst] = [null, -1];
  at("hint").textContent = "";
  delete document.body.dataset.loaded;
  const gone = () => stop.signal.aborted;
  try {
    const get = async (path) => (await ask(`/api/labels/${i}${path}`, { signal: stop.signal })).json();
    const slices = get("/slices").then((found) => {
      if (gone()) return;
      state.slices = found;
      drawSlices();
    });
    slices.catch(() => {}); // waited for below
    const facts = await get("");
    if (gone()) return;
    if (facts.note) at("hint").textContent = `There is no image to show: ${facts.note}`;
    if (viewer) {
      drawChannels(facts.channels);
      const channel = Number(at("channel").value || 0);
      const name = facts.packed && !channel ? "image.nii.gz" : "image.nii";
      const image = { url: `/api/cases/${label.case}/${name}?channel=${channel}`, name };
      const overlay = { url: `/api/labels/${i}/overlay.nii.gz`, name: "overlay.nii.gz" };
      if (!(await viewer.show(image, overlay)) || gone()) return;
      await slices;
      if (!state.drawing) toSlice(0, false);
    } else {
      const pictures = await get("/pictures");
      if (!gone()) {
        const drawn = (p) => [["redrawn", p.cleansed], ["given", p.given], ["predicted", p.predicted]];
        at("pictures").replaceChildren(
          ...pictures.map((p) => picture(p, drawn(p), nameOf(i), p.mm2 === undefined ? undefined : p)),
        );
        layers();
      }
      await slices;
    }
    if (gone()) return;
    document.body.dataset.loaded = String(i);
  } catch (error) {
    if (error.name === "AbortError" || gone()) return;
    at("hint").textContent = error.message;
  }
  at("loading").hidden = true;
}

function drawChannels(n) {
  at("channels").hidden = n < 2;
  if (at("channel").children.length === n) return;
  at("channel").replaceChildren(...Array.from({ length: n }, (_, c) => make("option", { value: String(c) }, String(c))));
}

function drawSlices() {
  const { slices, count: n } = state.slices;
  const chips = slices.map(([slice, mm2, , debatable], k) =>
    make("button", { type: "button", "data-slice": String(k), "aria-pressed": "false", title: debatable ? "a debatable slice" : "" },
      String(slice), " ", make("small", {}, `${number(mm2, 2)} mm²${debatable ? " ?" : ""}`)),
  );
  if (n > slices.length) chips.push(make("span", {}, `and ${n - slices.length} more`));
  at("slices").replaceChildren(...(chips.length ? chips : [make("span", {}, "none: label and prediction agree")]));
}

// Goes to one of the slices that differ most; without `turn`, in whatever plane is shown.
function toSlice(k, turn = true) {
  const found = state.slices?.slices[k];
  if (!found) return;
  state.worst = k;
  if (viewer) {
    const plane = viewer.goTo(found[0], found[4]);
    const shown = document.querySelector('[name="view"]:checked').value;
    if ((turn || !toSlice.was) && shown !== "all" && shown !== plane) setPlane(plane);
    toSlice.was = true;
  }
  for (const chip of all("#slices button")) chip.setAttribute("aria-pressed", String(Number(chip.dataset.slice) === k));
}

function setPlane(name) {
  document.querySelector(`[name="view"][value="${name}"]`).checked = true;
  viewer?.setPlane(name);
}

function layers() {
  const out = {};
  for (const box of all("[data-layer]")) {
    const fade = document.querySelector(`[data-fade="${box.dataset.layer}"]`);
    out[box.dataset.bit] = { on: box.checked, strength: Number(fade.value) / 100 };
    for (const path of all(`.frame path.${box.dataset.layer}`)) path.toggleAttribute("hidden", !box.checked);
  }
  viewer?.setLayers(out);
}

function toggle(name) {
  const box = document.querySelector(`[data-layer="${name}"]`);
  box.checked = !box.checked;
  layers();
}

function drawWhere() {
  const slice = viewer?.slice;
  at("where").textContent = slice ? `slice ${slice.number} of 0 to ${slice.count - 1}` : "";
}

function drawWindow() {
  const [low, high] = viewer.window;
  [at("low").value, at("high").value] = [number(low, 4), number(high, 4)];
}

// ---- drawing ---------------------------------------------------------------------------------------------------------

const tool = () => document.querySelector('[name="tool"]:checked').value;

function setPen() {
  const structure = Number(document.querySelector('[name="draw"]:checked').value);
  viewer.setPen(tool(), structure, Number(at("size").value));
}

async function edit(start = "", again = false) {
  if (!viewer) return say("Without WebGL 2 this browser cannot draw; the other decisions work.");
  const [i, before, changes] = [state.current, state.drawing, viewer.changes];
  const isThere = () => i === state.current && document.body.dataset.loaded === String(i);
  if (!isThere()) return say("The case is still loading.");
  if (before && !start && !again) return;
  try {
    const answer = await ask(`/api/labels/${i}/drawing?start=${start}`);
    const voxels = new Uint8Array(await answer.arrayBuffer());
    if (!isThere() || state.drawing !== before || (before && viewer.changes !== changes)) return drawStart();
    const said = (name) => answer.headers.get(`X-Review-${name}`);
    if (said("Label") !== String(i)) throw new Error("The server has sent another label: load the page again.");
    viewer.startDrawing(voxels);
    state.drawing = { i, version: said("Version"), decided: said("Decided"), start: said("Start"), shown: said("Start") };
  } catch (error) {
    drawStart();
    return complain(error.message);
  }
  drawStart();
  state.dirty = false;
  if (at("pen").hidden) {
    state.layersBefore = all("[data-layer]").map((box) => box.checked);
    for (const box of all("[data-layer]")) box.checked = false;
    layers();
  }
  at("pen").hidden = false;
  const own = state.labels[i].structure;
  document.querySelector(`[name="draw"][value="${state.structures[own].index}"]`).checked = true;
  viewer.setFade(Number(at("fade").value) / 100);
  setPen();
  at("canvas").focus();
  say(`Drawing ${state.structures[own].name}, from the ${at("start").selectedOptions[0].textContent}. s saves, Escape closes.`);
}

// Shows what the drawing began from.
function drawStart() {
  if (!state.drawing) return;
  at("start").querySelector('[value="edited"]').disabled = !state.drawing.version;
  at("start").value = state.drawing.shown;
}

function stopDrawing() {
  if (!state.drawing) return;
  viewer.endDrawing();
  [state.drawing, state.dirty] = [null, false];
  at("pen").hidden = true;
  all("[data-layer]").forEach((box, k) => (box.checked = state.layersBefore[k]));
  layers();
}

async function packed(voxels) {
  const stream = new Blob([voxels]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Response(stream).blob();
}

let saving = Promise.resolve(true); // drawings are saved one after the other
const save = () => (saving = saving.then(store));

// Saves what is drawn by now; whether that was possible.
async function store() {
  const drawing = state.drawing;
  if (!drawing) return true;
  say("Saving …");
  const changes = viewer.changes;
  try {
    const headers = {
      "Content-Type": "application/octet-stream", "X-Review-Label": String(drawing.i), "X-Review-Version": drawing.version,
      "X-Review-Decided": drawing.decided, "X-Review-Start": drawing.start,
    };
    const query = `note=${encodeURIComponent(at("note").value)}`;
    const body = await packed(viewer.drawn());
    const answer = await (await ask(`/api/labels/${drawing.i}/drawing?${query}`, { method: "PUT", body, headers })).json();
    take(answer);
    Object.assign(drawing, { version: answer.edited, decided: answer.decided, start: "edited", shown: "edited" });
    if (state.drawing === drawing && viewer.changes === changes) state.dirty = false;
    drawStart();
    state.made = []; // to undo an older decision now would surprise
    complain();
    refresh();
    say(`Saved; edited: ${answer.changed.join(", ")}.`);
    return true;
  } catch (error) {
    say("");
    const saved = error.said?.edited; // and could not be decided
    if (saved) drawing.version = saved;
    if (error.status !== 409) {
      complain(`${saved ? "Not decided" : "Not saved"}: ${error.message}`);
      return false;
    }
    await poll(true);
    const answer = await choose(`Not saved: ${error.message}.`, ["Open theirs", "Save mine over it", "Go on drawing"]);
    if (answer === "Save mine over it") return replaceTheirs(drawing);
    if (answer === "Open theirs") await edit("", true);
    return false;
  }
}

// Saves a drawing over what is there by now, which the reviewer has been told of.
async function replaceTheirs(drawing) {
  try {
    const { edited, decided } = await (await ask(`/api/labels/${drawing.i}`)).json();
    Object.assign(drawing, { version: edited, decided, start: "" });
  } catch (error) {
    complain(`Not saved: ${error.message}`);
    return false;
  }
  return store();
}

function choose(text, choices) {
  at("ask-text").textContent = text;
  at("ask-choices").replaceChildren(...choices.map((choice) => make("button", { value: choice }, choice)));
  at("ask").returnValue = choices.at(-1);
  at("ask").showModal();
  return new Promise((done) => at("ask").addEventListener("close", () => done(at("ask").returnValue || choices.at(-1)), { once: true }));
}

// ---- keys and controls -----------------------------------------------------------------------------------------------

const choice = (name) => decide(state.current, name, at("note").value);

const KEYS = {
  j: () => select(next(1)), k: () => select(next(-1)),
  1: () => choice("keep"), 2: () => choice("redraw"), 3: () => choice("leave-out"), 0: () => choice("undecided"),
  e: () => edit(), u: undo, "?": () => at("help").showModal(),
  n: () => at("note").focus(), "/": () => at("text").focus(),
  a: () => setPlane("axial"), c: () => setPlane("coronal"), s: () => setPlane("sagittal"), m: () => setPlane("all"),
  g: () => toggle("given"), p: () => toggle("predicted"), r: () => toggle("redrawn"),
  d: () => toSlice((state.worst + 1) % Math.max(1, state.slices?.slices.length ?? 1)),
  ArrowUp: () => viewer?.step(1), ArrowDown: () => viewer?.step(-1),
};

const pick = (name) => {
  document.querySelector(`[name="tool"][value="${name}"]`).checked = true;
  setPen();
};
const DRAWING = {
  ...Object.fromEntries(Array.from({ length: 9 }, (_, k) => [k + 1, () => {
    const box = all('[name="draw"]')[k];
    if (box) box.checked = true;
    setPen();
  }])),
  p: () => pick("pen"), f: () => pick("fill"), x: () => pick("eraser"), s: () => save(), Escape: () => leaveDrawing(),
  z: () => viewer.undoStroke() || say("There is no stroke to undo."),
  j: KEYS.j, k: KEYS.k, d: KEYS.d, g: KEYS.g, r: KEYS.r, a: KEYS.a, c: KEYS.c, m: KEYS.m, "?": KEYS["?"], n: KEYS.n,
  ArrowUp: KEYS.ArrowUp, ArrowDown: KEYS.ArrowDown,
};

const writes = (node) => node.matches("textarea, select, input:not([type=checkbox], [type=radio], [type=range])");

function onKey(event) {
  const { target, key } = event;
  if (target === at("canvas")) event.stopImmediatePropagation(); // NiiVue has keys of its own
  if (document.querySelector("dialog[open]") || event.altKey || event.metaKey) return;
  if (writes(target)) {
    if (key === "Escape") target.blur();
    if (key === "Enter" && target === at("note")) noted();
    return;
  }
  if (event.ctrlKey && !(state.drawing && key === "z")) return;
  if (key.startsWith("Arrow") && target !== at("canvas") && target !== document.body) return; // radio buttons and sliders
  const act = (state.drawing ? DRAWING : KEYS)[key];
  if (!act || state.current < 0) return;
  event.preventDefault();
  act();
}

// A note about a label that is decided is written with the same decision again.
function noted() {
  const own = state.decisions.get(state.current);
  at("note").blur();
  if (own && own.note !== at("note").value) decide(state.current, own.decision, at("note").value);
  else if (!own) say("The note is written with your decision.");
}

function wire() {
  document.addEventListener("keydown", onKey, true);
  document.addEventListener("keyup", (event) => event.target === at("canvas") && event.stopImmediatePropagation(), true);
  at("rows").addEventListener("click", (event) => {
    const button = event.target.closest("button[data-label]");
    if (button) select(Number(button.dataset.label));
  });
  for (const id of ["text", "structure", "undecided", "all"]) {
    at(id).addEventListener(id === "text" ? "input" : "change", () => {
      state.page = 0;
      drawRows();
    });
  }
  document.querySelector("form.tools").addEventListener("submit", (event) => {
    event.preventDefault();
    if (state.shown.length) select(state.shown[0], true);
  });
  for (const [id, by] of [["earlier", -1], ["later", 1]]) {
    at(id).addEventListener("click", () => {
      state.page += by;
      drawRows();
    });
  }
  at("choices").addEventListener("click", (event) => {
    const name = event.target.closest("button")?.dataset.choice;
    if (name === "edit") edit();
    else if (name) leaveDrawing().then((left) => left && choice(name));
  });
  at("undo").addEventListener("click", undo);
  at("note").addEventListener("input", () => state.drafts.set(state.current, at("note").value));
  at("keys").addEventListener("click", () => at("help").showModal());
  at("slices").addEventListener("click", (event) => {
    const chip = event.target.closest("button");
    if (chip) toSlice(Number(chip.dataset.slice));
  });
  for (const box of all("[data-layer]")) box.addEventListener("change", layers);
  for (const box of all("[data-fade]")) box.addEventListener("input", layers);
  for (const box of all('[name="view"]')) box.addEventListener("change", () => viewer?.setPlane(box.value));
  for (const id of ["low", "high"]) at(id).addEventListener("change", () => viewer?.setWindow(Number(at("low").value), Number(at("high").value)));
  at("auto").addEventListener("click", () => viewer?.autoWindow());
  at("channel").addEventListener("change", () => load(state.current));
  for (const box of all('[name="tool"]')) box.addEventListener("change", setPen);
  at("size").addEventListener("input", setPen);
  at("structures").addEventListener("change", setPen);
  at("fade").addEventListener("input", () => viewer.setFade(Number(at("fade").value) / 100));
  at("stroke").addEventListener("click", DRAWING.z);
  at("save").addEventListener("click", () => save());
  at("cancel").addEventListener("click", leaveDrawing);
  at("start").addEventListener("change", async () => {
    const wanted = at("start").value;
    if (state.dirty && (await choose("What you have drawn is not saved.", ["Discard", "Go on drawing"])) !== "Discard") return drawStart();
    edit(wanted);
  });
  addEventListener("beforeunload", (event) => state.dirty && event.preventDefault());
  document.addEventListener("visibilitychange", () => poll());
  setInterval(poll, POLL);
}

async function start() {
  if (location.search) history.replaceState(null, "", "/"); // the token is in a cookie by now
  const table = await (await ask("/api/table")).json();
  Object.assign(state, { cases: table.cases, structures: table.structures, who: table.who });
  state.labels = table.labels.map((values, i) => {
    const label = Object.fromEntries(table.columns.map((column, k) => [column, values[k]]));
    return { ...label, i, name: table.cases[label.case] };
  });
  at("who").textContent = table.who || "somebody";
  table.structures.forEach(({ name, index }, k) => {
    at("structure").append(make("option", { value: String(k) }, name));
    const box = make("i");
    box.style.background = `rgb(${colourOf(index).join(" ")})`;
    at("structures").append(make("label", { class: "chip" },
      make("input", { type: "radio", name: "draw", value: String(index) }), make("span", {}, box, name)));
  });
  if (!state.labels.some((label) => label.suspected)) at("all").checked = true;
  take(await (await ask("/api/decisions")).json());
  if (hasWebGL2()) {
    viewer = new Viewer(at("canvas"), { ask, onMove: drawWhere, onWindow: drawWindow, onDraw: () => (state.dirty = state.drawing !== null) });
    await viewer.start();
    globalThis.reviewViewer = viewer;
    layers();
  } else {
    document.querySelector(".canvas").hidden = true;
    at("pictures").hidden = false;
    for (const node of all("#views, .window, .layer input[type=range], #choices [data-choice=edit]")) node.hidden = true;
    at("hint").textContent = "";
    say("This browser has no WebGL 2: pictures of slices stand in for the volumes.");
  }
  wire();
  refresh();
  const first = state.shown.find((i) => !decided(i)) ?? state.shown[0];
  if (first === undefined) at("title").textContent = "No label was judged.";
  else select(first);
}

start().catch((error) => complain(error.message));
