// The table of labels: sorted, filtered and paged from the JSON blocks of the page.
(() => {
  const PAGE = 50;
  const data = JSON.parse(document.getElementById("report").textContent);
  const body = at("rows");
  const total = data.case.length;
  const all = Array.from({ length: total }, (_, i) => i);
  const open = new Set();
  const kinds = data.reasons.map((reason) => reason.replace(/ with .*/s, "").replace(/in \d+ slices/, "in slices"));
  const lower = data.cases.map((name) => name.toLowerCase());
  const byName = new Intl.Collator("en", { numeric: true });
  const order = (texts) => {
    const sorted = texts.map((_, i) => i).sort((a, b) => byName.compare(texts[a], texts[b]));
    const place = [];
    sorted.forEach((i, n) => (place[i] = n));
    return place;
  };
  const places = { case: order(data.cases), structure: order(data.structures), reason: order(data.reasons) };
  const keys = {
    rank: (i) => i,
    case: (i) => places.case[data.case[i]],
    structure: (i) => places.structure[data.structure[i]],
    // Labels without a reason come last, whichever way.
    reason: (i) => (data.reasons[data.reason[i]] ? places.reason[data.reason[i]] : null),
    clean_probability: (i) => data.clean_probability[i],
  };
  for (const name of Object.keys(data.evidence)) keys[name] = (i) => data.evidence[name][i];

  const state = { key: "rank", down: false, page: 0, shown: all };

  function select() {
    const text = at("text").value.trim().toLowerCase();
    const structure = at("structure").value;
    const reason = at("reason").value;
    const suspected = at("suspected").checked;
    const shown = all.filter(
      (i) =>
        (!suspected || data.suspected[i]) &&
        (structure === "" || data.structure[i] === Number(structure)) &&
        (reason === "" || kinds[data.reason[i]] === reason) &&
        (text === "" || lower[data.case[i]].includes(text)),
    );
    const value = keys[state.key];
    const sign = state.down ? -1 : 1;
    shown.sort((a, b) => {
      const x = value(a), y = value(b);
      if (x === y) return a - b;
      if (x === null) return 1;
      if (y === null) return -1;
      return x < y ? -sign : sign;
    });
    state.shown = shown;
    draw();
  }

  function draw() {
    const pages = Math.max(1, Math.ceil(state.shown.length / PAGE));
    state.page = Math.min(Math.max(state.page, 0), pages - 1);
    const rows = state.shown.slice(state.page * PAGE, (state.page + 1) * PAGE);
    body.replaceChildren(...rows.flatMap((i) => (open.has(i) ? [row(i), detail(i)] : [row(i)])));
    if (!rows.length) body.append(make("tr", {}, make("td", { colspan: "10", class: "none" }, "No label fits the filter.")));
    const first = state.page * PAGE + 1;
    at("status").textContent =
      `${state.shown.length} of ${total} labels` +
      (pages > 1 ? `, ${first} to ${first + rows.length - 1} on page ${state.page + 1} of ${pages}` : "");
    at("previous").setAttribute("aria-disabled", String(state.page === 0));
    at("next").setAttribute("aria-disabled", String(state.page === pages - 1));
    const opened = rows.length > 0 && rows.every((i) => open.has(i));
    at("all").textContent = opened ? "Close all on this page" : "Open all on this page";
    for (const head of document.querySelectorAll("th[data-key]")) {
      if (head.dataset.key !== state.key) head.removeAttribute("aria-sort");
      else head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
    }
  }

  function row(i) {
    const e = data.evidence;
    const name = data.cases[data.case[i]];
    const button = make("button", { type: "button", class: "open", "aria-expanded": String(open.has(i)) }, name);
    if (open.has(i)) button.setAttribute("aria-controls", `detail-${i}`);
    button.title = name;
    const reason = data.reasons[data.reason[i]];
    const cells = [
      make("td", { class: "number" }, String(i + 1)),
      make("th", { scope: "row" }, button),
      make("td", {}, data.structures[data.structure[i]]),
      make("td", {}, data.suspected[i] ? make("span", { class: "pill" }, reason) : reason || "–"),
      ...[data.clean_probability[i], e.score[i], e.dice[i], e.expected_dice[i], e.given_ml[i], e.predicted_ml[i]].map(
        (value) => make("td", { class: "number" }, number(value)),
      ),
    ];
    const out = make("tr", { "data-rank": String(i) }, ...cells);
    if (data.suspected[i]) out.className = "suspected";
    return out;
  }

  const EVIDENCE = [
    ["outside", "share of the label outside of the prediction"],
    ["inside", "share of the prediction outside of the label"], ["missing_slices", "slices missing"],
    ["extra_slices", "slices too many"], ["shift_mm", "distance of the centres (mm)"],
  ];

  function detail(i) {
    const [file, count, slices, note] = data.details[i] || ["", 0, [], ""];
    const cell = make("td", { colspan: "10" });
    if (data.words[i]) cell.append(make("p", { class: "reason" }, data.words[i]));
    const block = at(`pictures-${i}`);
    if (block) {
      const size = new Map(slices.map(([slice, mm2, dice]) => [slice, { mm2, dice }]));
      const whose = `${data.cases[data.case[i]]}, ${data.structures[data.structure[i]]}`;
      const figures = JSON.parse(block.textContent).map((p) => {
        const layers = [["cleansed", p.cleansed], ["given", p.given], ["predicted", p.predicted]];
        return picture(p, layers, whose, size.get(p.slice));
      });
      cell.append(make("div", { class: "pictures" }, ...figures));
    }
    if (note) cell.append(make("p", { class: "warning" }, note));
    const list = make("dl", { class: "evidence" });
    const add = (term, text) => list.append(make("div", {}, make("dt", {}, term), make("dd", {}, text)));
    if (file) add("label's file", file);
    if (slices.length) {
      const named = slices.map((s) => `${s[0]} (${number(s[1])} mm²${s[3] ? ", debatable" : ""})`).join(", ");
      add("slices that differ most", named + (count > slices.length ? `, and ${count - slices.length} more in slices.csv` : ""));
    }
    for (const [key, text] of EVIDENCE) add(text, number(data.evidence[key][i]));
    cell.append(list);
    if (data.suspected[i] && !block) cell.append(make("p", { class: "help" }, "Pictures are kept for the most suspect labels alone."));
    return make("tr", { class: "detail", id: `detail-${i}` }, cell);
  }

  function toggle(i) {
    const button = body.querySelector(`tr[data-rank="${i}"] button.open`);
    const line = button.closest("tr");
    if (open.delete(i)) {
      line.nextElementSibling.remove();
      button.removeAttribute("aria-controls");
    } else {
      open.add(i);
      line.after(detail(i));
      button.setAttribute("aria-controls", `detail-${i}`);
    }
    button.setAttribute("aria-expanded", String(open.has(i)));
  }

  body.addEventListener("click", (event) => {
    const line = event.target.closest("tr[data-rank]");
    // A click anywhere in a row opens it, but for one that ends a selection of text.
    if (line && (event.target.closest("button") || !String(getSelection()))) toggle(Number(line.dataset.rank));
  });
  body.addEventListener("keydown", (event) => {
    const steps = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity };
    if (!(event.key in steps) || !event.target.matches("button.open")) return;
    const buttons = [...body.querySelectorAll("button.open")];
    const next = buttons.indexOf(event.target) + steps[event.key];
    buttons[Math.min(Math.max(next, 0), buttons.length - 1)].focus();
    event.preventDefault();
  });
  for (const head of document.querySelectorAll("th[data-key]")) {
    head.firstElementChild.addEventListener("click", () => {
      const key = head.dataset.key;
      state.down = state.key === key ? !state.down : false;
      state.key = key;
      state.page = 0;
      select();
    });
  }
  const turn = (step) => {
    const before = state.page;
    state.page += step;
    draw();
    if (state.page !== before) at("labels").scrollIntoView({ block: "start" });
  };
  at("previous").addEventListener("click", () => turn(-1));
  at("next").addEventListener("click", () => turn(1));
  at("all").addEventListener("click", () => {
    const rows = state.shown.slice(state.page * PAGE, (state.page + 1) * PAGE);
    const close = rows.every((i) => open.has(i));
    for (const i of rows) close ? open.delete(i) : open.add(i);
    draw();
  });
  for (const id of ["text", "structure", "reason", "suspected"]) {
    at(id).addEventListener(id === "text" ? "input" : "change", () => {
      state.page = 0;
      select();
    });
  }
  document.querySelector("form.tools").addEventListener("submit", (event) => event.preventDefault());
  for (const box of document.querySelectorAll("input[data-layer]")) {
    box.addEventListener("change", () => document.body.classList.toggle(`without-${box.dataset.layer}`, !box.checked));
  }

  data.structures.forEach((name, i) => at("structure").append(make("option", { value: String(i) }, name)));
  for (const kind of [...new Set(kinds)].filter(Boolean).sort(byName.compare)) at("reason").append(make("option", { value: kind }, kind));
  const any = data.suspected.some(Boolean);
  at("suspected").checked = any;
  if (any) open.add(0);
  select();
})();
