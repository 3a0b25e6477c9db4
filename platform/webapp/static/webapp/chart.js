/* One chart of one group of metrics, drawn by uPlot in the colours of the theme. */

/** @typedef {[string, [number, number|null][]][]} Series names, each with its points (step, value); null leaves a gap */

const HEIGHT = 220;
const HUES = ["--accent", "--info", "--good", "--bad", "--muted", "--ink"];
const DASHES = [[], [6, 4], [2, 3], [10, 4, 2, 4]];

/** A canvas knows no custom properties: an element of that colour tells what it comes to. @param {string} name @returns {string} */
function colour(name) {
  const probe = document.createElement("span");
  probe.hidden = true;
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/** Series have steps of their own; the chart wants one shared axis. @param {Series} series @returns {(number|null|undefined)[][]} */
function onOneAxis(series) {
  const steps = [...new Set(series.flatMap(([, points]) => points.map(([step]) => step)))].sort((a, b) => a - b);
  const columns = series.map(([, points]) => {
    const at = new Map(points);
    return steps.map((step) => at.get(step));
  });
  return [steps, ...columns];
}

/** @param {number|null|undefined} value @returns {string} */
function short(value) {
  if (value === null || value === undefined) return "-";
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-3 || size >= 1e5) ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}

/** What the legend says: the value under the cursor, or else the latest one.
 * @param {any} plot @param {number|null} value @param {number} at @param {number|null} under @returns {string} */
function told(plot, value, at, under) {
  if (under !== null && under !== undefined) return short(value);
  return short(plot.data[at].findLast((/** @type {number|null|undefined} */ one) => one !== null && one !== undefined));
}

/** @param {HTMLElement} grid @param {string} title @param {Series} series */
export function drawChart(grid, title, series) {
  const figure = Object.assign(document.createElement("figure"), { className: "chart" });
  const caption = Object.assign(document.createElement("figcaption"), { textContent: title });
  const box = document.createElement("div");
  figure.append(caption, box);
  grid.append(figure);
  let shown = series;
  /** @type {any} */
  let plot = null;

  function make() {
    plot?.destroy();
    const [muted, line] = [colour("--muted"), colour("--line")];
    const font = `12px ${getComputedStyle(document.body).fontFamily}`;
    const axis = { stroke: muted, font, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
    /** @param {any} _ @param {number[]} values */
    const marks = (_, values) => values.map(short);
    const lines = shown.map(([name, points], at) => ({
      label: name, stroke: colour(HUES[at % HUES.length]), width: 2, dash: DASHES[at % DASHES.length], spanGaps: false,
      points: { show: points.length < 30, size: 5 }, value: told,
    }));
    plot = new /** @type {any} */ (globalThis).uPlot({
      width: Math.max(200, box.clientWidth), height: HEIGHT, scales: { x: { time: false } },
      axes: [axis, { ...axis, size: 66, values: marks }],
      series: [{ label: "step", value: told }, ...lines], cursor: { drag: { x: true, y: false } },
    }, onOneAxis(shown), box);
    const canvas = box.querySelector("canvas");
    canvas?.setAttribute("role", "img");
    describe();
  }

  function describe() {
    const last = shown.map(([name, points]) => `${name} ${short(points.at(-1)?.[1])}`).join(", ");
    box.querySelector("canvas")?.setAttribute("aria-label", `${title}, latest: ${last}`);
  }

  make();
  new ResizeObserver(() => plot.setSize({ width: Math.max(200, box.clientWidth), height: HEIGHT })).observe(figure);
  document.addEventListener("themechange", make);
  return {
    /** @param {Series} next */
    update(next) {
      const sameNames = next.map(([name]) => name).join() === shown.map(([name]) => name).join();
      shown = next;
      if (!sameNames) return make();
      plot.setData(onOneAxis(shown));
      describe();
    },
  };
}
