/* The demonstration: an editor, where it starts from, and what was changed. The fields of the form are the truth. */

import { fill, gettext, ngettext } from "../../webapp/words.js";
import { loadDiff } from "../diff.js";
import { changesBetween, shownChanges } from "./changes.js";
import { replacedIn, storedText } from "./stored.js";

const QUIET_MS = 200;

/** @param {string} text */
const oneLineEnd = (text) => text.replace(/\r\n?/g, "\n");

/** @param {string} text @returns {number} */
const countWords = (text) => (text.match(/\S+/g) || []).length;

/** @type {import("./widget.js").StartWidget} */
export function startDemonstration(desk) {
  const editor = /** @type {HTMLTextAreaElement} */ (desk.section.querySelector("[data-editor]"));
  const count = /** @type {HTMLElement} */ (desk.section.querySelector("[data-count]"));
  const box = /** @type {HTMLElement} */ (desk.section.querySelector("[data-changes-box]"));
  const changes = /** @type {HTMLElement} */ (desk.section.querySelector("[data-changes]"));
  const again = /** @type {HTMLElement} */ (desk.section.querySelector("[data-again]"));
  const replace = /** @type {HTMLElement} */ (desk.section.querySelector("[data-replace]"));
  const checks = /** @type {HTMLInputElement[]} */ ([...desk.section.querySelectorAll("[data-check]")]);
  const froms = /** @type {HTMLInputElement[]} */ (desk.fields("from"));
  const originals = new Map(froms.filter((from) => from.value !== "").map((from) => [from, oneLineEnd(storedText(from))]));
  const [least, most] = [Number(editor.dataset.least), Number(editor.dataset.most)];
  const mustEdit = editor.dataset.way === "edit" && originals.size > 0;
  let waiting = 0;
  /** What the editor held before an answer took its place. @type {string|null} */
  let kept = null;

  const chosen = () => froms.find((from) => from.checked && from.value !== "");
  const original = () => originals.get(/** @type {HTMLInputElement} */ (chosen())) ?? null;
  const letter = () => desk.letters[Number(chosen()?.value)] ?? "";
  const text = () => oneLineEnd(editor.value);
  const isSame = () => original() !== null && text().trim() === original()?.trim();
  /** Whether nobody wrote what stands in the editor. */
  const isUntouched = () => !text().trim() || [...originals.values()].includes(text());

  function showCount() {
    // Python counts code points, JavaScript UTF-16 units.
    const characters = [...text()].length;
    const words = countWords(editor.value);
    const said = [
      fill(ngettext("%(n)s word", "%(n)s words", words), { n: words }),
      fill(ngettext("%(n)s character", "%(n)s characters", characters), { n: characters }),
    ];
    if (least > 1 && characters < least) said.push(fill(gettext("at least %(n)s"), { n: least }));
    if (most - characters < Math.max(100, most / 10)) said.push(fill(gettext("at most %(n)s"), { n: most }));
    count.textContent = said.join(" · ");
  }

  function showChanges() {
    const before = original();
    box.hidden = before === null;
    if (before === null) return;
    changes.replaceChildren(isSame() ? gettext("Nothing yet.") : shownChanges(changesBetween(before, text())));
  }

  function showAgain() {
    const before = original();
    again.hidden = kept === null && (before === null || isUntouched());
    replace.textContent = kept === null ? fill(gettext("Take the text of answer %(letter)s instead"), { letter: letter() }) : gettext("Bring my text back");
  }

  function show() {
    showCount();
    showAgain();
    clearTimeout(waiting);
    waiting = window.setTimeout(showChanges, QUIET_MS);
    desk.read(missing() || (chosen() ? fill(gettext("%(letter)s, edited"), { letter: letter() }) : gettext("Written")));
  }

  /** Lays the chosen answer out for editing, unless somebody wrote something already. */
  function take() {
    kept = null;
    if (isUntouched()) editor.value = original() ?? "";
    desk.touched();
    show();
    showChanges();
  }

  /** @param {HTMLInputElement|undefined} from @returns {boolean} */
  function startFrom(from) {
    if (!from) return false;
    from.checked = true;
    take();
    editor.focus();
    editor.setSelectionRange(0, 0);
    return true;
  }

  /** The answer that stands best in a ranking on the same page. @returns {HTMLInputElement|undefined} */
  function best() {
    const ranks = /** @type {NodeListOf<HTMLSelectElement>} */ (editor.form?.querySelectorAll("[data-kind=ranking] select[name*='.rank-']"));
    const first = [...(ranks || [])].filter((rank) => rank.value).sort((a, b) => Number(a.value) - Number(b.value))[0];
    return froms.find((from) => first && from.value === first.name.split(".rank-")[1]);
  }

  /** What is still to do; empty when nothing is. @returns {string} */
  function missing() {
    if (mustEdit && !chosen()) return gettext("Choose the answer that you edit.");
    if (!text().trim()) return gettext("Write your text.");
    const hidden = froms.flatMap(replacedIn).find(([, , words]) => text().includes(words));
    if (hidden) return fill(gettext("Your text still holds “%(words)s”, which stands for something hidden. Put words of your own there."), { words: hidden[2] });
    if (isSame()) return fill(gettext("It still says what answer %(letter)s says. Change what is not good yet."), { letter: letter() });
    const short = least - [...text().trim()].length;
    if (short > 0) return fill(ngettext("%(n)s character too short.", "%(n)s characters too short.", short), { n: short });
    const over = [...text()].length - most;
    if (over > 0) return fill(ngettext("%(n)s character too long.", "%(n)s characters too long.", over), { n: over });
    if (checks.some((check) => !check.checked)) return gettext("Tick what you have checked.");
    return "";
  }

  editor.addEventListener("input", () => {
    kept = null;
    desk.touched();
    show();
  });
  editor.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.isComposing) return;
    event.preventDefault();
    desk.section.tabIndex = -1;
    desk.section.focus({ preventScroll: true });
  });
  for (const from of froms) from.addEventListener("change", take);
  for (const check of checks) {
    check.addEventListener("change", () => {
      desk.touched();
      show();
    });
  }
  replace.addEventListener("click", () => {
    const mine = editor.value;
    editor.value = kept ?? original() ?? "";
    kept = kept === null ? mine : null;
    desk.touched();
    show();
    showChanges();
    editor.focus();
  });

  return {
    empty: () => !text().trim() || (isSame() && !desk.correcting),
    complete: () => !missing(),
    mayLeaveOut: () => false,
    missing,
    write: () => {},
    focus() {
      if (editor.dataset.begin === "best" && !chosen() && !text().trim() && startFrom(best())) return;
      if (mustEdit && !chosen()) froms[0].focus({ preventScroll: true });
      else editor.focus({ preventScroll: true });
    },
    /** @param {string} key @param {KeyboardEvent} event @returns {boolean} */
    press(key, event) {
      if (event.shiftKey) return false;
      if (key === "0" && startFrom(froms.find((from) => from.value === ""))) return true;
      const index = desk.letters.findIndex((one) => one.toLowerCase() === key);
      if (index >= 0 && startFrom(froms.find((from) => from.value === String(index)))) return true;
      if (key !== "w") return false;
      editor.focus();
      return true;
    },
    start() {
      show();
      showChanges();
      // The comparison comes when it is first needed; until then a change is shown whole.
      if (originals.size) loadDiff().then(showChanges, () => {});
    },
  };
}
