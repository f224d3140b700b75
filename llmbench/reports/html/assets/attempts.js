"use strict";
// The list of attempts and the dialog of a single attempt. Texts of models become text nodes only.
(() => {
  const PAGE = 100;
  const byId = (id) => document.getElementById(id);
  const attemptIndex = JSON.parse(byId("attempt-index").textContent);
  const all = attemptIndex.attempts.map((entry, index) => {
    const [target, problem, run, outcome, passed, total, seconds, tokens, cost, chunk] = entry;
    const [name, lang, tags, difficulty] = attemptIndex.problems[problem];
    const attempt = { index, target: attemptIndex.targets[target], problem: name, lang, run,
      outcome: attemptIndex.outcomes[outcome], passed, total, seconds, tokens, cost, chunk };
    attempt.text = [name, attempt.target, lang, tags, difficulty].join(" ").toLowerCase();
    return attempt;
  });
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

  function options(name, values) {
    for (const value of values) {
      form.elements[name].append(make("option", name === "outcome" ? outcomeLabel(value) : value, { value }));
    }
  }

  function filter() {
    const { text, target, lang, outcome, order } = Object.fromEntries(new FormData(form));
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    visible = all.filter((attempt) => (!target || attempt.target === target) && (!lang || attempt.lang === lang)
      && (!outcome || attempt.outcome === outcome) && (!chosenProblem || attempt.problem === chosenProblem)
      && words.every((word) => attempt.text.includes(word)));
    if (order) visible.sort(ORDERS[order]);
    list.replaceChildren();
    const many = all.length === 1 ? "1 attempt" : `${all.length} attempts`;
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
    history.replaceState(null, "", `#attempt-${attempt.index}`);
  }

  function step(by) {
    const position = visible.indexOf(open);
    if (position >= 0 && visible[position + by]) show(visible[position + by]);
  }

  function choose({ problem, target }) {
    for (const field of form.elements) field.value = "";
    chosenProblem = problem;
    form.elements.text.value = problem;
    form.elements.target.value = target;
    filter();
    byId("attempts").scrollIntoView();
    list.querySelector("button")?.focus({ preventScroll: true });
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

  options("target", attemptIndex.targets);
  options("lang", [...new Set(attemptIndex.problems.map(([, lang]) => lang))].sort());
  options("outcome", attemptIndex.outcomes);
  form.addEventListener("input", (event) => {
    if (event.target === form.elements.text) chosenProblem = null;
    filter();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => {
    chosenProblem = null;
    setTimeout(filter); // once the fields are empty
  });
  more.addEventListener("click", extend);
  list.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) show(all[button.dataset.index]);
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("button.link");
    if (link) choose(link.dataset);
  });
  document.addEventListener("keydown", keys);
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  byId("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => {
    history.replaceState(null, "", "#attempts");
    list.querySelector(`[data-index="${open.index}"]`)?.focus();
  });
  addEventListener("choose", (event) => choose(event.detail));
  addEventListener("hashchange", fromAddress);
  filter();
  fromAddress();
  document.documentElement.dataset.ready = "";
})();
