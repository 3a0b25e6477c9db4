/* Texts as they are stored, and places in them. The page's own markup cannot be asked: a parser changes line ends. */

/** The exact text that a template wrote with `escapejs`. @param {HTMLElement} element @returns {string} */
export function storedText(element) {
  return JSON.parse(`"${element.dataset.text || ""}"`);
}

/** How many code points stand before a place that is counted in UTF-16 units, as JavaScript does.
 * @param {string} text @param {number} at @returns {number} */
export function codePoints(text, at) {
  let count = 0;
  for (let unit = 0; unit < at; count += 1) unit += (text.codePointAt(unit) ?? 0) > 0xffff ? 2 : 1;
  return count;
}

/** The other way round. @param {string} text @param {number} count @returns {number} */
export function codeUnits(text, count) {
  let unit = 0;
  for (let left = count; left > 0 && unit < text.length; left -= 1) unit += (text.codePointAt(unit) ?? 0) > 0xffff ? 2 : 1;
  return unit;
}

/** What stands on the screen in the place of something that is hidden: `[start, end, shown]`, in code points of the stored text.
 * @typedef {[number, number, string]} Replaced */

/** @param {HTMLElement} element @returns {Replaced[]} */
export const replacedIn = (element) => JSON.parse(element.dataset.replaced || "[]");

/** Where a stretch of the shown text stands in the stored one, all in code points; null if it touches something hidden.
 * @param {{start: number, end: number}} shown @param {Replaced[]} replaced @returns {{start: number, end: number}|null} */
export function asStored({ start, end }, replaced) {
  let shift = 0; // shown minus stored
  for (const [from, to, words] of replaced) {
    const at = from + shift;
    const length = [...words].length;
    if (at >= end) break;
    if (at + length > start) return null;
    shift += length - (to - from);
  }
  return { start: start - shift, end: end - shift };
}

/** The other way round. @param {{start: number, end: number}} stored @param {Replaced[]} replaced @returns {{start: number, end: number}} */
export function asShown({ start, end }, replaced) {
  let shift = 0;
  for (const [from, to, words] of replaced) if (to <= start) shift += [...words].length - (to - from);
  return { start: start + shift, end: end + shift };
}

/** @typedef {{start: number, end: number}} Range places in UTF-16 units */

/** Without the blanks at both ends, and never through the middle of a character. @param {string} text @param {Range} range @returns {Range} */
export function tidy(text, { start, end }) {
  /** @param {number} at */
  const splits = (at) => at > 0 && at < text.length && /[\ud800-\udbff]/.test(text[at - 1]) && /[\udc00-\udfff]/.test(text[at]);
  let [from, to] = [splits(start) ? start - 1 : start, splits(end) ? end + 1 : end];
  const inside = text.slice(from, to);
  if (!inside.trim()) return { start: from, end: to };
  from += inside.length - inside.trimStart().length;
  to -= inside.length - inside.trimEnd().length;
  return { start: from, end: to };
}

/** Where the words or sentences of a text stand, without the blanks around them.
 * @param {string} text @param {"word"|"sentence"} unit @returns {Range[]} */
export function pieces(text, unit) {
  const found = [...new Intl.Segmenter(undefined, { granularity: unit }).segment(text)];
  return found
    .filter(({ segment, isWordLike }) => (unit === "word" ? isWordLike || /[^\s\p{P}]/u.test(segment) : segment.trim()))
    .map(({ segment, index }) => tidy(text, { start: index, end: index + segment.length }));
}
