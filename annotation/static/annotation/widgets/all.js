/* The widgets by kind of question. */

import { startComment } from "./comment.js";
import { startComparison } from "./comparison.js";
import { startLabel } from "./label.js";
import { startCritique } from "./critique.js";
import { startDemonstration } from "./demonstration.js";
import { startRanking } from "./ranking.js";
import { startRating } from "./rating.js";

/** @type {Record<string, import("./widget.js").StartWidget>} */
export const WIDGETS = {
  comment: startComment,
  comparison: startComparison,
  label: startLabel,
  critique: startCritique,
  demonstration: startDemonstration,
  ranking: startRanking,
  rating: startRating,
};
