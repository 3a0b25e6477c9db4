/* One chart, drawn by uPlot in the colours of the theme: a line for each series, each with a colour and a dash of its own. */

import { fill, gettext } from "./words.js";

/** @typedef {{name: string, points: [number, number|null][]}} Series Points are (step, value); null leaves a gap */

export const HEIGHT = 240;
export const LINES = 8;
export const DASHES = [[], [7, 4], [2, 3], [12, 4, 2, 4], [], [7, 4], [2, 3], [12, 4, 2, 4]];
/** Steps are whole numbers, and so are the marks below a chart. */
const WHOLE = Array.from({ length: 13 }, (_, zeros) => [1, 2, 5].map((digit) => digit * 10 ** zeros)).flat();
/** Smoothing looks back over this share of the steps. */
const MEMORY = 1 / 30;

/** A canvas knows no custom properties: an element of that colour tells what it comes to. @param {string} value @returns {string} */
export function colour(value) {
  const probe = document.createElement("span");
  probe.hidden = true;
  probe.style.color = value;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/** Series have steps of their own; the chart wants one shared axis. @param {Series[]} series @returns {(number|null|undefined)[][]} */
function onOneAxis(series) {
  const steps = [...new Set(series.flatMap(({ points }) => points.map(([step]) => step)))].sort((a, b) => a - b);
  const columns = series.map(({ points }) => {
    const at = new Map(points);
    return steps.map((step) => at.get(step));
  });
  return [steps, ...columns];
}

/** An average over the steps before, the nearer ones counting more; how many points there are does not matter.
 * @param {Series} series @param {number} span how many steps the chart has @returns {Series} */
function smoothed({ name, points }, span) {
  const memory = Math.max(span * MEMORY, Number.MIN_VALUE);
  let [sum, weight, before] = [0, 0, 0];
  return { name, points: points.map(([step, value]) => {
    if (value === null) return [step, null];
    const keep = weight ? Math.exp(-(step - before) / memory) : 0;
    [sum, weight, before] = [sum * keep + value, weight * keep + 1, step];
    return [step, sum / weight];
  }) };
}

/** @param {number|null|undefined} value @returns {string} */
export function short(value) {
  if (value === null || value === undefined) return "-";
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-3 || size >= 1e5) ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}

/** What the legend says: the series' value nearest to the cursor, or else its latest one.
 * @param {any} plot @param {number|null} value @param {number} at @param {number|null} under @returns {string} */
export function told(plot, value, at, under) {
  const column = plot.data[at];
  const is = (/** @type {unknown} */ one) => typeof one === "number";
  if (under === null || under === undefined) return short(column.findLast(is));
  if (value === null || is(value)) return short(value);
  const [before, after] = [column.findLastIndex((/** @type {unknown} */ one, /** @type {number} */ place) => place < under && is(one)), column.findIndex((/** @type {unknown} */ one, /** @type {number} */ place) => place > under && is(one))];
  if (before < 0 || after < 0) return "-"; // beyond its first or last step it has no value
  const steps = plot.data[0];
  return short(column[steps[under] - steps[before] <= steps[after] - steps[under] ? before : after]);
}

/** @param {HTMLElement} grid @param {string} title @param {Series[]} series @param {boolean} smooth */
export function drawChart(grid, title, series, smooth) {
  const figure = Object.assign(document.createElement("figure"), { className: "chart" });
  const caption = Object.assign(document.createElement("figcaption"), { textContent: title });
  const box = document.createElement("div");
  figure.append(caption, box);
  grid.append(figure);
  let shown = series;
  let isSmooth = smooth;
  /** @type {any} */
  let plot = null;

  /** What is drawn: the lines, or the smoothed lines with the real ones pale behind them. */
  function drawn() {
    if (!isSmooth) return shown;
    const steps = shown.flatMap(({ points }) => points.map(([step]) => step));
    const span = steps.length ? steps.reduce((a, b) => Math.max(a, b)) - steps.reduce((a, b) => Math.min(a, b)) : 0;
    return [...shown.map((one) => smoothed(one, span)), ...shown];
  }

  function make() {
    plot?.destroy();
    const [muted, line] = [colour("var(--muted)"), colour("var(--line)")];
    const font = `12px ${getComputedStyle(document.body).fontFamily}`;
    const axis = { stroke: muted, font, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
    /** @param {any} _ @param {number[]} values */
    const marks = (_, values) => values.map(short);
    const lines = drawn().map(({ name, points }, at) => {
      const behind = at >= shown.length;
      const own = (at % shown.length) % LINES;
      return {
        label: name, stroke: colour(behind ? `color-mix(in srgb, var(--line-${own}) 30%, var(--surface))` : `var(--line-${own})`),
        width: behind ? 1 : 2, dash: behind ? [] : DASHES[own], spanGaps: false,
        points: { show: !behind && points.length < 30, size: 5 }, value: told,
      };
    });
    plot = new /** @type {any} */ (globalThis).uPlot({
      width: Math.max(200, box.clientWidth), height: HEIGHT, scales: { x: { time: false } },
      axes: [{ ...axis, incrs: WHOLE }, { ...axis, size: 66, values: marks }],
      series: [{ label: gettext("step"), value: told }, ...lines], cursor: { drag: { x: true, y: false } },
      drawOrder: ["axes", "series"],
    }, onOneAxis(drawn()), box);
    box.querySelector("canvas")?.setAttribute("role", "img");
    describe();
  }

  function describe() {
    box.querySelectorAll(".u-legend .u-series").forEach((row, at) => {
      // The pale ones need no name, and a run without this metric has no line.
      if (row instanceof HTMLElement && at) row.hidden = !shown[at - 1]?.points.length;
    });
    const there = shown.filter(({ points }) => points.length);
    const last = there.map(({ name, points }) => `${name === title ? "" : name} ${short(points.at(-1)?.[1])}`.trim()).join(", ");
    box.querySelector("canvas")?.setAttribute("aria-label", fill(gettext("%(metric)s, latest: %(values)s"), { metric: title, values: last }));
  }

  make();
  const watch = new ResizeObserver(() => plot.setSize({ width: Math.max(200, box.clientWidth), height: HEIGHT }));
  const gone = new AbortController();
  watch.observe(figure);
  document.addEventListener("themechange", make, { signal: gone.signal });
  return {
    remove() {
      watch.disconnect();
      gone.abort();
      plot.destroy();
      figure.remove();
    },
    /** @param {number} at its place in the grid */
    stand(at) {
      if (grid.children[at] !== figure) grid.insertBefore(figure, grid.children[at] ?? null);
    },
    /** @param {Series[]} next @param {boolean} nextSmooth */
    update(next, nextSmooth) {
      const same = nextSmooth === isSmooth && next.map(({ name }) => name).join("\n") === shown.map(({ name }) => name).join("\n");
      [shown, isSmooth] = [next, nextSmooth];
      if (!same) return make();
      const whole = plot.scales.x.min === plot.data[0][0] && plot.scales.x.max === plot.data[0].at(-1);
      plot.setData(onOneAxis(drawn()), whole);
      if (!whole) plot.redraw(); // somebody looks at a part of it, and goes on to
      describe();
    },
  };
}
