/* What differs between two texts on the screen: first by sentences, then by words inside those that changed.
   Nothing of the texts is touched: the ranges found here are painted as highlights. */

/** @typedef {{value: string[], added?: boolean, removed?: boolean}} Change as jsdiff gives it for arrays */
/** @typedef {{diffArrays: (left: string[], right: string[], options?: object) => Change[]|undefined}} DiffLibrary */
/** @typedef {{node: Text, start: number}} Piece a text node and where it begins in its block */
/** @typedef {{text: string, key: string, start: number, block: Piece[]}} Sentence */
/** @typedef {{sentences: Range[], words: Range[]}} Marks */
/**
 * @typedef {object} Difference
 * @property {boolean} same @property {boolean} strangers whether no sentence of one is in the other, not even changed
 * @property {number} changed @property {number} all sentences
 * @property {Marks} left @property {Marks} right @property {[string, string][]} list
 */

const BLOCK = "p, li, h1, h2, h3, h4, h5, h6, td, th, pre, blockquote, div";
const PATIENCE_MS = 400;
const MOST_PAIRS = 2_500; // of sentences to hold against each other where many changed in a row
const ALIKE = 0.5; // of the words: below this, a sentence is another one and not a changed one

/** @type {Promise<DiffLibrary>|null} */
let library = null;

/** jsdiff, fetched when it is first needed; the page names its address. @returns {Promise<DiffLibrary>} */
export function loadDiff() {
  library ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = /** @type {HTMLElement|null} */ (document.querySelector("[data-diff-library]"))?.dataset.diffLibrary || "";
    script.addEventListener("load", () => resolve(/** @type {{Diff: DiffLibrary}} */ (/** @type {unknown} */ (globalThis)).Diff));
    script.addEventListener("error", () => {
      library = null; // the next press tries again
      reject(new Error("jsdiff did not come"));
    });
    document.head.append(script);
  });
  return library;
}

/** The sentences of a text as it is shown; of code, its lines. @param {Element} box @returns {Sentence[]} */
export function sentencesOf(box) {
  /** @type {Map<Element, Piece[]>} */
  const blocks = new Map();
  /** @type {Map<Element, string>} */
  const texts = new Map();
  const walker = document.createTreeWalker(box, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const block = node.parentElement?.closest(BLOCK) || box;
    const before = texts.get(block) || "";
    if (!blocks.has(block)) blocks.set(block, []);
    blocks.get(block)?.push({ node: /** @type {Text} */ (node), start: before.length });
    texts.set(block, before + node.nodeValue);
  }
  const segmenter = Intl.Segmenter ? new Intl.Segmenter(undefined, { granularity: "sentence" }) : null;
  /** @type {Sentence[]} */
  const sentences = [];
  for (const [block, pieces] of blocks) {
    const text = texts.get(block) || "";
    const lines = block.matches("pre") || !segmenter;
    let start = 0;
    for (const part of lines ? text.split(/(?<=\n)/) : [...segmenter.segment(text)].map(({ segment }) => segment)) {
      const key = part.replace(/\s+/g, " ").trim();
      if (key) sentences.push({ text: part, key, start, block: pieces });
      start += part.length;
    }
  }
  return sentences;
}

/** @param {Piece[]} block @param {number} from @param {number} to offsets in the block @returns {Range} */
function rangeIn(block, from, to) {
  const range = document.createRange();
  for (const { node, start } of block) {
    const end = start + node.length;
    if (from >= start && from <= end) range.setStart(node, from - start);
    if (to >= start && to <= end) {
      range.setEnd(node, to - start);
      break;
    }
  }
  return range;
}

/** A sentence without the blanks around it. @param {Sentence} sentence @returns {Range} */
function whole({ text, start, block }) {
  const lead = text.length - text.trimStart().length;
  return rangeIn(block, start + lead, start + text.trimEnd().length);
}

/** @typedef {{key: string, from: number, sentence: Sentence}} Word */
/** @param {Sentence} sentence @returns {Word[]} */
function wordsOf(sentence) {
  return [...sentence.text.matchAll(/[\p{L}\p{M}\p{N}]+|[^\s\p{L}\p{M}\p{N}]/gu)].map((match) => ({ key: match[0], from: sentence.start + match.index, sentence }));
}

/** Neighbouring words become one range. @param {Word[]} words @returns {Range[]} */
function joined(words) {
  /** @type {Range[]} */
  const ranges = [];
  let first = 0;
  words.forEach((word, at) => {
    const next = words[at + 1];
    const touching = next && next.sentence === word.sentence && next.from - word.from - word.key.length <= 1;
    if (touching) return;
    ranges.push(rangeIn(word.sentence.block, words[first].from, word.from + word.key.length));
    first = at + 1;
  });
  return ranges;
}

/** How much two sentences have in common, 0 to 1. @param {Set<string>} one @param {Set<string>} other */
function likeness(one, other) {
  let common = 0;
  for (const word of one) if (other.has(word)) common += 1;
  return common / Math.max(one.size, other.size, 1);
}

/** Which sentence became which: for each its likest, from the first on, never crossing; others are new altogether.
    @param {Sentence[]} out @param {Sentence[]} into @returns {[Sentence, Sentence][]} */
function partners(out, into) {
  if (out.length * into.length > MOST_PAIRS) return [];
  const [left, right] = [out, into].map((sentences) => sentences.map((sentence) => new Set(wordsOf(sentence).map(({ key }) => key))));
  /** @type {[Sentence, Sentence][]} */
  const pairs = [];
  let next = 0;
  left.forEach((words, at) => {
    const alike = right.map((others, to) => (to < next ? 0 : likeness(words, others)));
    const best = alike.indexOf(Math.max(...alike));
    if (best < 0 || alike[best] < ALIKE) return;
    pairs.push([out[at], into[best]]);
    next = best + 1;
  });
  return pairs;
}

/** The words that changed from one sentence to the other. @param {DiffLibrary} diff @param {Sentence} out @param {Sentence} into @returns {[Word[], Word[]]} */
function changedWords(diff, out, into) {
  const [left, right] = [wordsOf(out), wordsOf(into)];
  const changes = diff.diffArrays(left.map((word) => word.key), right.map((word) => word.key), { timeout: PATIENCE_MS });
  /** @type {[Word[], Word[]]} */
  const changed = [[], []];
  let [atLeft, atRight] = [0, 0];
  for (const { value, added, removed } of changes || []) {
    if (removed) changed[0].push(...left.slice(atLeft, atLeft + value.length));
    if (added) changed[1].push(...right.slice(atRight, atRight + value.length));
    if (!added) atLeft += value.length;
    if (!removed) atRight += value.length;
  }
  return changed;
}

/** @param {DiffLibrary} diff @param {Element} leftBox @param {Element} rightBox @returns {Difference} */
export function compare(diff, leftBox, rightBox) {
  const [left, right] = [sentencesOf(leftBox), sentencesOf(rightBox)];
  const keys = [left.map(({ key }) => key), right.map(({ key }) => key)];
  // Texts with nothing in common would keep it busy: then all of both differs.
  const changes = diff.diffArrays(keys[0], keys[1], { timeout: PATIENCE_MS }) || [{ value: keys[0], removed: true }, { value: keys[1], added: true }];
  /** @type {Difference} */
  const found = { same: true, strangers: false, changed: 0, all: Math.max(left.length, right.length), left: { sentences: [], words: [] }, right: { sentences: [], words: [] }, list: [] };
  let [atLeft, atRight] = [0, 0];
  /** @type {Sentence[]} */
  let out = [];
  /** @type {Sentence[]} */
  let into = [];
  // Where not one sentence is in both, painting all of them says nothing: then only those that were changed are painted.
  const theirs = new Set(keys[1]);
  const apart = !keys[0].some((key) => theirs.has(key));
  let kin = 0;

  function settle() {
    if (!out.length && !into.length) return;
    found.same = false;
    found.changed += Math.max(out.length, into.length);
    const pairs = partners(out, into);
    found.left.sentences.push(...(apart ? pairs.map(([one]) => one) : out).map(whole));
    found.right.sentences.push(...(apart ? pairs.map(([, other]) => other) : into).map(whole));
    kin += pairs.length;
    for (const [one, other] of pairs) {
      const [leftWords, rightWords] = changedWords(diff, one, other);
      found.left.words.push(...joined(leftWords));
      found.right.words.push(...joined(rightWords));
    }
    found.list.push([out.map(({ key }) => key).join(" "), into.map(({ key }) => key).join(" ")]);
    [out, into] = [[], []];
  }

  for (const { value, added, removed } of changes) {
    if (removed) out.push(...left.slice(atLeft, (atLeft += value.length)));
    else if (added) into.push(...right.slice(atRight, (atRight += value.length)));
    else {
      settle();
      atLeft += value.length;
      atRight += value.length;
    }
  }
  settle();
  found.strangers = apart && !kin && left.length > 0 && right.length > 0;
  return found;
}
