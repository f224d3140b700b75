"use strict";
// Draws each plot when it comes near the window, and the rest when nothing else is to do.
(() => {
  const specs = JSON.parse(document.getElementById("figures").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const containers = [...document.querySelectorAll("[data-figure]")];
  const views = new Map(), turns = new Map();
  const ranked = specs.leaderboard.datasets.rows.map(({ target }) => target);

  const FONT = "12px system-ui, -apple-system, 'Segoe UI', Roboto, 'Hiragino Sans', 'Yu Gothic UI', 'Noto Sans CJK JP', sans-serif";
  const COLOURS = 12; // of targets, in the style
  const PAPER = 690; // width of a plot in print, which fits on A4 and Letter
  const SYMBOL = 34; // pixels of a symbol in a legend, and the gaps around it

  const pen = document.createElement("canvas").getContext("2d");
  pen.font = FONT;
  const measured = new Map();

  function widthOf(name) {
    if (!measured.has(name)) measured.set(name, pen.measureText(name).width);
    return measured.get(name);
  }

  // A name that fits into a width: as it is, or its last part, or the ends of that.
  function shorten(name, width) {
    const last = name.split("/").pop(), part = last === name ? name : `…/${last}`;
    const fits = [name, part].find((text) => widthOf(text) <= width);
    if (fits) return fits;
    const letters = Array.from(last);
    for (let kept = letters.length - 1; kept > 2; kept--) {
      const text = `${letters.slice(0, Math.ceil(kept / 2)).join("")}…${letters.slice(-Math.floor(kept / 2)).join("")}`;
      if (widthOf(text) <= width) return text;
    }
    return "…";
  }

  // The parameters of a plot: the targets in it, and names that fit into axes and legend.
  function room(container, width = container.clientWidth) {
    const { rows } = specs[container.dataset.figure].datasets;
    const names = (key) => [...new Set(rows.map((row) => row[key]).filter((name) => typeof name === "string"))];
    const shown = names("target").sort((one, other) => ranked.indexOf(one) - ranked.indexOf(other));
    const narrow = width < 480;
    const axis = narrow ? 110 : 240, legend = width - (narrow ? 70 : 80);
    const longest = Math.max(...shown.map(widthOf)) + SYMBOL;
    const columns = Math.max(1, Math.floor(legend / Math.min(longest, legend)));
    const short = (list, most) => Object.fromEntries(list.map((name) => [name, shorten(name, most)]));
    return { narrow, columns, params: {
      shown,
      inAxis: short([...shown, ...names("group")], axis),
      inLegend: short(shown, legend / columns - SYMBOL),
    } };
  }

  function config({ narrow, columns }) {
    const colour = (name) => `var(--${name})`; // follows the scheme, also in print
    const axis = { labelColor: colour("soft"), titleColor: colour("soft"), gridColor: colour("line"),
      domainColor: colour("line"), tickColor: colour("line"), labelFontSize: 12, titleFontSize: 12,
      titleFontWeight: "normal", labelLimit: narrow ? 130 : 290 };
    return {
      background: null,
      font: FONT.replace("12px ", ""),
      view: { stroke: null },
      axis,
      axisXQuantitative: { labelOverlap: true, labelSeparation: 8 },
      axisYDiscrete: { domain: false, ticks: false, labelPadding: 8 },
      legend: { labelColor: colour("ink"), titleColor: colour("soft"), labelFontSize: 12,
        orient: "bottom", direction: "horizontal", columns, labelLimit: 500, titleFontWeight: "normal", symbolOpacity: 1 },
      range: { category: Array.from({ length: COLOURS }, (_, i) => colour(`target-${i + 1}`)) },
    };
  }

  // Draws after what is drawn already: the last rows win.
  function draw(container) {
    turns.set(container, (turns.get(container) ?? Promise.resolve()).then(() => drawNow(container)));
    return turns.get(container);
  }

  async function drawNow(container) {
    const spec = specs[container.dataset.figure];
    views.get(container)?.finalize();
    container.hidden = !spec.datasets.rows.length;
    if (container.hidden) return;
    const space = room(container);
    const params = Object.entries(space.params).map(([name, value]) => ({ name, value }));
    const result = await vegaEmbed(container, { ...spec, params }, {
      ast: true, // no code out of texts: the page forbids it
      actions: false,
      renderer: "svg",
      config: config(space),
      tooltip: { theme: dark.matches ? "dark" : "light" },
    });
    views.set(container, result);
    container.dataset.drawn = "";
  }

  const observer = new IntersectionObserver((entries) => {
    for (const entry of entries.filter((one) => one.isIntersecting)) {
      observer.unobserve(entry.target);
      draw(entry.target);
    }
  }, { rootMargin: "600px" });
  containers.forEach((container) => observer.observe(container));

  // Printing does not wait for plots, so that all are drawn before.
  const idle = window.requestIdleCallback ?? ((work) => setTimeout(work, 200));
  async function drawRest() {
    const next = containers.find((container) => !("drawn" in container.dataset) && !container.hidden);
    if (!next) return;
    observer.unobserve(next);
    await draw(next);
    idle(drawRest);
  }
  addEventListener("load", () => setTimeout(() => idle(drawRest), 1000));

  const again = () => [...views.keys()].forEach(draw);
  dark.addEventListener("change", again); // tooltips have a theme
  let width = innerWidth, waiting;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      if (innerWidth !== width) {
        width = innerWidth;
        again();
      }
    }, 150);
  });

  // Other rows for a plot: its height is that of its targets if each has a row of its own.
  addEventListener("rows", ({ detail }) => {
    for (const [id, rows] of Object.entries(detail)) {
      const spec = specs[id], container = containers.find((one) => one.dataset.figure === id);
      if (!spec) continue;
      if (id === "leaderboard") spec.height = Math.max(1, rows.length) * (spec.step ??= spec.height / spec.datasets.rows.length);
      spec.datasets.rows = rows;
      observer.unobserve(container);
      draw(container);
    }
  });

  function resize(width) {
    for (const [container, { view }] of views) {
      const { params } = room(container, width);
      for (const [name, value] of Object.entries(params)) view.signal(name, value);
      view.width(width ?? container.clientWidth).run();
    }
  }
  addEventListener("beforeprint", () => resize(PAPER));
  addEventListener("afterprint", () => resize());
})();
