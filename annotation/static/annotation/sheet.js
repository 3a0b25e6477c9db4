/* One item's questions: starts their widgets, knows whose turn it is, and gives the keys to that one. */

import { WIDGETS } from "./widgets/all.js";

/** @typedef {import("./widgets/widget.js").Widget} Widget */
/** @typedef {Record<string, string|string[]>} Fields */
/** @typedef {{section: HTMLElement, widget: Widget, required: boolean, shown: string}} Part one question */

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
  const readout = /** @type {HTMLElement} */ (form.querySelector("[data-readout]"));
  const cards = /** @type {HTMLElement[]} */ ([...root.querySelectorAll("[data-answer]")]);
  const letters = cards.map((card) => card.dataset.letter || "?");
  const sections = /** @type {HTMLElement[]} */ ([...form.querySelectorAll("[data-question]")]);
  const order = [...form.querySelectorAll("[data-step]")].map((step) => step.getAttribute("data-step"));
  if (order.length) sections.sort((a, b) => order.indexOf(a.dataset.question || "") - order.indexOf(b.dataset.question || ""));
  let changed = draft !== null;
  let leaveOut = false;
  let turn = 0;
  /** @type {Part[]} */
  const parts = [];

  const entered = JSON.parse(form.dataset.entered || "{}");
  const blank = readFields(form);
  if (draft) restoreFields(form, draft);
  else fillFields(form, entered);

  for (const [at, section] of sections.entries()) {
    const start = WIDGETS[section.dataset.kind || ""];
    const widget = start({
      section, cards, letters, save, enter, say,
      correcting: root.dataset.correcting !== undefined,
      fields: (name) => /** @type {HTMLElement[]} */ ([...form.elements].filter((element) => "name" in element && element.name === `${section.dataset.question}.${name}`)),
      read(text) {
        if (parts[at]) parts[at].shown = text;
        if (at === turn) show();
      },
      touched() {
        changed = true;
        leaveOut = false;
        mark();
        touched();
      },
      changed: () => changed,
      done: () => queueMicrotask(() => at === turn && goOn()),
    });
    parts.push({ section, widget, required: section.dataset.required !== undefined, shown: "" });
    section.addEventListener("focusin", () => take(at, false));
    section.addEventListener("pointerdown", () => take(at, false));
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

  /** Shows on the steps which questions are answered. */
  function mark() {
    parts.forEach(({ section, widget }, at) => {
      const step = form.querySelector(`[data-step="${section.dataset.question}"]`);
      step?.classList.toggle("answered", widget.complete());
      if (at === turn) step?.setAttribute("aria-current", "step");
      else step?.removeAttribute("aria-current");
      section.classList.toggle("turn-now", at === turn);
    });
  }

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
    if (parts.length > 1) section.scrollIntoView({ block: "nearest" });
  }

  /** Whatever a widget forgets to tell. */
  function entering() {
    if (changed) return touched();
    changed = true;
    leaveOut = false;
    touched();
  }
  for (const sign of ["input", "change"]) {
    form.addEventListener(sign, ({ target }) => target instanceof Element && "name" in target && String(target.name).includes(".") && entering());
  }

  /** @param {Part} part */
  const open = ({ widget, required }) => !widget.complete() && (required || !widget.empty());

  /** To the next question that nobody looked at or that is not complete. @returns {boolean} whether there is one after this */
  function goOn() {
    if (turn + 1 >= parts.length) return false;
    take(turn + 1, true);
    return true;
  }

  for (const step of form.querySelectorAll("[data-step]")) {
    step.addEventListener("click", (event) => {
      event.preventDefault();
      take(parts.findIndex((part) => part.section.dataset.question === step.getAttribute("data-step")), true);
    });
  }
  for (const part of parts) part.widget.start();
  mark();
  show();

  return {
    form,
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
      ask(parts[wanted].widget.missing());
      return false;
    },
    /** What Enter does before it saves. @returns {boolean} whether it went on to another question */
    next() {
      if (leaveOut || (parts[turn] && open(parts[turn]))) return false;
      return goOn();
    },
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
