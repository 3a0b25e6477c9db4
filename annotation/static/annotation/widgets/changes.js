/* What somebody changed in a text, word by word. What both texts begin and end with is set aside first, so that the
   comparison costs what was changed and not how long the text is. */

/** @typedef {{text: string, kind: "same"|"added"|"removed"}} Piece */

const PATIENCE_MS = 60;

/** @param {string} text @param {number} at @returns {boolean} whether a word may end there */
const between = (text, at) => at === 0 || at === text.length || /\s/.test(text[at - 1]) || /\s/.test(text[at]);

/** @param {string} before @param {string} after @returns {Piece[]} */
export function changesBetween(before, after) {
  const shorter = Math.min(before.length, after.length);
  let head = 0;
  while (head < shorter && before[head] === after[head]) head += 1;
  while (!(between(before, head) && between(after, head))) head -= 1;
  let tail = 0;
  while (tail < shorter - head && before[before.length - 1 - tail] === after[after.length - 1 - tail]) tail += 1;
  while (tail && !(between(before, before.length - tail) && between(after, after.length - tail))) tail -= 1;
  /** @type {Piece[]} */
  const found = [
    { text: before.slice(0, head), kind: "same" },
    ...inTheMiddle(before.slice(head, before.length - tail), after.slice(head, after.length - tail)),
    { text: tail ? before.slice(-tail) : "", kind: "same" },
  ];
  return found.filter((piece) => piece.text);
}

/** @param {string} before @param {string} after @returns {Piece[]} */
function inTheMiddle(before, after) {
  const Diff = /** @type {any} */ (globalThis).Diff;
  // Two texts that have little in common are simply one and the other.
  const parts = before && after && Diff?.diffWordsWithSpace(before, after, { timeout: PATIENCE_MS });
  if (!parts) return [{ text: before, kind: "removed" }, { text: after, kind: "added" }];
  return parts.map((/** @type {any} */ part) => ({ text: part.value, kind: part.added ? "added" : part.removed ? "removed" : "same" }));
}

/** Long stretches that stayed are shortened: the changes are what one looks for. @param {Piece[]} pieces @param {number} keep characters at each side @returns {DocumentFragment} */
export function shownChanges(pieces, keep = 400) {
  const shown = document.createDocumentFragment();
  for (const { text, kind } of pieces) {
    if (kind === "same") shown.append(text.length > 2 * keep + 100 ? `${text.slice(0, keep)} […] ${text.slice(-keep)}` : text);
    else shown.append(Object.assign(document.createElement(kind === "added" ? "ins" : "del"), { textContent: text }));
  }
  return shown;
}
