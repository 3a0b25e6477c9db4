/* A run's page while it lives: its curves (and those of runs laid over it), state, progress, log and samples, kept up to date.
   <div data-curve data-url="..."> is where the charts go; [data-progress], [data-state], [data-remaining], [data-log] and the
   bell are filled from the same answer. When the state changes, or a sample or a report comes, the parts of the page are exchanged.
   Needs the uPlot script before it. */

import { chartsIn, poll, tellersIn } from "./curves.js";
import { refreshParts } from "./parts.js";
import { fill, gettext } from "./words.js";

/** @typedef {{live: boolean, state: string, state_title: string, samples: number, reports: string, unread: number, log: string,
 *   progress: {done: number, total: number, remaining_s: number|null, attempt: string}, runs: import("./curves.js").Run[]}} Answer */

/** @param {number} seconds @returns {string} */
function inTime(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}

/** @param {Answer["progress"]} progress @param {boolean} live @returns {string} a sentence; empty where nothing is known */
function howFar(progress, live) {
  if (!progress.total) return "";
  const values = { done: progress.done, total: progress.total, time: inTime(progress.remaining_s ?? 0) };
  if (live && progress.remaining_s !== null) return fill(gettext("%(done)s of %(total)s steps, about %(time)s left."), values);
  const isLast = live && progress.done >= progress.total;
  return fill(isLast ? gettext("All %(total)s steps are done; now it measures and saves.") : gettext("%(done)s of %(total)s steps."), values);
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
    if (!progress.total) return live ? element.removeAttribute("value") : undefined;
    element.max = progress.total;
    element.value = progress.done;
  });
  each("[data-remaining]", (element) => (element.textContent = `${howFar(progress, live)} ${progress.attempt}`.trim()));
}

/** @param {number} unread */
function showBell(unread) {
  each("[data-bell]", (bell) => {
    const count = /** @type {HTMLElement} */ (bell.querySelector("[data-unread]"));
    bell.setAttribute("aria-label", unread ? `${bell.dataset.some} ${unread}` : bell.dataset.none || "");
    count.hidden = !unread;
    count.textContent = unread > 99 ? "99+" : String(unread);
  });
}

/** The log follows its end until somebody scrolls up or takes the tick away. */
function followLog() {
  const box = document.querySelector("[data-log]");
  const tick = document.querySelector("[data-follow]");
  if (!(box instanceof HTMLElement) || !(tick instanceof HTMLInputElement)) return () => undefined;
  each("[data-follow-box]", (label) => (label.hidden = false));
  const toEnd = () => {
    if (tick.checked) box.scrollTop = box.scrollHeight;
  };
  const isAtEnd = () => box.scrollHeight - box.scrollTop - box.clientHeight < 24;
  tick.addEventListener("change", toEnd);
  box.addEventListener("wheel", () => setTimeout(() => (tick.checked = isAtEnd()), 100), { passive: true });
  box.addEventListener("touchend", () => setTimeout(() => (tick.checked = isAtEnd()), 100), { passive: true });
  box.addEventListener("keyup", () => (tick.checked = isAtEnd()));
  toEnd();
  return (/** @type {string} */ log) => {
    if (log && box.textContent !== log) box.textContent = log;
    toEnd();
  };
}

/** @param {HTMLElement} place */
function follow(place) {
  const tell = tellersIn(place);
  const showCurves = chartsIn(place);
  const showLog = followLog();
  /** @type {Answer|null} */
  let before = null;

  /** @param {Answer} answer @returns {boolean} whether there is more to come */
  function show(answer) {
    showProgress(answer);
    showLog(answer.log);
    showBell(answer.unread);
    showCurves(answer.runs);
    const changed = before !== null && before.state !== answer.state;
    const wrote = before !== null && before.samples !== answer.samples;
    const told = before !== null && before.reports !== answer.reports;
    if (changed) tell.say(fill(gettext("The run is now: %(state)s"), { state: answer.state_title || answer.state }));
    const fresh = new Set([...(wrote ? ["samples", "pairs"] : []), ...(told ? ["reports"] : [])]);
    if (changed || fresh.size) refreshParts((part) => changed || fresh.has(part)).catch(() => undefined);
    before = answer;
    return answer.live || answer.runs.some((run) => run.live);
  }

  poll(place.dataset.url || "", show, tell.lost);
}

for (const place of document.querySelectorAll("[data-curve]")) follow(/** @type {HTMLElement} */ (place));
