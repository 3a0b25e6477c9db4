/* Live curves of a run: polls the run's numbers while it lives and draws one chart for each group of metrics.
   <div data-curve data-url="..."> is where the charts go; [data-progress], [data-state], [data-remaining] and [data-log]
   elsewhere on the page are kept up to date. Needs the uPlot script before it. When the run ends, the page is loaded afresh. */

import { drawChart } from "./chart.js";

/** @typedef {{live: boolean, state: string, state_title: string, progress: {done: number, total: number, remaining_s: number|null}|null,
 *   metrics: Record<string, [number, number|null][]>, log: string|null, log_offset: number, error: string|null}} Answer */

const EVERY_MS = 2000;
const SLOWEST_MS = 30_000;

/** @param {number} seconds @returns {string} */
function inTime(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s left`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min left`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min left`;
}

/** @param {string} selector @param {(element: HTMLElement) => void} change */
function each(selector, change) {
  for (const element of document.querySelectorAll(selector)) change(/** @type {HTMLElement} */ (element));
}

/** @param {Answer} answer */
function showProgress({ progress, live, state, state_title: title }) {
  each("[data-state]", (element) => {
    element.textContent = title || state;
    if (element.classList.contains("badge")) element.className = `badge ${state}`;
  });
  each("[data-progress]", (element) => {
    if (!(element instanceof HTMLProgressElement)) return;
    if (!progress?.total) return live ? element.removeAttribute("value") : undefined;
    element.max = progress.total;
    element.value = progress.done;
  });
  const left = live && progress?.remaining_s != null && progress.done > 0 ? `, about ${inTime(progress.remaining_s)}` : "";
  each("[data-remaining]", (element) => (element.textContent = progress?.total ? `${progress.done} of ${progress.total}${left}` : ""));
}

/** @param {string|null} log */
function showLog(log) {
  each("[data-log]", (element) => {
    if (!log || element.textContent === log) return;
    const atEnd = element.scrollHeight - element.scrollTop - element.clientHeight < 24;
    element.textContent = log;
    if (atEnd) element.scrollTop = element.scrollHeight;
  });
}

/** "loss/train" and "loss/heldout" share a chart; a name without a slash has its own. @param {Answer["metrics"]} metrics */
function inGroups(metrics) {
  /** @type {Map<string, [string, [number, number|null][]][]>} */
  const groups = new Map();
  for (const name of Object.keys(metrics).sort()) {
    if (!metrics[name].length) continue;
    const [group, ...rest] = name.split("/");
    groups.set(group, [...(groups.get(group) || []), [rest.join("/") || name, metrics[name]]]);
  }
  return groups;
}

/** @param {HTMLElement} place */
function follow(place) {
  /** @type {Map<string, ReturnType<typeof drawChart>>} */
  const charts = new Map();
  const trouble = Object.assign(document.createElement("p"), { className: "notice warning", hidden: true });
  const live = Object.assign(document.createElement("p"), { className: "sr-only" });
  const waiting = Object.assign(document.createElement("p"), { className: "muted", textContent: "No numbers yet.", hidden: true });
  const grid = Object.assign(document.createElement("div"), { className: "charts" });
  trouble.setAttribute("role", "status");
  live.setAttribute("role", "status");
  place.replaceChildren(trouble, live, waiting, grid);
  let before = "";
  let wasLive = false;
  let failures = 0;
  let timer = 0;

  /** @param {Answer} answer */
  function show(answer) {
    showProgress(answer);
    showLog(answer.log);
    const groups = inGroups(answer.metrics || {});
    waiting.hidden = groups.size > 0;
    for (const [group, series] of groups) {
      const chart = charts.get(group);
      if (chart) chart.update(series);
      else charts.set(group, drawChart(grid, group, series));
    }
    trouble.hidden = !answer.error;
    if (answer.error) trouble.textContent = answer.error;
    if (before && before !== answer.state) live.textContent = `The run is now: ${answer.state_title || answer.state}`;
    before = answer.state;
  }

  async function poll() {
    clearTimeout(timer);
    if (document.hidden) return;
    try {
      const response = await fetch(place.dataset.url || "", { headers: { Accept: "application/json" }, cache: "no-store" });
      if (!response.ok) throw new Error(String(response.status));
      const answer = /** @type {Answer} */ (await response.json());
      failures = 0;
      show(answer);
      if (!answer.live) return wasLive ? location.reload() : undefined;
      wasLive = true;
    } catch {
      failures += 1;
      trouble.hidden = false;
      trouble.textContent = "Connection lost, trying again. The run itself goes on.";
    }
    timer = setTimeout(poll, Math.min(EVERY_MS * 2 ** Math.min(failures, 4), SLOWEST_MS));
  }

  // A hidden tab asks for nothing; coming back to it asks at once.
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && (wasLive || failures)) poll();
  });
  if (document.hidden) document.addEventListener("visibilitychange", poll, { once: true });
  else poll();
}

for (const place of document.querySelectorAll("[data-curve]")) follow(/** @type {HTMLElement} */ (place));
