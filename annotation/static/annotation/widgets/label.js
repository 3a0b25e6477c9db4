/* The label: one, or as many as apply, for the item or for each answer. Radios or checkboxes are the truth; keys choose,
   a tree opens and closes, and a long list is found by typing. */

import { fill, gettext, ngettext } from "../../webapp/words.js";
import { makeTree } from "./tree.js";

/** @typedef {ReturnType<typeof makeTree>} Tree the labels of one answer, or of the item */

/** @type {import("./widget.js").StartWidget} */
export function startLabel(desk) {
  const root = /** @type {HTMLElement} */ (desk.section.querySelector("[data-labels]"));
  const least = Number(root.dataset.least);
  const most = Number(root.dataset.most);
  const trees = /** @type {HTMLElement[]} */ ([...root.querySelectorAll("[data-of]")]).map((element) => makeTree(element, { take: (input) => take(input), say: desk.say }));
  const many = trees[0].inputs[0].type === "checkbox";
  let at = 0;

  /** @param {Tree} tree */
  const short = (tree) => tree.chosen().length < least;
  /** @param {Tree} tree */
  const said = (tree) => (tree.letter ? `${tree.letter}: ` : "") + (tree.titles() || "–");

  function show() {
    for (const tree of trees) tree.show();
    desk.read(trees.some((tree) => tree.chosen().length) ? trees.map(said).join(" · ") : "");
  }

  /** After a label was chosen or taken back, by whatever hand. @param {Tree} tree */
  function changed(tree) {
    desk.touched();
    show();
    desk.say(said(tree));
  }

  /** Chooses a label, or takes it back where several may be chosen; one alone goes on to the next answer. @param {HTMLInputElement} input */
  function take(input) {
    const tree = trees[at];
    if (many && !input.checked && tree.chosen().length >= most) {
      return desk.say(fill(ngettext("At most %(count)s label: take one back first.", "At most %(count)s labels: take one back first.", most), { count: most }));
    }
    input.checked = many ? !input.checked : true;
    tree.reveal(input);
    changed(tree);
    input.focus({ preventScroll: true });
    if (!many && at + 1 < trees.length) go(at + 1);
  }

  /** @param {number} to */
  function go(to) {
    mark(Math.min(trees.length - 1, Math.max(0, to))); // first: an answer that stepped aside comes back for it
    const { element, focus } = trees[at];
    focus();
    for (const one of [element.closest("[data-answer]"), element]) one?.scrollIntoView({ block: "nearest" });
  }

  /** @param {number} here the answer that keys are about */
  function mark(here) {
    at = here;
    trees.forEach((tree, place) => tree.element.classList.toggle("current", place === at));
  }

  trees.forEach((tree, here) => {
    tree.element.addEventListener("focusin", () => mark(here));
    tree.element.addEventListener("change", (event) => {
      if (!(event.target instanceof HTMLInputElement) || !event.target.name) return;
      mark(here);
      if (many && tree.chosen().length > most) {
        event.target.checked = false;
        desk.say(fill(ngettext("At most %(count)s label: take one back first.", "At most %(count)s labels: take one back first.", most), { count: most }));
      }
      changed(tree);
    });
  });
  mark(0);
  desk.place(trees.map((tree) => tree.element));

  return {
    empty: () => least > 0 && trees.every((tree) => !tree.chosen().length),
    complete: () => !trees.some(short),
    mayLeaveOut: () => false,
    missing() {
      const open = trees.findIndex(short);
      if (open < 0) return "";
      go(open);
      const wanted = fill(ngettext("Choose a label", "Choose at least %(count)s labels", least), { count: least });
      return trees[open].letter ? fill(gettext("%(wanted)s for answer %(letter)s."), { wanted, letter: trees[open].letter }) : `${wanted}.`;
    },
    write: () => {},
    /** @param {string} key @param {KeyboardEvent} event @returns {boolean} */
    press(key, event) {
      const tree = trees[at];
      const input = tree.inputs.find((one) => one.dataset.key === key);
      const within = event.target instanceof Node && tree.element.contains(event.target);
      if (input) take(input);
      else if (key === "/" && tree.filter) tree.filter.focus();
      else if (key === "Backspace") {
        if (!tree.chosen().length) return false;
        for (const one of tree.chosen()) one.checked = false;
        changed(tree);
      } else if (!key.startsWith("Arrow")) return false;
      else if (!within) tree.focus();
      else if (key === "ArrowUp" || key === "ArrowDown") {
        if (!tree.step(key === "ArrowUp" ? -1 : 1)) go(at + (key === "ArrowUp" ? -1 : 1));
      } else if (!tree.turn(key === "ArrowRight") && trees.length > 1) go(at + (key === "ArrowRight" ? 1 : -1));
      return true;
    },
    start: show,
    focus: () => go(Math.max(0, trees.findIndex(short))),
  };
}
