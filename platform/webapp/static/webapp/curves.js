/* The charts of one run or of several laid over each other, in a grid, with a button that smooths them all.
   Of one run the metrics of a group share a chart where their sizes are alike ("loss/train", "loss/heldout"), so that none is
   flattened by another; of several runs each metric has its own. */

import { drawChart } from "./chart.js";
import { gettext } from "./words.js";

/** @typedef {import("./chart.js").Series} Series
 *  @typedef {{id: number, name: string, live: boolean, metrics: Record<string, [number, number|null][]>}} Run */

/** Metrics share a chart while the largest is at most so many times the smallest. */
const ALIKE = 10;
/** What is asked for first stands first; all else follows by the alphabet. */
const FIRST = ["reward", "rewards", "loss", "accuracy"];

/** @param {string} name @returns {string} "loss" of "loss/train" */
const groupOf = (name) => name.split("/")[0];

/** @param {string} name */
const rank = (name) => (FIRST.includes(groupOf(name)) ? FIRST.indexOf(groupOf(name)) : FIRST.length);

/** @param {string} a @param {string} b */
const inOrder = (a, b) => rank(a) - rank(b) || (a < b ? -1 : 1);

/** How far from zero it gets. @param {Series} series */
const size = ({ points }) => points.reduce((most, [, value]) => Math.max(most, Math.abs(value ?? 0)), 0);

/** @param {Series[]} group @returns {Series[][]} the same, parted where their sizes lie far apart */
function alike(group) {
  /** @type {Series[][]} */
  const parts = [];
  let least = 0; // of the part that is being filled
  for (const one of [...group].sort((a, b) => size(b) - size(a))) {
    const part = parts.at(-1);
    if (part && size(one) > 0 && size(one) >= least) part.push(one);
    else [least] = [size(one) / ALIKE, parts.push([one])];
  }
  return parts.map((part) => part.sort((a, b) => inOrder(a.name, b.name)));
}

/** @param {Run} run @returns {Map<string, Series[]>} */
function inGroups(run) {
  const series = Object.keys(run.metrics).filter((name) => run.metrics[name].length).sort(inOrder)
    .map((name) => ({ name, points: run.metrics[name] }));
  const groups = [...new Set(series.map(({ name }) => groupOf(name)))];
  const parts = groups.flatMap((group) => {
    const whole = series.filter(({ name }) => groupOf(name) === group);
    /** @param {Series[]} part */
    const title = (part) => (part.length > 1 && part.length === whole.length ? group : part.map(({ name }) => name).join(", "));
    return alike(whole).sort(([a], [b]) => inOrder(a.name, b.name)).map((part) => /** @type {const} */ ([title(part), part]));
  });
  return new Map(parts);
}

/** Every run keeps its place, and so its colour, in every chart. @param {Run[]} runs @returns {Map<string, Series[]>} */
function byMetric(runs) {
  const names = [...new Set(runs.flatMap(({ metrics }) => Object.keys(metrics)))].sort(inOrder);
  const many = names.filter((name) => runs.filter(({ metrics }) => metrics[name]?.length).length > 1);
  const order = [...many, ...names.filter((name) => !many.includes(name))]; // what can be compared comes first
  return new Map(order.map((name) => [name, runs.map((run) => ({ name: run.name, points: run.metrics[name] || [] }))]));
}

/** @param {HTMLElement} place */
export function chartsIn(place) {
  /** @type {Map<string, ReturnType<typeof drawChart>>} */
  const charts = new Map();
  const waiting = Object.assign(document.createElement("p"), { className: "muted", textContent: gettext("No numbers yet."), hidden: true });
  const grid = Object.assign(document.createElement("div"), { className: "charts" });
  place.append(waiting, grid);
  const button = document.querySelector("[data-smooth]");
  let smooth = new URLSearchParams(location.search).has("smooth");
  /** @type {Run[]} */
  let latest = [];

  /** @param {Run[]} runs */
  function show(runs) {
    latest = runs;
    const groups = runs.length === 1 ? inGroups(runs[0]) : byMetric(runs);
    waiting.hidden = groups.size > 0;
    for (const [title, chart] of charts) {
      if (groups.has(title)) continue;
      chart.remove(); // its metrics share another chart now
      charts.delete(title);
    }
    for (const [title, series] of groups) {
      const chart = charts.get(title);
      if (chart) chart.update(series, smooth);
      else charts.set(title, drawChart(grid, title, series, smooth));
    }
    [...groups.keys()].forEach((title, at) => charts.get(title)?.stand(at));
  }

  function setSmooth() {
    button?.setAttribute("aria-pressed", String(smooth));
    const address = new URL(location.href);
    if (smooth) address.searchParams.set("smooth", "1");
    else address.searchParams.delete("smooth");
    history.replaceState(null, "", address.href.replaceAll("%2C", ","));
    show(latest);
  }

  function toggle() {
    smooth = !smooth;
    setSmooth();
  }

  if (button instanceof HTMLElement) {
    button.hidden = false;
    button.setAttribute("aria-pressed", String(smooth));
    button.addEventListener("click", toggle);
  }
  document.addEventListener("keydown", (event) => {
    const typing = event.target instanceof Element && event.target.closest("input:not([type=checkbox]), textarea, select");
    if (event.key === "s" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) toggle();
  });
  return show;
}

/** Asks again and again while `show` says so: slower where answers are slow or fail, never from a hidden tab.
 * @param {string} address @param {(answer: any) => boolean} show @param {(isLost: boolean) => void} lost */
export function poll(address, show, lost) {
  const [every, slowest] = [2000, 30_000];
  let failures = 0;
  let timer = 0;
  let goesOn = true;

  async function ask() {
    clearTimeout(timer);
    if (document.hidden) return;
    const began = performance.now();
    const answer = await fetch(address, { headers: { Accept: "application/json" }, cache: "no-store" })
      .then((response) => (response.ok && !response.redirected ? response.json() : null))
      .catch(() => null);
    const took = performance.now() - began;
    failures = answer ? 0 : failures + 1;
    lost(!answer);
    if (answer) goesOn = show(answer);
    if (goesOn) timer = setTimeout(ask, Math.min(Math.max(every, took * 5) * 2 ** Math.min(failures, 4), slowest));
  }

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && goesOn) ask();
  });
  ask();
}

/** A line that tells of trouble, and one that is only heard. @param {HTMLElement} place */
export function tellersIn(place) {
  const trouble = Object.assign(document.createElement("p"), { className: "notice warning", hidden: true });
  const heard = Object.assign(document.createElement("p"), { className: "sr-only" });
  trouble.setAttribute("role", "status");
  heard.setAttribute("role", "status");
  place.prepend(trouble, heard);
  return {
    /** @param {boolean} isLost */
    lost(isLost) {
      trouble.hidden = !isLost;
      trouble.textContent = isLost ? gettext("Connection lost, trying again. The run itself goes on.") : "";
    },
    /** @param {string} text */
    say: (text) => (heard.textContent = text),
  };
}
