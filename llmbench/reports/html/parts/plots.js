"use strict";
// Draws each plot when it comes near the window, in the colours of the page.
(() => {
  const specs = JSON.parse(document.getElementById("figures").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const places = [...document.querySelectorAll("[data-figure]")];
  const views = new Map();

  const LIGHT = ["#2563eb", "#d97706", "#0d9f6e", "#dc2626", "#7c3aed", "#0891b2", "#be185d",
    "#65a30d", "#64748b", "#a16207"];
  const DARK = ["#6ea8ff", "#f5b04c", "#43cf9b", "#ff7b72", "#b494ff", "#4fc9e3", "#f472b6",
    "#a3d65c", "#9fb0c6", "#d9b24a"];

  function config(place) {
    const width = place.clientWidth;
    const columns = new Set(specs[place.dataset.figure].datasets.rows.map((row) => row.target)).size;
    const crowded = width < 200 * columns + 200; // names of targets over their columns
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    const narrow = width < 480;
    const axis = { labelColor: colour("soft"), titleColor: colour("soft"), gridColor: colour("line"),
      domainColor: colour("line"), tickColor: colour("line"), labelFontSize: 12, titleFontSize: 12,
      titleFontWeight: "normal", labelLimit: narrow ? 110 : 260 };
    return {
      background: null,
      font: "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
      view: { stroke: null },
      axis,
      axisTop: { labelAngle: crowded ? -90 : 0, labelAlign: crowded ? "left" : "center",
        labelLimit: narrow ? 90 : 180, domain: false, ticks: false, labelPadding: 8 },
      axisYDiscrete: { domain: false, ticks: false, labelPadding: 8 },
      legend: { labelColor: colour("ink"), titleColor: colour("soft"), labelFontSize: 12,
        orient: "bottom", direction: "horizontal", columns: Math.max(1, Math.floor(width / 240)),
        labelLimit: narrow ? 240 : 300, titleFontWeight: "normal", symbolOpacity: 1 },
      range: { category: dark.matches ? DARK : LIGHT,
        heatmap: [colour("cell-none"), colour("cell-half"), colour("cell-all")] },
      rect: { stroke: colour("card"), strokeWidth: 1.5 },
      text: { color: colour("cell-ink"), fontSize: 11 },
    };
  }

  async function draw(place) {
    views.get(place)?.finalize();
    const drawn = await vegaEmbed(place, specs[place.dataset.figure], {
      ast: true, // no code out of texts: the page forbids it
      actions: false,
      renderer: "svg",
      config: config(place),
      tooltip: { theme: dark.matches ? "dark" : "light" },
    });
    views.set(place, drawn);
    place.dataset.drawn = "";
    drawn.view.addEventListener("click", (_, item) => {
      const chosen = item?.datum;
      if (chosen?.problem_id && chosen.target) {
        dispatchEvent(new CustomEvent("choose",
          { detail: { problem: chosen.problem_id, target: chosen.target } }));
      }
    });
  }

  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries.filter((one) => one.isIntersecting)) {
      seen.unobserve(entry.target);
      draw(entry.target);
    }
  }, { rootMargin: "600px" });
  places.forEach((place) => seen.observe(place));

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
  addEventListener("beforeprint", () => places.filter((place) => !views.has(place)).forEach(draw));
})();
