"use strict";
// Draws each plot when it comes near the window, in the colours of the page.
(() => {
  const specs = JSON.parse(document.getElementById("figures").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const containers = [...document.querySelectorAll("[data-figure]")];
  const views = new Map();

  const LIGHT = ["#2563eb", "#d97706", "#0d9f6e", "#dc2626", "#7c3aed", "#0891b2", "#be185d",
    "#65a30d", "#64748b", "#7c2d12", "#166534", "#0f172a"];
  const DARK = ["#6ea8ff", "#f5b04c", "#43cf9b", "#ff7b72", "#b494ff", "#4fc9e3", "#f472b6",
    "#a3d65c", "#9fb0c6", "#d6a27c", "#7fc8a0", "#f1f5f9"];

  const LETTER = 6.6; // pixels, on average, of a letter of 12

  // The space of a plot: letters that fit into a name, columns that fit into a legend.
  function room(container) {
    const width = container.clientWidth;
    const targets = [...new Set(specs[container.dataset.figure].datasets.rows.map((row) => row.target))];
    const narrow = width < 480;
    const crowded = width < 200 * targets.length + 200; // names of targets over their columns
    const longest = LETTER * Math.max(...targets.map((name) => (name ?? "").length)) + 34;
    const legend = width - (narrow ? 70 : 80);
    const columns = Math.max(1, Math.floor(legend / Math.min(longest, legend)));
    return { narrow, crowded, columns, letters: {
      inAxis: narrow ? 16 : 36,
      inTop: crowded ? (narrow ? 14 : 26) : Math.floor((width - 200) / targets.length / LETTER),
      inLegend: Math.floor((legend / columns - 34) / LETTER),
    } };
  }

  function config({ narrow, crowded, columns }) {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    const axis = { labelColor: colour("soft"), titleColor: colour("soft"), gridColor: colour("line"),
      domainColor: colour("line"), tickColor: colour("line"), labelFontSize: 12, titleFontSize: 12,
      titleFontWeight: "normal", labelLimit: narrow ? 130 : 290 };
    return {
      background: null,
      font: "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
      view: { stroke: null },
      axis,
      axisTop: { labelAngle: crowded ? -90 : 0, labelAlign: crowded ? "left" : "center",
        labelLimit: crowded ? 200 : 400, domain: false, ticks: false, labelPadding: 8 },
      axisXQuantitative: { labelOverlap: true, labelSeparation: 8 },
      axisYDiscrete: { domain: false, ticks: false, labelPadding: 8 },
      legend: { labelColor: colour("ink"), titleColor: colour("soft"), labelFontSize: 12,
        orient: "bottom", direction: "horizontal", columns, labelLimit: 500, titleFontWeight: "normal", symbolOpacity: 1 },
      range: { category: dark.matches ? DARK : LIGHT,
        heatmap: [colour("cell-none"), colour("cell-half"), colour("cell-all")] },
      rect: { stroke: colour("card"), strokeWidth: 1.5 },
      text: { color: colour("cell-ink"), fontSize: 11 },
    };
  }

  async function draw(container) {
    views.get(container)?.finalize();
    const space = room(container);
    const params = Object.entries(space.letters).map(([name, value]) => ({ name, value }));
    const result = await vegaEmbed(container, { ...specs[container.dataset.figure], params }, {
      ast: true, // no code out of texts: the page forbids it
      actions: false,
      renderer: "svg",
      config: config(space),
      tooltip: { theme: dark.matches ? "dark" : "light" },
    });
    views.set(container, result);
    container.dataset.drawn = "";
    result.view.addEventListener("click", (_, item) => {
      const datum = item?.datum;
      if (datum?.problem_id && datum.target) {
        dispatchEvent(new CustomEvent("choose",
          { detail: { problem: datum.problem_id, target: datum.target } }));
      }
    });
  }

  const observer = new IntersectionObserver((entries) => {
    for (const entry of entries.filter((one) => one.isIntersecting)) {
      observer.unobserve(entry.target);
      draw(entry.target);
    }
  }, { rootMargin: "600px" });
  containers.forEach((container) => observer.observe(container));

  const again = () => [...views.keys()].forEach(draw);
  dark.addEventListener("change", again);
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
  addEventListener("beforeprint", () => containers.filter((container) => !views.has(container)).forEach(draw));
})();
