/* Ranking two at a time: each answer finds its place among those placed already by halving, so that the n-th takes about
   log2(n) decisions. Pure: no page in here. A state never changes; deciding gives the next one, so undo is a list of states. */

/**
 * @typedef {object} State
 * @property {number[][]} tiers the answers placed so far, best first; those in one tier are tied
 * @property {number[]} waiting still to be placed; the first is the one being placed
 * @property {number} low the first tier that it may still come before
 * @property {number} high one past the last
 */

/** @typedef {"better"|"worse"|"equal"|"out"} Verdict of the answer being placed, about the one that it is beside */

/** Nothing is asked about the first answer of all: it just stands there. @param {State} state @returns {State} */
function next(state) {
  const { tiers, waiting } = state;
  if (!tiers.length && waiting.length > 1) return next({ tiers: [[waiting[0]]], waiting: waiting.slice(1), low: 0, high: 1 });
  return { tiers, waiting, low: 0, high: tiers.length };
}

/** Goes on from a ranking that is there already. @param {number[][]} tiers @param {number[]} waiting @returns {State} */
export function begin(tiers, waiting) {
  return next({ tiers, waiting, low: 0, high: 0 });
}

/** @param {State} state @returns {number} the tier that is asked about */
const middle = ({ low, high }) => (low + high) >> 1;

/**
 * @param {State} state
 * @returns {{placing: number, beside: number, tier: number[], rank: number, most: number} | null} null: all is placed.
 *   `beside` is the one of `tier` to show; `most` is how many decisions this answer still takes at the most
 */
export function question(state) {
  if (!state.waiting.length || !state.tiers.length) return null;
  const at = middle(state);
  const tier = state.tiers[at];
  const rank = 1 + state.tiers.slice(0, at).reduce((sum, one) => sum + one.length, 0);
  return { placing: state.waiting[0], beside: tier[0], tier, rank, most: decisions(state.high - state.low) };
}

/** @param {number} places how many tiers it may still be compared with @returns {number} how many decisions at the most */
export function decisions(places) {
  return Math.ceil(Math.log2(places + 1));
}

/** @param {State} state @param {Verdict} verdict @returns {State} */
export function decide(state, verdict) {
  const [placing, ...waiting] = state.waiting;
  const at = middle(state);
  if (verdict === "out") return next({ ...state, waiting });
  if (verdict === "equal") return next({ ...state, waiting, tiers: state.tiers.map((tier, here) => (here === at ? [...tier, placing] : tier)) });
  const low = verdict === "worse" ? at + 1 : state.low;
  const high = verdict === "better" ? at : state.high;
  if (low < high) return { ...state, low, high };
  return next({ ...state, waiting, tiers: [...state.tiers.slice(0, low), [placing], ...state.tiers.slice(low)] });
}

/** @param {import("./order.js").Place[]} places @returns {number[][]} */
export function tiersOf(places) {
  /** @type {number[][]} */
  const tiers = [];
  for (const { index, tied } of places) {
    if (tied) tiers[tiers.length - 1].push(index);
    else tiers.push([index]);
  }
  return tiers;
}

/** @param {number[][]} tiers @returns {import("./order.js").Place[]} */
export function placesIn(tiers) {
  return tiers.flatMap((tier) => tier.map((index, at) => ({ index, tied: at > 0 })));
}
