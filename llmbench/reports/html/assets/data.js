"use strict";
// The attempts, and filters that the query of the page's address keeps.
// biome-ignore lint/correctness/noUnusedVariables: the other scripts of the page use it
const Attempts = (() => {
  const index = JSON.parse(document.getElementById("attempt-index").textContent);
  const problems = index.problems.map(([name, lang, tags, difficulty], key) => ({
    key, name, lang, tags: tags.split(",").map((tag) => tag.trim()).filter(Boolean), difficulty }));
  const all = index.attempts.map((entry, at) => {
    const [target, key, run, outcome, passed, total, seconds, tokens, cost, chunk, ttft, speed] = entry;
    const { name, lang, tags, difficulty } = problems[key];
    return { index: at, target: index.targets[target], key, problem: name, lang, tags, difficulty, run,
      outcome: index.outcomes[outcome], scored: !index.unscored.includes(index.outcomes[outcome]),
      passed, total, seconds, tokens, cost, chunk, ttft, speed };
  });

  const matches = (it, { lang, tag, difficulty }) => (!lang || it.lang === lang)
    && (!tag || it.tags.includes(tag)) && (!difficulty || it.difficulty === difficulty);

  // Fills the choices of a form that name what the attempts have.
  function fill(form) {
    const distinct = (values) => [...new Set(values)].filter(Boolean);
    const choices = {
      target: index.targets, outcome: index.outcomes,
      lang: distinct(problems.map(({ lang }) => lang)).sort(),
      tag: distinct(problems.flatMap(({ tags }) => tags)).sort(),
      difficulty: ["easy", "medium", "hard"].filter((level) => problems.some(({ difficulty }) => difficulty === level)),
    };
    for (const [name, values] of Object.entries(choices)) {
      const field = form.elements[name];
      if (field?.tagName !== "SELECT") continue;
      field.append(...values.map((value) => new Option(name === "outcome" ? value.replaceAll("_", " ") : value, value)));
      field.closest("label").hidden = values.length < 2 && name !== "target";
    }
  }

  // Reads the fields of a form from the query, under names with a prefix.
  function restore(form, prefix = "") {
    const query = new URLSearchParams(location.search);
    for (const field of form.elements) {
      if (!field.name) continue;
      field.value = query.get(prefix + field.name) ?? "";
      if (field.selectedIndex === -1) field.value = ""; // a choice that this page does not have
    }
    return query;
  }

  function remember(values, prefix = "") {
    const query = new URLSearchParams(location.search);
    for (const [name, value] of Object.entries(values)) value ? query.set(prefix + name, value) : query.delete(prefix + name);
    const text = query.toString();
    show(`${location.pathname}${text && "?"}${text}${location.hash}`);
  }

  function show(address) {
    try {
      history.replaceState(null, "", address);
    } catch { /* a page inside another program may have no address */ }
  }

  return { index, problems, all, matches, fill, restore, remember, show };
})();
