/* One item's questions: starts their widgets, knows whose turn it is, and gives the keys to that one. */

import { gettext } from "../webapp/words.js";
import { takesText } from "./keys.js";
import { WIDGETS } from "./widgets/all.js";

/** @typedef {import("./widgets/widget.js").Widget} Widget */
/** @typedef {Record<string, string|string[]>} Fields */
/**
 * @typedef {object} Part one question
 * @property {HTMLElement} section
 * @property {HTMLElement[]} pieces what of it stands beneath the answers; none, or one for each answer
 * @property {Widget} widget
 * @property {boolean} required
 * @property {string} shown its line in the readout
 * @property {boolean} looked whether somebody answered it or passed it by
 */

const NARROW = matchMedia("(max-width: 46rem)");
const CTRL_ENTER = /Mac|iPhone|iPad/.test(navigator.platform) ? gettext("⌘ Enter") : gettext("Ctrl Enter");

/** @param {HTMLFormElement} form @param {Fields} fields names with the question's name before them */
export function fillFields(form, fields) {
  for (const element of form.elements) {
    if (!("name" in element) || !(String(element.name) in fields)) continue;
    const given = [fields[String(element.name)]].flat();
    if (element instanceof HTMLInputElement && ["radio", "checkbox"].includes(element.type)) element.checked = given.includes(element.value);
    else if (element instanceof HTMLSelectElement && element.multiple) for (const option of element.options) option.selected = given.includes(option.value);
    else if (element instanceof HTMLInputElement || element instanceof HTMLSelectElement || element instanceof HTMLTextAreaElement) element.value = given[0] ?? "";
  }
}

/** @typedef {{element: HTMLInputElement|HTMLSelectElement|HTMLTextAreaElement, name: string}} Field */

/** The questions' fields of a form. @param {HTMLFormElement} form @returns {Field[]} */
function fieldsOf(form) {
  /** @type {Field[]} */
  const found = [];
  for (const element of form.elements) {
    if (!(element instanceof HTMLInputElement || element instanceof HTMLSelectElement || element instanceof HTMLTextAreaElement)) continue;
    if (element.name.includes(".")) found.push({ element, name: element.name });
  }
  return found;
}

/** Fills all fields from what `readFields` gave: a box that is not named there was not ticked. @param {HTMLFormElement} form @param {Fields} fields */
function restoreFields(form, fields) {
  for (const { element } of fieldsOf(form)) {
    if (element instanceof HTMLInputElement && ["radio", "checkbox"].includes(element.type)) element.checked = false;
    else if (element instanceof HTMLSelectElement && element.multiple) for (const option of element.options) option.selected = false;
  }
  fillFields(form, fields);
}

/** What stands in the form, in the shape that `fillFields` takes. @param {HTMLFormElement} form @returns {Fields} */
export function readFields(form) {
  /** @type {Fields} */
  const fields = {};
  for (const [name, value] of new FormData(form)) {
    if (!name.includes(".") || typeof value !== "string") continue;
    const before = fields[name];
    fields[name] = before === undefined ? value : [before, value].flat();
  }
  return fields;
}

/**
 * @param {HTMLElement} root a `[data-desk]`
 * @param {{say: (text: string) => void, enter: string, touched?: () => void, draft?: Fields|null}} outside draft: what the
 * fields begin with instead of what the server said
 */
export function startSheet(root, { say, enter, touched = () => {}, draft = null }) {
  const form = /** @type {HTMLFormElement} */ (root.querySelector("[data-judgement]"));
  const save = /** @type {HTMLElement} */ (form.querySelector("[data-save]"));
  const saveWords = /** @type {ChildNode} */ (save.firstChild);
  const saveSays = saveWords.textContent || "";
  const dock = /** @type {HTMLElement} */ (form.querySelector("[data-dock]"));
  const readout = /** @type {HTMLElement} */ (form.querySelector("[data-readout]"));
  const cards = /** @type {HTMLElement[]} */ ([...root.querySelectorAll("[data-answer]")]);
  const letters = cards.map((card) => card.dataset.letter || "?");
  const sections = /** @type {HTMLElement[]} */ ([...form.querySelectorAll("[data-question]")]);
  const bar = /** @type {HTMLElement} */ (dock.querySelector(".dock-bar"));
  const docked = sections.filter((section) => dock.contains(section));
  const order = [...form.querySelectorAll("[data-step]")].map((step) => step.getAttribute("data-step"));
  if (order.length) sections.sort((a, b) => order.indexOf(a.dataset.question || "") - order.indexOf(b.dataset.question || ""));
  let changed = draft !== null;
  let leaveOut = false;
  let turn = 0;
  /** @type {Part[]} */
  const parts = [];

  const entered = JSON.parse(form.dataset.entered || "{}");
  const correcting = root.dataset.correcting !== undefined;
  const blank = readFields(form);
  if (draft) restoreFields(form, draft);
  else fillFields(form, entered);

  const filled = readFields(form);
  for (const [at, section] of sections.entries()) {
    /** @type {HTMLElement[]} */
    const pieces = [];
    const start = WIDGETS[section.dataset.kind || ""];
    const widget = start({
      section, cards, letters, save, enter, say,
      correcting,
      fields: (name) => /** @type {HTMLElement[]} */ ([...form.elements].filter((element) => "name" in element && element.name === `${section.dataset.question}.${name}`)),
      read(text) {
        if (parts[at]) parts[at].shown = text;
        if (at === turn) show();
      },
      touched() {
        changed = true;
        leaveOut = false;
        if (parts[at]) parts[at].looked = true;
        mark();
        touched();
      },
      changed: () => changed,
      place(blocks) {
        if (cards.length < 2 || blocks.length !== cards.length) return;
        pieces.push(...blocks.map((block, place) => putBeneath(cards[place], block, section)));
        section.classList.add("placed");
        bar.before(section);
      },
    });
    const mine = Object.keys(filled).filter((name) => name.startsWith(`${section.dataset.question}.`));
    const looked = correcting || mine.some((name) => String(filled[name]) !== String(blank[name] ?? ""));
    parts.push({ section, pieces, widget, required: section.dataset.required !== undefined, shown: "", looked });
    section.tabIndex = -1;
    for (const element of [section, ...pieces]) {
      element.addEventListener("focusin", () => take(at, false));
      element.addEventListener("pointerdown", () => take(at, false));
      element.addEventListener("keydown", (event) => leaveText(event, section));
    }
  }

  /** On a phone nothing is docked but the bar, and the questions stand in the order in which they are asked. */
  function layOut() {
    const focused = document.activeElement;
    for (const [at, section] of sections.entries()) {
      if (!docked.includes(section)) continue;
      const later = NARROW.matches ? sections.slice(at + 1).find((other) => other.parentElement === form) : null;
      (later || bar).before(section);
    }
    if (focused instanceof HTMLElement && form.contains(focused)) focused.focus({ preventScroll: true });
  }

  /** What is said about one answer stands where it is read. @param {HTMLElement} card @param {HTMLElement} block @param {HTMLElement} section */
  function putBeneath(card, block, section) {
    const piece = document.createElement("div");
    piece.className = "piece";
    piece.dataset.piece = section.dataset.question;
    const title = Object.assign(document.createElement("p"), { className: "piece-title" });
    title.append(...[...(section.querySelector(".question-title")?.childNodes || [])].map((node) => node.cloneNode(true)));
    piece.append(title, block);
    card.querySelector("[data-foot]")?.append(piece);
    return piece;
  }

  /** Escape leads out of a text, so that single keys work again. @param {KeyboardEvent} event @param {HTMLElement} section */
  function leaveText(event, section) {
    if (event.key !== "Escape" || event.isComposing || event.defaultPrevented) return;
    if (!(event.target instanceof Element) || !takesText(event.target)) return;
    event.preventDefault();
    section.focus({ preventScroll: true });
  }

  function show() {
    readout.textContent = parts[turn]?.shown || "";
    readout.classList.remove("asks");
  }

  /** @param {string} text */
  function ask(text) {
    readout.textContent = text;
    readout.classList.add("asks");
    say(text);
  }

  /** Shows whose turn it is, which questions are done, and what Enter does now. */
  function mark() {
    parts.forEach(({ section, pieces, widget, looked }, at) => {
      const step = form.querySelector(`[data-step="${section.dataset.question}"]`);
      const done = looked && widget.complete();
      step?.classList.toggle("answered", done);
      step?.querySelector("[data-step-done]")?.toggleAttribute("hidden", !done);
      if (at === turn && step) {
        step.setAttribute("aria-current", "step");
        bringStep(step);
      }
      else step?.removeAttribute("aria-current");
      for (const element of [section, ...pieces]) element.classList.toggle("turn-now", at === turn);
      // On a phone one goes from answer to answer and says all about each; elsewhere there is one question at a time.
      const aside = at !== turn && !(parts[turn].pieces.length && NARROW.matches);
      for (const piece of pieces) piece.classList.toggle("aside", aside);
      widget.turn?.(at === turn);
    });
    nameSave();
  }

  /** On a phone the steps are one line that scrolls. @param {Element} step */
  function bringStep(step) {
    const list = /** @type {HTMLElement} */ (step.closest("[data-steps]"));
    const [line, here] = [list.getBoundingClientRect(), step.getBoundingClientRect()];
    if (here.left < line.left || here.right > line.right) list.scrollLeft += here.left - line.left - (line.width - here.width) / 2;
  }

  function nameSave() {
    const words = leaveOut || toCome() < 0 ? saveSays : gettext("Next question") + " ";
    if (saveWords.textContent !== words) saveWords.textContent = words;
    const key = save.querySelector("kbd");
    const wanted = form.contains(document.activeElement) && takesText(document.activeElement) ? CTRL_ENTER : gettext("Enter");
    if (key && key.textContent !== wanted) key.textContent = wanted;
  }

  /** The next question after this one that nobody looked at or that is not complete; -1 if there is none. */
  const toCome = () => parts.findIndex((part, at) => at > turn && (!part.looked || open(part)));

  /** @param {number} at @param {boolean} focus */
  function take(at, focus) {
    if (at !== turn) {
      turn = at;
      mark();
      show();
    }
    if (!focus) return;
    const { section, widget } = parts[at];
    if (widget.focus) widget.focus();
    else /** @type {HTMLElement|null} */ (section.querySelector("button:not([hidden]), input:not([type=hidden]), select, textarea, [tabindex]"))?.focus({ preventScroll: true });
    if (parts.length > 1) bring(parts[at]);
  }

  /** Scrolls to what a question is about. @param {Part} part */
  function bring({ section, pieces }) {
    // What is asked has just changed how high the dock is, and nothing may come to lie under it.
    document.documentElement.style.setProperty("--dock", `${dock.clientHeight}px`);
    if (pieces.length) return; // its widget goes from answer to answer
    const docked = dock.clientHeight > 0 && dock.contains(section);
    const answers = document.activeElement?.closest("[data-answer]") || docked ? cards[0]?.parentElement : null;
    if (answers) answers.scrollIntoView({ block: "start" });
    else section.scrollIntoView({ block: section.offsetHeight > innerHeight / 2 ? "start" : "nearest" });
  }

  /** Whatever a widget forgets to tell. */
  function entering() {
    if (changed) return touched();
    changed = true;
    leaveOut = false;
    mark();
    touched();
  }
  for (const sign of ["input", "change"]) {
    form.addEventListener(sign, ({ target }) => target instanceof Element && "name" in target && String(target.name).includes(".") && entering());
  }

  /** @param {Part} part */
  const open = ({ widget, required }) => !widget.complete() && (required || !widget.empty());

  /** What Enter and the main button do before they save. @returns {boolean} whether it went on to another question */
  function next() {
    if (leaveOut || !parts[turn] || open(parts[turn])) return false;
    parts[turn].looked = true;
    const to = toCome();
    if (to < 0) return false;
    take(to, true);
    return true;
  }

  save.addEventListener("click", (event) => {
    if (save.getAttribute("aria-disabled") !== "true" && next()) event.preventDefault();
  });
  for (const sign of ["focusin", "focusout"]) form.addEventListener(sign, () => queueMicrotask(nameSave));
  for (const step of form.querySelectorAll("[data-step]")) {
    step.addEventListener("click", (event) => {
      event.preventDefault();
      take(parts.findIndex((part) => part.section.dataset.question === step.getAttribute("data-step")), true);
    });
  }
  layOut();
  NARROW.addEventListener("change", layOut);
  for (const part of parts) part.widget.start();
  mark();
  show();

  return {
    form,
    /** It leaves the desk. */
    close: () => NARROW.removeEventListener("change", layOut),
    changed: () => changed,
    setChanged: () => (changed = true),
    fields: () => readFields(form),
    write: () => parts.forEach((part) => part.widget.write()),
    show: () => parts.forEach((part) => part.widget.start()),
    /** What the answer is at the moment, question by question. @returns {string} */
    said: () => parts.map((part) => part.shown).filter(Boolean).join(" · "),
    /** Back to what the sheet began with. */
    startOver() {
      restoreFields(form, blank);
      fillFields(form, entered);
      changed = leaveOut = false;
      for (const part of parts) part.looked = correcting;
      for (const part of parts) part.widget.start();
      mark();
      take(0, true);
    },
    /** Whether it can be sent; if not, says what is missing and goes there. @returns {boolean} */
    ready() {
      const at = parts.findIndex(open);
      if (at < 0 && !parts.every((part) => part.widget.empty())) return true;
      if (at >= 0 && leaveOut) return true;
      const wanted = Math.max(at, 0);
      if (wanted !== turn) take(wanted, true);
      leaveOut = parts.every((part) => !open(part) || part.widget.mayLeaveOut());
      nameSave();
      ask(parts[wanted].widget.missing());
      return false;
    },
    next,
    /** @param {string} key @param {KeyboardEvent} event @returns {boolean} */
    press(key, event) {
      if (parts[turn]?.widget.press(key, event)) return true;
      if (parts.length < 2) return false;
      const jump = key.startsWith("Alt+") ? Number(key.slice(4)) - 1 : key === "]" ? turn + 1 : key === "[" ? turn - 1 : -1;
      if (!parts[jump]) return false;
      take(jump, true);
      return true;
    },
  };
}
