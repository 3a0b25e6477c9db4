/* Finds words in the reference passages and marks them there, without touching the passages themselves. */

import { fill, gettext, ngettext } from "../webapp/words.js";

const COMMON = new Set("about after also been before being between from have into more most only other over said same some such than that their them then there these they this those under very were what when where which while will with would your aber alle auch beim dann dass deren diese dieser dieses doch durch eine einem einen einer eines haben hatte ihre ihrer kann mehr nach nicht noch oder ohne sehr sein seine sich sind über unter vom waren wenn werden wird wurde wurden zwischen".split(" "));
const MOST_RANGES = 2_000;

/** What of each word has to stand at a word's beginning: inflected forms are found too. @param {string} query @returns {string[]} */
export function stems(query) {
  const words = query.toLowerCase().match(/[\p{L}\p{M}\p{N}]+/gu) || [];
  const telling = words.filter((word) => !COMMON.has(word) && (word.length > 3 || /\p{N}/u.test(word)));
  const chosen = telling.length ? telling : words;
  return [...new Set(chosen.map((word) => (word.length > 6 ? word.slice(0, -2) : word)))];
}

/** @param {string[]} wanted @returns {RegExp|null} */
function pattern(wanted) {
  if (!wanted.length) return null;
  const escaped = wanted.map((stem) => stem.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`(?<![\\p{L}\\p{N}])(${escaped.join("|")})[\\p{L}\\p{M}\\p{N}]*`, "giu");
}

/** @param {Element} box @param {RegExp} wanted @returns {Range[]} */
function rangesOf(box, wanted) {
  /** @type {Range[]} */
  const ranges = [];
  const walker = document.createTreeWalker(box, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node && ranges.length < MOST_RANGES; node = walker.nextNode()) {
    for (const match of (node.nodeValue || "").matchAll(wanted)) {
      const range = document.createRange();
      range.setStart(node, match.index);
      range.setEnd(node, match.index + match[0].length);
      ranges.push(range);
    }
  }
  return ranges;
}

/** The range around which most different words stand together. @param {Range[]} ranges @returns {number} */
function densest(ranges) {
  let best = 0;
  let most = 0;
  ranges.forEach((range, at) => {
    const near = ranges.slice(at, at + 12).filter((other) => other.startContainer === range.startContainer);
    const count = new Set(near.map((other) => other.toString().toLowerCase().slice(0, 5))).size;
    if (count > most) [best, most] = [at, count];
  });
  return best;
}

/** @param {Element} root a sheet @returns {{find: (query: string) => void, focus: () => void}|null} null without passages */
export function startFinder(root) {
  const box = /** @type {HTMLElement|null} */ (root.querySelector("[data-passages-text]"));
  const field = /** @type {HTMLInputElement|null} */ (root.querySelector("[data-find]"));
  const says = root.querySelector("[data-found]");
  if (!box || !field || !says) return null;
  /** @type {Range[]} */
  let ranges = [];
  let at = 0;

  function show() {
    if (!CSS.highlights) return;
    CSS.highlights.set("found", new Highlight(...ranges));
    CSS.highlights.set("found-now", new Highlight(...ranges.slice(at, at + 1)));
    if (!ranges.length || !box) return;
    const [here, around] = [ranges[at].getBoundingClientRect(), box.getBoundingClientRect()];
    box.scrollTop += here.top - around.top - box.clientHeight / 3;
  }

  /** @param {string} query */
  function find(query) {
    if (!field || !box || !says) return;
    field.value = query;
    const wanted = stems(query);
    const search = pattern(wanted);
    ranges = search ? rangesOf(box, search) : [];
    at = densest(ranges);
    const found = wanted.filter((stem) => ranges.some((range) => range.toString().toLowerCase().startsWith(stem)));
    if (!wanted.length) says.textContent = "";
    else if (!ranges.length) says.textContent = gettext("Not found");
    else if (wanted.length === 1) says.textContent = fill(ngettext("%(n)s place", "%(n)s places", ranges.length), { n: ranges.length });
    else says.textContent = fill(gettext("%(found)s of %(all)s words found"), { found: found.length, all: wanted.length });
    show();
  }

  field.addEventListener("input", () => find(field.value));
  field.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      find("");
      /** @type {HTMLElement|null} */ (root.querySelector("[data-answer]"))?.focus({ preventScroll: true });
      event.preventDefault();
    }
    if (event.key !== "Enter" || event.ctrlKey || event.metaKey || !ranges.length) return;
    at = (at + (event.shiftKey ? ranges.length - 1 : 1)) % ranges.length;
    show();
    event.preventDefault();
  });
  return { find, focus: () => field.focus() };
}
