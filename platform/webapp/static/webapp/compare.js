/* Runs beside each other: their curves, live while any of them lives; when one ends, the final numbers are fetched. */

import { chartsIn, poll, tellersIn } from "./curves.js";
import { refreshParts } from "./parts.js";

/** @param {HTMLElement} place */
function compare(place) {
  const tell = tellersIn(place);
  const showCurves = chartsIn(place);
  let living = "";

  /** @param {{live: boolean, runs: import("./curves.js").Run[]}} answer @returns {boolean} */
  function show({ live, runs }) {
    showCurves(runs);
    const now = runs.filter((run) => run.live).map((run) => run.id).join();
    if (living && living !== now) refreshParts(() => true).catch(() => undefined);
    living = now;
    return live;
  }

  poll(place.dataset.url || "", show, tell.lost);
}

for (const place of document.querySelectorAll("[data-compare]")) compare(/** @type {HTMLElement} */ (place));
