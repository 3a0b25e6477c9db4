/* A text to mark in: shows it as it is stored, tells which part of it is selected, by mouse, touch or keyboard, and shows
   what is marked. Every text node stands in a span that knows where it begins, so a selection is a place in the stored text. */

import { pieces, tidy } from "./stored.js";

/** @typedef {import("./stored.js").Range} Range */
/** @typedef {Range & {number: number, fix: string|null}} Shown a mark, with its number in the list */

const SETTLED_MS = 250;
const TYPING_MS = 700;
const HIGHLIGHT = "marking";

/**
 * @param {HTMLElement} surface
 * @param {{chosen: (range: Range|null) => void, mark: () => boolean, open: (number: number) => void, leave: () => void}} tell
 *   `chosen`: something is selected, or nothing any more; `mark`: Enter, answers whether there was something to mark; `open`: a mark was clicked; `leave`: Escape
 */
export function startSurface(surface, tell) {
  let text = "";
  /** @type {Range[]} */
  let words = [];
  /** @type {Range[]} */
  let sentences = [];
  /** @type {Range|null} what the keyboard stands on; it grows from `anchor` */
  let at = null;
  /** @type {Range|null} */
  let anchor = null;
  let typedNumber = "";
  let typedAt = 0;
  let settling = 0;

  /** @param {Node|null} node @param {number} offset @returns {number|null} */
  function placeOf(node, offset) {
    if (!node || !surface.contains(node)) return null;
    if (node.nodeType === Node.TEXT_NODE) return Number(/** @type {HTMLElement} */ (node.parentElement).dataset.start) + offset;
    const next = node.childNodes[offset];
    if (next) {
      const span = next instanceof HTMLElement ? next : node;
      return Number(/** @type {HTMLElement} */ (span).dataset.start ?? 0);
    }
    const last = node instanceof HTMLElement && node !== surface ? node : null;
    return last ? Number(last.dataset.start) + (last.textContent || "").length : text.length;
  }

  /** @param {number} place @param {boolean} end @returns {[Node, number]} */
  function nodeAt(place, end) {
    for (const span of surface.children) {
      const from = Number(/** @type {HTMLElement} */ (span).dataset.start);
      const to = from + (span.textContent || "").length;
      if (span.firstChild && (end ? place > from && place <= to : place >= from && place < to)) return [span.firstChild, place - from];
    }
    return [surface, end ? surface.childNodes.length : 0];
  }

  /** @returns {Range|null} what is selected in the surface, with the mouse, by touch or by keys */
  function selected() {
    const selection = getSelection();
    if (!selection?.rangeCount || selection.isCollapsed) return null;
    const range = selection.getRangeAt(0);
    const [start, end] = [placeOf(range.startContainer, range.startOffset), placeOf(range.endContainer, range.endOffset)];
    if (start === null || end === null || end <= start) return null;
    const found = tidy(text, { start, end });
    return text.slice(found.start, found.end).trim() ? found : null;
  }

  /** Keeps showing what was chosen when the focus has gone to the form beside it. @param {Range|null} range */
  function highlight(range) {
    const registry = /** @type {any} */ (globalThis.CSS)?.highlights;
    if (!registry) return;
    registry.delete(HIGHLIGHT);
    if (range) registry.set(HIGHLIGHT, new (/** @type {any} */ (globalThis).Highlight)(domRange(range)));
  }

  /** @param {Range} range */
  function domRange({ start, end }) {
    const made = document.createRange();
    made.setStart(...nodeAt(start, false));
    made.setEnd(...nodeAt(end, true));
    return made;
  }

  /** @param {Range} range */
  function select(range) {
    const selection = getSelection();
    selection?.removeAllRanges();
    selection?.addRange(domRange(range));
    const box = domRange(range).getBoundingClientRect();
    const around = surface.getBoundingClientRect();
    if (box.bottom > around.bottom || box.top < around.top) surface.scrollTop += box.top - around.top - around.height / 3;
    highlight(range);
    tell.chosen(range);
  }

  /** The piece before or after a place. @param {Range[]} list @param {number} step */
  function neighbour(list, step) {
    if (!at) return list[step > 0 ? 0 : list.length - 1];
    const here = at;
    if (step > 0) return list.find((piece) => piece.start >= here.end) || list[list.length - 1];
    return list.findLast((piece) => piece.end <= here.start) || list[0];
  }

  /** @param {Range[]} list @param {number} step @param {boolean} extend */
  function move(list, step, extend) {
    if (!list.length) return;
    if (!extend || !at || !anchor) {
      at = neighbour(list, step);
      anchor = at;
    } else {
      const [fixed, here] = [anchor, at];
      // Growing moves the end that is away from where it began; going back shrinks it again.
      const forward = here.end > fixed.end || (here.start === fixed.start && step > 0);
      if (forward) {
        const ends = list.map((piece) => piece.end);
        const end = step > 0 ? ends.find((place) => place > here.end) ?? here.end : ends.findLast((place) => place < here.end) ?? here.end;
        at = { start: fixed.start, end: Math.max(fixed.end, end) };
      } else {
        const starts = list.map((piece) => piece.start);
        const start = step < 0 ? starts.findLast((place) => place < here.start) ?? here.start : starts.find((place) => place > here.start) ?? here.start;
        at = { start: Math.min(fixed.start, start), end: fixed.end };
      }
    }
    select(at);
  }

  /** Two digits in a row are one number. @param {string} digit */
  function sentence(digit) {
    const now = performance.now();
    typedNumber = now - typedAt < TYPING_MS && sentences[Number(typedNumber + digit) - 1] ? typedNumber + digit : digit;
    typedAt = now;
    const found = sentences[Number(typedNumber) - 1];
    if (!found) return;
    at = found;
    anchor = found;
    select(found);
  }

  surface.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const onward = getComputedStyle(surface).direction === "rtl" ? "ArrowLeft" : "ArrowRight";
    if (event.key === "ArrowRight" || event.key === "ArrowLeft") move(words, event.key === onward ? 1 : -1, event.shiftKey);
    else if (event.key === "ArrowDown" || event.key === "ArrowUp") move(sentences, event.key === "ArrowDown" ? 1 : -1, event.shiftKey);
    else if (/^[0-9]$/.test(event.key)) sentence(event.key);
    else if (event.key === "Escape") tell.leave();
    else if (event.key !== "Enter" || !tell.mark()) return; // with nothing chosen, Enter goes on as everywhere
    event.preventDefault();
  });

  document.addEventListener("selectionchange", () => {
    clearTimeout(settling);
    if (!surface.isConnected || !surface.contains(getSelection()?.anchorNode ?? null)) return;
    settling = window.setTimeout(() => {
      const found = selected();
      if (!found) return;
      at = found;
      anchor = found;
      highlight(found);
      tell.chosen(found);
    }, SETTLED_MS);
  });
  surface.addEventListener("click", (event) => {
    const span = event.target instanceof HTMLElement ? event.target.closest("[data-under]") : null;
    if (span instanceof HTMLElement && getSelection()?.isCollapsed) tell.open(Number((span.dataset.under || "").split(" ").at(-1)));
  });

  return {
    /** @param {string} stored @param {Shown[]} marks */
    show(stored, marks) {
      if (stored !== text || !words.length) {
        text = stored;
        words = pieces(text, "word");
        sentences = pieces(text, "sentence");
        at = null;
        anchor = null;
      }
      const cuts = new Set([0, ...sentences.map((one) => one.start), ...marks.flatMap((mark) => [mark.start, mark.end])]);
      const starts = [...cuts].filter((cut) => cut < text.length).sort((a, b) => a - b);
      const numbers = new Map(sentences.map((one, index) => [one.start, index + 1]));
      surface.replaceChildren(...starts.map((start, index) => {
        const end = starts[index + 1] ?? text.length;
        const span = document.createElement("span");
        span.textContent = text.slice(start, end);
        span.dataset.start = String(start);
        if (numbers.has(start)) span.dataset.sentence = String(numbers.get(start));
        const over = marks.filter((mark) => mark.start <= start && mark.end >= end);
        if (over.length) span.dataset.under = over.map((mark) => mark.number).join(" ");
        const ended = over.filter((mark) => mark.end === end);
        if (ended.length) span.dataset.ends = ended.map((mark) => mark.number).join(" ");
        const fixed = over.find((mark) => mark.fix !== null);
        if (fixed) span.dataset.fixed = "";
        return span;
      }));
      highlight(null);
    },
    /** Nothing is chosen yet: the arrows go on from what was marked last. */
    enter() {
      surface.focus({ preventScroll: true });
      surface.scrollIntoView({ block: "nearest" });
    },
    clear() {
      if (surface.contains(getSelection()?.anchorNode ?? null)) getSelection()?.removeAllRanges();
      highlight(null);
    },
    highlight,
  };
}
