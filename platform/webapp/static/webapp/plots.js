/* Draws the pictures that a run made for its page: <div data-plot="{title, kind, x, y, series}">, its points also in a table
   below. Of several series each has a colour, and a dash or a filled or hollow point of its own. Needs the uPlot script before it. */

import { colour, DASHES, HEIGHT, LINES, short, told } from "./chart.js";
import { fill, gettext } from "./words.js";

/** @typedef {{title: string, kind: "line"|"points", x: string, y: string, series: Record<string, [number, number][]>}} Plot */

/** A row a point, all in the order of x: two points may stand at the same x. @param {[number, number][][]} series
 * @returns {(number|undefined)[][]} */
function inRows(series) {
  const points = series.flatMap((of, place) => of.map(([x, y]) => ({ x, y, place }))).sort((a, b) => a.x - b.x);
  return [points.map(({ x }) => x), ...series.map((_, own) => points.map(({ y, place }) => (place === own ? y : undefined)))];
}

/** Beside the canvas a long name would be cut off; above and below it wraps. @param {HTMLElement} root @param {string} x @param {string} y */
function nameAxes(root, x, y) {
  const name = (/** @type {string} */ className, /** @type {string} */ textContent) =>
    Object.assign(document.createElement("p"), { className: `axis ${className}`, textContent, dir: "auto" });
  root.prepend(name("up", `↑ ${y}`));
  root.querySelector(".u-legend")?.before(name("along", `${x} →`));
}

/** @param {HTMLElement} place */
function draw(place) {
  const { title, kind, x, y, series } = /** @type {Plot} */ (JSON.parse(place.dataset.plot || "{}"));
  const names = Object.keys(series);
  const data = inRows(Object.values(series));
  if (!data[0].length || place.childElementCount) return;
  const gone = new AbortController();
  /** @type {any} */
  let plot = null;

  const width = () => Math.max(200, place.clientWidth - 34); // its padding and border

  function make() {
    if (!place.isConnected) return gone.abort(); // another took its place on the page
    plot?.destroy();
    const [muted, line, ground] = [colour("var(--muted)"), colour("var(--line)"), colour("var(--surface)")];
    const font = `12px ${getComputedStyle(document.body).fontFamily}`;
    const axis = { stroke: muted, font, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
    /** @param {any} _ @param {number[]} values */
    const marks = (_, values) => values.map(short);
    const lines = names.map((name, at) => {
      const stroke = colour(`var(--line-${at % LINES})`);
      const dots = { show: kind === "points" || series[name].length < 30, size: kind === "points" ? 8 : 5 };
      return {
        label: name, stroke, width: 2, dash: kind === "points" ? [] : DASHES[at % LINES], value: told,
        points: { ...dots, stroke, width: 2, fill: at % 2 ? ground : stroke }, ...(kind === "points" ? { paths: () => null } : {}),
      };
    });
    plot = new /** @type {any} */ (globalThis).uPlot({
      width: width(), height: HEIGHT + 40, scales: { x: { time: false } },
      axes: [{ ...axis, values: marks }, { ...axis, size: 66, values: marks }],
      series: [{ label: x, value: told }, ...lines], cursor: { drag: { x: true, y: false } }, drawOrder: ["axes", "series"],
    }, data, place);
    nameAxes(plot.root, x, y);
    const canvas = place.querySelector("canvas");
    canvas?.setAttribute("role", "img");
    canvas?.setAttribute("aria-label", fill(gettext("%(title)s: %(y)s by %(x)s; its numbers stand below it."), { title, x, y }));
  }

  make();
  const watch = new ResizeObserver(() => plot.setSize({ width: width(), height: HEIGHT + 40 }));
  watch.observe(place);
  gone.signal.addEventListener("abort", () => watch.disconnect());
  document.addEventListener("themechange", make, { signal: gone.signal });
}

function drawAll() {
  for (const place of document.querySelectorAll("[data-plot]")) draw(/** @type {HTMLElement} */ (place));
}

drawAll();
document.addEventListener("contentshown", drawAll);
