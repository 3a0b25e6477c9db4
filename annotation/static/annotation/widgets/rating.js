/* The rating: one cell for each answer and aspect, filled one after the other. The radios are the truth. */

import { fill, gettext, ngettext } from "../../webapp/words.js";

/** @typedef {{element: HTMLElement, aspect: string, title: string, letter: string, points: HTMLInputElement[]}} Cell one number to give */

/** @param {HTMLElement} element @returns {Cell} */
function makeCell(element) {
  const points = [...element.querySelectorAll("input")];
  for (const point of points) {
    const key = point.dataset.key || "";
    // A key is shown where it is not the number itself.
    if (key !== point.value || key === "-") point.labels?.[0]?.append(Object.assign(document.createElement("kbd"), { textContent: key }));
  }
  const { aspect = "", title = "", letter = "" } = element.dataset;
  return { element, aspect, title, letter, points };
}

/** @param {Cell} cell */
const chosen = (cell) => cell.points.find((point) => point.checked);

/** @type {import("./widget.js").StartWidget} */
export function startRating(desk) {
  const root = /** @type {HTMLElement} */ (desk.section.querySelector("[data-rating]"));
  const blocks = /** @type {HTMLElement[]} */ ([...root.querySelectorAll("[data-of]")]);
  const cells = /** @type {HTMLElement[]} */ ([...root.querySelectorAll("[data-cell]")]).map(makeCell);
  const anchors = /** @type {HTMLElement[]} */ ([...root.querySelectorAll("[data-anchor]")]);
  let at = 0;

  const left = () => cells.filter((cell) => !chosen(cell));

  /** Shows what the points of the current aspect mean, in a place that is as high as the longest of them. */
  function mark() {
    cells.forEach((cell, here) => cell.element.classList.toggle("current", here === at));
    for (const anchor of anchors) anchor.classList.toggle("current", anchor.dataset.anchor === cells[at].aspect);
  }

  function show() {
    const open = left().length;
    for (const cell of cells) cell.element.classList.toggle("filled", Boolean(chosen(cell)));
    desk.read(open ? fill(gettext("%(done)s of %(all)s rated"), { done: cells.length - open, all: cells.length }) : gettext("All rated"));
    mark();
  }

  /** @param {number} to */
  function go(to) {
    at = Math.min(cells.length - 1, Math.max(0, to));
    const cell = cells[at];
    mark(); // first: an answer that stepped aside comes back for it
    (chosen(cell) || cell.points[0]).focus({ preventScroll: true });
    for (const element of [cell.element.closest("[data-answer]"), cell.element]) element?.scrollIntoView({ block: "nearest" });
  }

  /** @param {Cell} cell */
  const named = (cell) => (cell.letter ? `${cell.letter}, ${cell.title}` : cell.title);

  /** @param {HTMLInputElement} point */
  function choose(point) {
    const cell = cells[at];
    point.checked = true;
    desk.touched();
    show();
    desk.say(`${named(cell)}: ${point.labels?.[0]?.querySelector(".point-value")?.textContent ?? ""} ${point.labels?.[0]?.querySelector("[data-words]")?.textContent ?? ""}`);
    if (at + 1 < cells.length) return go(at + 1);
    const open = left();
    if (open.length) return go(cells.indexOf(open[0]));
    point.focus({ preventScroll: true });
  }

  function clear() {
    if (!chosen(cells[at]) && at > 0) go(at - 1);
    const point = chosen(cells[at]);
    if (!point) return;
    point.checked = false;
    desk.touched();
    show();
    desk.say(fill(gettext("%(what)s: taken back"), { what: named(cells[at]) }));
  }

  for (const block of blocks) {
    block.addEventListener("change", () => {
      desk.touched();
      show();
    });
    block.addEventListener("focusin", (event) => {
      const here = cells.findIndex((cell) => event.target instanceof Node && cell.element.contains(event.target));
      if (here < 0) return;
      at = here;
      mark();
    });
  }
  root.classList.add("scripted");
  desk.place(blocks);

  return {
    empty: () => cells.every((cell) => !chosen(cell)),
    complete: () => !left().length,
    mayLeaveOut: () => false,
    missing() {
      const open = left();
      if (!open.length) return "";
      go(cells.indexOf(open[0]));
      const rest = fill(ngettext("%(count)s rating is missing.", "%(count)s ratings are missing.", open.length), { count: open.length });
      return `${rest} ${fill(gettext("Next: %(what)s."), { what: named(open[0]) })}`;
    },
    write: () => {},
    /** @param {string} key @param {KeyboardEvent} event @returns {boolean} */
    press(key, event) {
      const point = cells[at].points.find((one) => one.dataset.key === key);
      const within = blocks.some((block) => event.target instanceof Node && block.contains(event.target));
      if (point) choose(point);
      else if (key === "Backspace") clear();
      else if (key === "ArrowUp" && within) go(at - 1);
      else if (key === "ArrowDown" && within) go(at + 1);
      // A radio that has the focus moves by itself.
      else if (["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"].includes(key) && !within) go(at);
      else return false;
      return true;
    },
    start: show,
    focus: () => go(left().length ? cells.indexOf(left()[0]) : 0),
  };
}
