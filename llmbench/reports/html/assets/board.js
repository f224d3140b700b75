"use strict";
// The leaderboard: filter, order, the sentence above it, and the rows of its plots.
(() => {
  const byId = (id) => document.getElementById(id);
  const { columns, lines, settings, alpha, quantile, replayed } = JSON.parse(byId("board-data").textContent);
  const form = byId("choice"), body = byId("board").querySelector("tbody");
  const headings = [...byId("board").querySelectorAll("thead th")];
  const rows = new Map(lines.map(({ target }, i) => [target, body.rows[i]]));
  const COLLATOR = new Intl.Collator(undefined, { numeric: true });
  let order = { title: "", down: true };

  const fixed = (digits) => new Intl.NumberFormat("en", { minimumFractionDigits: digits,
    maximumFractionDigits: digits, useGrouping: false, roundingMode: "halfEven" });
  const DIGITS = [0, 1, 2, 3, 4].map(fixed);
  const number = (value, digits, unit = "") => value === null ? "-" : DIGITS[digits].format(value) + unit;
  const share = (value, digits) => number(value === null ? null : 100 * value, digits, "%");

  // The formats of llmbench/reports/format.py that the leaderboard uses.
  const FORMATS = {
    text: (value) => value ?? "-",
    percent: (value) => share(value, 1),
    whole_percent: (value) => share(value, 0),
    interval: (low, high) => low === null ? "-" : `${number(100 * low, 0)}–${share(high, 0)}`,
    decimal: (value) => number(value, 1),
    count: (value) => number(value, 0),
    ratio: (part, whole) => `${part}/${whole}`,
    seconds: (value) => number(value, 2, " s"),
    dollars: (value) => number(value, 4, " $"),
  };

  const values = () => Object.fromEntries(new FormData(form));

  // The lines of the problems of a filter, the best first.
  function summarized(filter) {
    if (!filter.lang && !filter.tag && !filter.difficulty) return lines;
    const attempts = new Map(lines.map(({ target }) => [target, []]));
    for (const each of Attempts.all) if (Attempts.matches(each, filter)) attempts.get(each.target).push(each);
    const known = new Map(lines.map((line) => [line.target, line]));
    const ranked = [...attempts].filter(([, list]) => list.length).map(([target, list]) => ({
      ...Object.fromEntries(settings.map((key) => [key, known.get(target)[key]])),
      target, ...Stats.summarize(list, { alpha, quantile }),
    })).sort(byRate);
    const groups = Stats.letters(ranked.map(({ target }) => attempts.get(target)), alpha);
    return ranked.map((line, i) => ({ ...line, group: groups[i] }));
  }

  function byRate(one, other) {
    return (other.pass_rate ?? -1) - (one.pass_rate ?? -1) || (one.target < other.target ? -1 : 1);
  }

  function sorted(list) {
    const column = columns.find(({ title }) => title === order.title);
    const key = column ? column.keys[0] : order.title ? "target" : null;
    if (!key) return list;
    const direction = order.down ? -1 : 1;
    return [...list].sort((one, other) => {
      const a = one[key], b = other[key];
      if (a === null || b === null) return (a === null) - (b === null);
      return direction * (typeof a === "string" ? COLLATOR.compare(a, b) : a - b);
    });
  }

  function show(line) {
    const row = rows.get(line.target);
    columns.forEach(({ keys, format }, i) => {
      const cell = row.cells[i + 1];
      const values = keys.map((key) => line[key]);
      cell.textContent = values.includes(undefined) ? "-" : FORMATS[format](...values);
      if (!cell.classList.contains("interval")) return;
      for (const [name, key] of [["low", "ci_low"], ["high", "ci_high"], ["rate", "pass_rate"]]) {
        line[key] === null ? cell.style.removeProperty(`--${name}`) : cell.style.setProperty(`--${name}`, line[key]);
      }
    });
    return row;
  }

  const listed = (names) => names.length > 4 ? `${names.slice(0, 3).join(", ")} and ${names.length - 3} more`
    : names.join(", ").replace(/, (?=[^,]*$)/, " and ");

  function best(list, key, sign) {
    const known = list.filter((line) => line[key] !== null);
    return known.length < 2 ? null : known.reduce((one, other) => sign * other[key] > sign * one[key] ? other : one);
  }

  // Which target to use, as a sentence.
  function verdict(list, problems) {
    const [first, ...others] = list;
    if (replayed || !first || first.pass_rate === null) return "";
    const rate = `${FORMATS.percent(first.pass_rate)} (${columns.find(({ format }) => format === "interval").title} ${FORMATS.interval(first.ci_low, first.ci_high)})`;
    if (!others.length) return `${first.target} passes ${rate}.`;
    const alike = others.filter((line) => [...(line.group ?? "")].some((letter) => first.group.includes(letter)));
    if (!alike.length) return `${first.target} passes most, ${rate}, and chance does not explain its lead over any other.`;
    const group = [first, ...alike], words = [];
    const fastest = best(group, "tokens_per_second", 1), cheapest = best(group, "cost_per_solved_usd", -1);
    const speed = fastest && `decodes fastest (${number(fastest.tokens_per_second, 0)} tokens/s)`;
    const cost = cheapest && `costs least (${FORMATS.dollars(cheapest.cost_per_solved_usd)} per solved problem)`;
    if (speed) words.push(`${fastest.target} ${speed}`);
    if (cost) words.push(speed && cheapest === fastest ? cost : `${cheapest.target} ${cost}`);
    const few = 2 ** (1 - problems) > alpha ? ` ${problems === 1 ? "One problem is" : `${problems} problems are`} too few to show any difference.` : "";
    return `${first.target} passes most, ${rate}, but ${listed(alike.map(({ target }) => target))} cannot be told apart from it.`
      + few + (words.length ? ` Of these, ${words.join(" and ")}.` : "");
  }

  function draw(list) {
    const rate = ({ target, pass_rate, ci_low, ci_high, tokens_per_second }) =>
      ({ target, pass_rate, ci_low, ci_high, tokens_per_second });
    const timed = list.filter((line) => line.tokens_per_second !== null);
    dispatchEvent(new CustomEvent("rows", { detail: {
      leaderboard: list.map(rate), speed: Stats.markFront(timed.map(rate), "tokens_per_second"),
    } }));
  }

  function update(isFirst) {
    const filter = values();
    const names = filter.target.toLowerCase().split(",").map((name) => name.trim()).filter(Boolean);
    const wanted = ({ target }) => !names.length || names.some((name) => target.toLowerCase().includes(name));
    const all = summarized(filter), list = all.filter(wanted);
    const isFiltered = Object.values(filter).some(Boolean);
    const problems = new Set(Attempts.problems.filter((each) => Attempts.matches(each, filter)).map(({ name }) => name)).size;
    if (!isFirst || isFiltered || order.title) body.replaceChildren(...sorted(list).map(show));
    byId("verdict").textContent = verdict(list, problems);
    const of = new Set(Attempts.problems.map(({ name }) => name)).size;
    byId("chosen").textContent = isFiltered ? `${problems} of ${of} problems, ${list.length} of ${lines.length} targets` : "";
    for (const heading of headings) {
      const title = heading.textContent;
      if (order.title === title) heading.setAttribute("aria-sort", order.down ? "descending" : "ascending");
      else heading.removeAttribute("aria-sort");
    }
    if (!isFirst || isFiltered) draw(list);
    if (!isFirst) Attempts.remember({ ...filter, sort: order.title && `${order.down ? "-" : ""}${order.title}` });
  }

  function sortBy(title) {
    const column = columns.find((each) => each.title === title);
    const down = column ? !column.lower && column.format !== "text" : false;
    order = order.title === title ? (order.down === down ? { title, down: !down } : { title: "", down }) : { title, down };
    update();
  }

  byId("board").querySelector("thead").addEventListener("click", (event) => {
    const heading = event.target.closest("th");
    if (heading) sortBy(heading.textContent);
  });
  body.addEventListener("click", (event) => {
    const link = event.target.closest("button");
    if (!link) return;
    const { lang, tag, difficulty } = values();
    dispatchEvent(new CustomEvent("choose", { detail: { target: link.textContent, lang, tag, difficulty } }));
  });
  form.addEventListener("input", () => update());
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(() => {
    order = { title: "", down: true };
    update();
  }));

  Attempts.fill(form);
  const sort = Attempts.restore(form).get("sort") ?? "";
  const title = sort.replace(/^-/, "");
  if (headings.some((heading) => heading.textContent === title)) order = { title, down: sort.startsWith("-") };
  update(true);
})();
