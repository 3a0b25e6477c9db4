/* Two answers against each other: what differs is marked in both; with more than two, the others step aside. */

import { fill, gettext, ngettext } from "../webapp/words.js";
import { compare, loadDiff } from "./diff.js";

/** @typedef {import("./diff.js").Difference} Difference */

const MARKS = ["differs", "differs-word"];
const MOST_LISTED = 200;

/** What is visible of an answer: formatted or raw. @param {Element} card @returns {Element} */
const shownText = (card) => /** @type {Element} */ (card.querySelector(document.documentElement.dataset.raw ? ".raw" : ".rich"));

/** @param {Element} root a sheet */
export function startPairing(root) {
  const bar = /** @type {HTMLElement|null} */ (root.querySelector("[data-pair]"));
  const cards = /** @type {HTMLElement[]} */ ([...root.querySelectorAll("[data-answer]")]);
  if (!bar || cards.length < 2) return null;
  const box = /** @type {HTMLElement} */ (root.querySelector(".answers"));
  const [left, right] = /** @type {HTMLSelectElement[]} */ ([...bar.querySelectorAll("select")]);
  const alone = /** @type {HTMLInputElement|null} */ (bar.querySelector("[data-pair-alone]"));
  const says = /** @type {HTMLElement} */ (bar.querySelector("[data-pair-says]"));
  const list = /** @type {HTMLElement} */ (bar.querySelector("[data-pair-list]"));
  let turn = 0;

  const on = () => !bar.hidden;

  /** Shows on the button above whether two are compared. */
  function mark() {
    for (const button of document.querySelectorAll("[data-pair-toggle]")) button.setAttribute("aria-pressed", String(on()));
  }

  function clear() {
    for (const name of MARKS) CSS.highlights?.delete(name);
    box.classList.remove("only-two");
    for (const card of cards) card.classList.remove("paired");
  }

  /** @param {Difference} found */
  function paint(found) {
    if (!CSS.highlights) return;
    CSS.highlights.set("differs", new Highlight(...found.left.sentences, ...found.right.sentences));
    const words = new Highlight(...found.left.words, ...found.right.words);
    words.priority = 1;
    CSS.highlights.set("differs-word", words);
  }

  /** @param {Difference} found @param {string} one @param {string} other */
  function tell(found, one, other) {
    if (found.same) says.textContent = fill(gettext("%(one)s and %(other)s say the same, word for word."), { one, other });
    else if (found.strangers) says.textContent = fill(gettext("%(one)s and %(other)s share no sentence."), { one, other });
    else says.textContent = fill(ngettext("%(n)s of %(all)s sentences differs.", "%(n)s of %(all)s sentences differ.", found.changed), { n: found.changed, all: found.all });
    list.replaceChildren(...found.list.slice(0, MOST_LISTED).map(([out, into]) => {
      const line = document.createElement("li");
      for (const [letter, text] of [[one, out], [other, into]]) {
        const part = document.createElement("p");
        part.dir = "auto";
        part.append(Object.assign(document.createElement("strong"), { textContent: `${letter} ` }), text || gettext("nothing here"));
        line.append(part);
      }
      return line;
    }));
    /** @type {HTMLElement} */ (list.parentElement).hidden = found.same;
    if (!CSS.highlights) /** @type {HTMLDetailsElement} */ (list.parentElement).open = !found.same;
  }

  async function show() {
    const mine = ++turn;
    clear();
    const pair = [cards[Number(left.value)], cards[Number(right.value)]];
    for (const card of pair) card.classList.add("paired");
    if (alone?.checked) box.classList.add("only-two");
    const diff = await loadDiff().catch(() => null);
    // Meanwhile another pair may have been chosen, or this one ended.
    if (mine !== turn || !on() || !root.isConnected) return;
    if (!diff) {
      says.textContent = gettext("The comparison did not load. Press d to try again.");
      return;
    }
    const found = compare(diff, shownText(pair[0]), shownText(pair[1]));
    paint(found);
    tell(found, pair[0].dataset.letter || "", pair[1].dataset.letter || "");
  }

  function end() {
    const within = bar?.contains(document.activeElement);
    turn += 1;
    if (bar) bar.hidden = true;
    mark();
    clear();
    says.textContent = "";
    if (within) cards[Number(left.value)].focus({ preventScroll: true });
  }

  /** @param {number} one */
  function start(one) {
    left.value = String(one);
    right.value = String((one + 1) % cards.length);
    if (bar) bar.hidden = false;
    mark();
    show();
  }

  // The form listens for changes of answers: these are none.
  for (const kind of ["input", "change"]) bar.addEventListener(kind, (event) => event.stopPropagation());
  for (const [select, other] of [[left, right], [right, left]]) {
    select.addEventListener("change", () => {
      if (select.value === other.value) other.value = String((Number(select.value) + 1) % cards.length);
      show();
    });
  }
  alone?.addEventListener("change", show);
  bar.querySelector("[data-pair-end]")?.addEventListener("click", end);

  return {
    on,
    end,
    show,
    toggle() {
      if (on()) return end();
      const focused = cards.findIndex((card) => card.contains(document.activeElement));
      start(Math.max(focused, 0));
    },
  };
}
