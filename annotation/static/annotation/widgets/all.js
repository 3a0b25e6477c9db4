/* The widgets by kind of question. */

import { startComparison } from "./comparison.js";
import { startRanking } from "./ranking.js";

/** @type {Record<string, import("./widget.js").StartWidget>} */
export const WIDGETS = {
  comparison: startComparison,
  ranking: startRanking,
};
