"use strict";
// The list of attempts and the view of one. Texts of models reach the page as text nodes alone.
(() => {
  const PAGE = 100;
  const byId = (id) => document.getElementById(id);
  const listed = JSON.parse(byId("listed").textContent);
  const all = listed.attempts.map((given, place) => {
    const [target, problem, run, outcome, passed, total, seconds, tokens, cost, pack] = given;
    const [name, lang, tags, difficulty] = listed.problems[problem];
    const one = { place, target: listed.targets[target], problem: name, lang, run,
      outcome: listed.outcomes[outcome], passed, total, seconds, tokens, cost, pack };
    one.text = [name, one.target, lang, tags, difficulty].join(" ").toLowerCase();
    return one;
  });
  const ORDERS = {
    problem: (a, b) => compare(a.problem, b.problem) || compare(a.target, b.target) || a.run - b.run,
    seconds: (a, b) => (b.seconds ?? -1) - (a.seconds ?? -1),
    tokens: (a, b) => (b.tokens ?? -1) - (a.tokens ?? -1),
    cost: (a, b) => (b.cost ?? -1) - (a.cost ?? -1),
  };
  const form = byId("filter"), list = byId("list"), more = byId("more"), dialog = byId("attempt");
  const unpacked = new Map();
  const folded = new Map([["prompt", true], ["reasoning", true], ["answer", true]]);
  let shown = all, open = null;
  let chosen = null; // the problem of a cell, whose name may be part of another's

  function compare(a, b) { return a < b ? -1 : a > b ? 1 : 0; }

  function make(name, text, attributes = {}) {
    const made = document.createElement(name);
    made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  }

  const said = (outcome) => outcome.replaceAll("_", " ");

  function options(name, values) {
    for (const value of values) {
      form.elements[name].append(make("option", name === "outcome" ? said(value) : value, { value }));
    }
  }

  function filter() {
    const { text, target, lang, outcome, order } = Object.fromEntries(new FormData(form));
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    shown = all.filter((one) => (!target || one.target === target) && (!lang || one.lang === lang)
      && (!outcome || one.outcome === outcome) && (!chosen || one.problem === chosen)
      && words.every((word) => one.text.includes(word)));
    if (order) shown.sort(ORDERS[order]);
    list.replaceChildren();
    const many = all.length === 1 ? "1 attempt" : `${all.length} attempts`;
    byId("count").textContent = shown.length === all.length ? many : `${shown.length} of ${many}`;
    extend();
  }

  function extend() {
    const from = list.children.length;
    const items = shown.slice(from, from + PAGE).map((one) => {
      const item = document.createElement("li");
      const button = make("button", "", { type: "button", "data-place": one.place });
      button.append(
        make("span", said(one.outcome), { class: `outcome ${one.outcome}` }),
        make("span", one.problem, { class: "problem", title: one.problem }),
        make("span", one.target, { class: "target", title: one.target }),
        make("span", `run ${one.run}`, { class: "number run" }),
        make("span", one.total === null ? "" : `${one.passed}/${one.total} tests`, { class: "number tests" }),
        make("span", one.seconds === null ? "" : `${one.seconds.toFixed(1)} s`, { class: "number seconds" }),
        make("span", one.tokens === null ? "" : `${one.tokens} tokens`, { class: "number tokens" }));
      item.append(button);
      return item;
    });
    list.append(...items);
    more.hidden = list.children.length >= shown.length;
  }

  async function textsOf(one) {
    if (!unpacked.has(one.pack)) {
      const packed = Uint8Array.from(atob(byId(`pack-${one.pack}`).textContent), (c) => c.charCodeAt(0));
      const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
      unpacked.set(one.pack, await new Response(stream).json());
    }
    return unpacked.get(one.pack)[one.place];
  }

  function coloured(text, kinds) {
    const letters = Array.from(text); // lengths are of code points
    const parts = document.createDocumentFragment();
    let from = 0;
    for (const token of kinds.split(" ").filter(Boolean)) {
      const [, kind, length] = /^([a-z]?)(\d+)$/.exec(token);
      const piece = letters.slice(from, from += Number(length)).join("");
      parts.append(kind ? make("span", piece, { class: kind }) : piece);
    }
    return parts;
  }

  function section({ title, text, missing, kinds }) {
    if (text === undefined) return make("p", `${title}: not there: ${missing}`, { class: "missing" });
    const name = title.split(/[:,]/)[0];
    const details = document.createElement("details");
    details.open = !folded.get(name);
    details.addEventListener("toggle", () => folded.set(name, !details.open));
    const pre = make("pre", kinds === undefined ? text : "", kinds === undefined ? {} : { class: "code", tabindex: 0 });
    if (kinds !== undefined) pre.append(coloured(text, kinds));
    details.append(make("summary", title), pre);
    return details;
  }

  function runsOf(one) {
    const runs = make("div", "", { class: "runs", role: "group", "aria-label": "Runs of this problem" });
    for (const other of all) {
      if (other.problem !== one.problem || other.target !== one.target) continue;
      const button = make("button", `run ${other.run}: ${said(other.outcome)}`,
        { type: "button", class: `outcome ${other.outcome}` });
      if (other === one) button.setAttribute("aria-current", "true");
      button.addEventListener("click", () => show(other));
      runs.append(button);
    }
    return runs;
  }

  async function show(one) {
    open = one;
    const texts = await textsOf(one);
    if (open !== one) return; // another was chosen meanwhile
    byId("attempt-title").textContent = `${one.problem}, run ${one.run}, by ${one.target}`;
    byId("body").replaceChildren(make("p", texts.facts), runsOf(one), ...texts.sections.map(section));
    byId("body").scrollTop = 0;
    const place = shown.indexOf(one);
    byId("previous").disabled = place <= 0;
    byId("next").disabled = place < 0 || place >= shown.length - 1;
    if (!dialog.open) dialog.showModal();
    history.replaceState(null, "", `#attempt-${one.place}`);
  }

  function step(by) {
    const place = shown.indexOf(open);
    if (place >= 0 && shown[place + by]) show(shown[place + by]);
  }

  function choose({ problem, target }) {
    for (const field of form.elements) field.value = "";
    chosen = problem;
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
    const found = /^#attempt-(\d+)$/.exec(location.hash);
    if (found && all[found[1]]) show(all[found[1]]);
  }

  options("target", listed.targets);
  options("lang", [...new Set(listed.problems.map(([, lang]) => lang))].sort());
  options("outcome", listed.outcomes);
  form.addEventListener("input", (event) => {
    if (event.target === form.elements.text) chosen = null;
    filter();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => {
    chosen = null;
    setTimeout(filter); // once the fields are empty
  });
  more.addEventListener("click", extend);
  list.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) show(all[button.dataset.place]);
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
    list.querySelector(`[data-place="${open.place}"]`)?.focus();
  });
  addEventListener("choose", (event) => choose(event.detail));
  addEventListener("hashchange", fromAddress);
  filter();
  fromAddress();
  document.documentElement.dataset.ready = "";
})();
