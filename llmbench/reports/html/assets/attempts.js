"use strict";
// The list of attempts and the dialog of a single attempt. Texts of models become text nodes only.
(() => {
  const PAGE = 100, PREFIX = "attempts-";
  const byId = (id) => document.getElementById(id);
  const { all } = Attempts;
  for (const attempt of all) {
    const { problem, target, lang, tags, difficulty } = attempt;
    attempt.text = [problem, target, lang, ...tags, difficulty].join(" ").toLowerCase();
  }
  const ORDERS = {
    problem: (a, b) => compare(a.problem, b.problem) || compare(a.target, b.target) || a.run - b.run,
    seconds: (a, b) => (b.seconds ?? -1) - (a.seconds ?? -1),
    tokens: (a, b) => (b.tokens ?? -1) - (a.tokens ?? -1),
    cost: (a, b) => (b.cost ?? -1) - (a.cost ?? -1),
  };
  const form = byId("filter"), list = byId("list"), more = byId("more"), dialog = byId("attempt");
  const loadedChunks = new Map();
  const collapsed = new Map([["prompt", true], ["reasoning", true], ["answer", true]]);
  let visible = all, open = null;
  let chosenProblem = null; // exact, because a problem's name may be part of another's

  function compare(a, b) { return a < b ? -1 : a > b ? 1 : 0; }

  function make(name, text, attributes = {}) {
    const element = document.createElement(name);
    element.textContent = text;
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  }

  const outcomeLabel = (outcome) => outcome.replaceAll("_", " ");

  function filter(isFirst = false) {
    const fields = Object.fromEntries(new FormData(form));
    const { text, target, outcome, order } = fields;
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    visible = all.filter((attempt) => (!target || attempt.target === target) && Attempts.matches(attempt, fields)
      && (!outcome || attempt.outcome === outcome) && (!chosenProblem || attempt.problem === chosenProblem)
      && words.every((word) => attempt.text.includes(word)));
    if (order) visible.sort(ORDERS[order]);
    list.replaceChildren();
    const many = all.length === 1 ? "1 attempt" : `${all.length} attempts`;
    if (!isFirst) Attempts.remember({ ...fields, problem: chosenProblem }, PREFIX);
    byId("count").textContent = visible.length === all.length ? many : `${visible.length} of ${many}`;
    extend();
  }

  function extend() {
    const from = list.children.length;
    const items = visible.slice(from, from + PAGE).map((attempt) => {
      const item = document.createElement("li");
      const button = make("button", "", { type: "button", "data-index": attempt.index });
      button.append(
        make("span", outcomeLabel(attempt.outcome), { class: `outcome ${attempt.outcome}` }),
        make("span", attempt.problem, { class: "problem", title: attempt.problem }),
        make("span", attempt.target, { class: "target", title: attempt.target }),
        make("span", `run ${attempt.run}`, { class: "number run" }),
        make("span", attempt.total === null ? "" : `${attempt.passed}/${attempt.total} tests`, { class: "number tests" }),
        make("span", attempt.seconds === null ? "" : `${attempt.seconds.toFixed(1)} s`, { class: "number seconds" }),
        make("span", attempt.tokens === null ? "" : `${attempt.tokens} tokens`, { class: "number tokens" }));
      item.append(button);
      return item;
    });
    list.append(...items);
    more.hidden = list.children.length >= visible.length;
  }

  async function loadTexts(attempt) {
    if (!loadedChunks.has(attempt.chunk)) {
      const bytes = Uint8Array.from(atob(byId(`chunk-${attempt.chunk}`).textContent), (c) => c.charCodeAt(0));
      const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
      loadedChunks.set(attempt.chunk, await new Response(stream).json());
    }
    return loadedChunks.get(attempt.chunk)[attempt.index];
  }

  function highlighted(text, spans) {
    const letters = Array.from(text); // lengths are of code points
    const parts = document.createDocumentFragment();
    let from = 0;
    for (const token of spans.split(" ").filter(Boolean)) {
      const [, kind, length] = /^([a-z]?)(\d+)$/.exec(token);
      const piece = letters.slice(from, from += Number(length)).join("");
      parts.append(kind ? make("span", piece, { class: kind }) : piece);
    }
    return parts;
  }

  function section({ title, text, missing, spans }) {
    if (text === undefined) return make("p", `${title}: not there: ${missing}`, { class: "missing" });
    const name = title.split(/[:,]/)[0];
    const details = document.createElement("details");
    details.open = !collapsed.get(name);
    details.addEventListener("toggle", () => collapsed.set(name, !details.open));
    const pre = make("pre", spans === undefined ? text : "", spans === undefined ? {} : { class: "code", tabindex: 0 });
    if (spans !== undefined) pre.append(highlighted(text, spans));
    details.append(make("summary", title), pre);
    return details;
  }

  function runButtons(attempt) {
    const runs = make("div", "", { class: "runs", role: "group", "aria-label": "Runs of this problem" });
    for (const other of all) {
      if (other.problem !== attempt.problem || other.target !== attempt.target) continue;
      const button = make("button", `run ${other.run}: ${outcomeLabel(other.outcome)}`,
        { type: "button", class: `outcome ${other.outcome}` });
      if (other === attempt) button.setAttribute("aria-current", "true");
      button.addEventListener("click", () => show(other));
      runs.append(button);
    }
    return runs;
  }

  async function show(attempt) {
    open = attempt;
    const texts = await loadTexts(attempt);
    if (open !== attempt) return; // another attempt was opened meanwhile
    byId("attempt-title").textContent = `${attempt.problem}, run ${attempt.run}, by ${attempt.target}`;
    byId("body").replaceChildren(make("p", texts.facts), runButtons(attempt), ...texts.sections.map(section));
    byId("body").scrollTop = 0;
    const position = visible.indexOf(attempt);
    byId("previous").disabled = position <= 0;
    byId("next").disabled = position < 0 || position >= visible.length - 1;
    if (!dialog.open) dialog.showModal();
    Attempts.show(`#attempt-${attempt.index}`);
  }

  function step(by) {
    const position = visible.indexOf(open);
    if (position >= 0 && visible[position + by]) show(visible[position + by]);
  }

  function choose({ problem = "", target = "", lang = "", tag = "", difficulty = "" }) {
    form.reset();
    for (const [name, value] of Object.entries({ text: problem, target, lang, tag, difficulty })) form.elements[name].value = value;
    chosenProblem = problem || null;
    filter();
    byId("attempts").scrollIntoView();
    list.querySelector("button")?.focus({ preventScroll: true });
  }

  // The problem and the target of a cell of a heat map.
  function ofCell(cell) {
    const table = cell.closest("table");
    return { problem: cell.parentElement.querySelector(".name").textContent,
      target: table.tHead.rows[0].cells[cell.cellIndex].textContent };
  }

  function arrows(event) {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!by || !list.contains(document.activeElement)) return;
    const items = [...list.querySelectorAll("button")];
    const next = items.indexOf(document.activeElement) + by;
    if (next >= items.length && !more.hidden) extend();
    list.querySelectorAll("button")[next]?.focus();
    event.preventDefault();
  }

  function keys(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName);
    if (dialog.open) {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (by && !document.activeElement.matches("pre.code")) step(by);
    } else if (event.key === "/" && !typing) {
      form.elements.text.focus();
      event.preventDefault();
    } else {
      arrows(event);
    }
  }

  function fromAddress() {
    const match = /^#attempt-(\d+)$/.exec(location.hash);
    if (match && all[match[1]]) show(all[match[1]]);
  }

  Attempts.fill(form);
  const restored = Attempts.restore(form, PREFIX);
  chosenProblem = restored.get(`${PREFIX}problem`);
  form.addEventListener("input", (event) => {
    if (event.target === form.elements.text) chosenProblem = null;
    filter();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  byId("clear").addEventListener("click", () => {
    form.reset();
    chosenProblem = null;
    filter();
  });
  more.addEventListener("click", extend);
  list.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) show(all[button.dataset.index]);
  });
  document.addEventListener("click", (event) => {
    const cell = event.target.closest("table.choose td");
    if (cell && event.target.closest("button")) choose(ofCell(cell));
  });
  document.addEventListener("keydown", keys);
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  byId("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => {
    Attempts.show("#attempts");
    list.querySelector(`[data-index="${open.index}"]`)?.focus();
  });
  addEventListener("choose", (event) => choose(event.detail));
  addEventListener("hashchange", fromAddress);
  filter(true);
  fromAddress();
  document.documentElement.dataset.ready = "";
})();
