/* The project builder: moves, removes and undoes without a page in between, and keeps the preview in step with the form.
   The server draws the form; what is done here only happens sooner. Without this file every button still works. */

import { fill, gettext } from "../webapp/words.js";

const PAUSE_MS = 350;
const MOST_UNDONE = 100;

const builder = /** @type {HTMLElement} */ (document.querySelector("[data-builder]"));
const part = /** @type {HTMLElement} */ (builder.querySelector("[data-part=form]"));
const live = /** @type {HTMLElement} */ (document.querySelector("[data-say]"));
const pane = /** @type {HTMLElement} */ (builder.querySelector("[data-preview]"));
const stage = /** @type {HTMLElement} */ (builder.querySelector("[data-stage]"));
const frame = Object.assign(document.createElement("iframe"), { title: stage.dataset.title || "" });
stage.append(frame);
const stale = /** @type {HTMLElement} */ (builder.querySelector("[data-stale]"));
const sample = /** @type {HTMLSelectElement} */ (builder.querySelector("[data-sample]"));
/** @type {string[]} what stood in the form before each change, oldest first */
const undone = [];
let leaving = false;
let width = 1280;

const form = () => /** @type {HTMLFormElement} */ (part.querySelector("[data-form]"));
const state = () => /** @type {HTMLElement} */ (form().querySelector("[data-state]"));

/** What stands in the form, in its order, as a form sends it. @returns {string} */
function written() {
  const sent = new URLSearchParams();
  for (const [name, value] of new FormData(form())) {
    if (name !== "csrfmiddlewaretoken" && name !== "version" && typeof value === "string") sent.append(name, value);
  }
  return String(sent);
}

const JOURNEY = `builder${location.pathname}`;
// A form that was refused holds what is not saved yet, and comes as a page of its own: what can be undone is kept meanwhile.
const refused = form().dataset.unsaved !== undefined;
const before = refused ? broughtBack() : null;
if (before) undone.push(...before.undone);
const saved = refused ? before?.saved ?? "" : written();
let last = written();

/** @returns {{saved: string, undone: string[]}|null} */
function broughtBack() {
  try {
    return JSON.parse(sessionStorage.getItem(JOURNEY) || "null");
  } catch {
    return null;
  }
}

function setOff() {
  leaving = true;
  changed();
  try {
    sessionStorage.setItem(JOURNEY, JSON.stringify({ saved, undone }));
  } catch {
    // Then the way back begins anew after a refusal.
  }
}

/** Takes note of a change, so that it can be undone and the preview follows. */
function changed() {
  const now = written();
  if (now === last) return;
  undone.push(last);
  if (undone.length > MOST_UNDONE) undone.shift();
  last = now;
  showState();
}

function showState() {
  const undo = /** @type {HTMLButtonElement} */ (form().querySelector("[data-undo]"));
  undo.hidden = !undone.length;
  state().textContent = written() === saved ? "" : gettext("Not saved yet.");
}

// ---- the server draws the form anew

/** @param {string} body @returns {RequestInit} */
function posted(body) {
  const token = /** @type {HTMLInputElement} */ (form().elements.namedItem("csrfmiddlewaretoken")).value;
  return { method: "POST", body, headers: { "Content-Type": "application/x-www-form-urlencoded", "X-CSRFToken": token, "X-Part": "form" } };
}

/** @param {string} body what the form says @param {string} what what is done with it @returns {Promise<boolean>} whether it was drawn */
async function redraw(body, what) {
  const version = /** @type {HTMLInputElement} */ (form().elements.namedItem("version")).value;
  const sent = new URLSearchParams(body);
  sent.set("version", version);
  sent.set("do", what);
  let drawn;
  try {
    const answer = await fetch(form().action, posted(String(sent)));
    if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
    drawn = await answer.text();
  } catch {
    say(gettext("The server does not answer. Nothing is lost; try again."));
    state().textContent = gettext("The server does not answer. Nothing is lost; try again.");
    return false;
  }
  const around = document.createElement("template");
  around.innerHTML = drawn;
  part.replaceChildren(around.content);
  dress();
  return true;
}

/** @param {string} text */
const say = (text) => (live.textContent = text);

// ---- moving and removing

/** @param {Element} row @returns {string} */
function titleOf(row) {
  const title = row.querySelector("[name$='.title']");
  return (title instanceof HTMLInputElement && title.value) || row.querySelector("[data-number]")?.parentElement?.textContent?.trim() || "";
}

/** After rows changed places: which buttons lead nowhere, and what number each row has. @param {Element} list */
function number(list) {
  const rows = [...list.children];
  rows.forEach((row, at) => {
    const shown = row.querySelector(":scope > .row-head [data-number]");
    if (shown) shown.textContent = String(at + 1);
    for (const button of /** @type {NodeListOf<HTMLButtonElement>} */ (row.querySelectorAll(":scope > :is(.row-head, .question-head) [data-move]"))) {
      button.disabled = button.dataset.move === "-1" ? at === 0 : at === rows.length - 1;
    }
  });
}

/** The buttons of a question name it, by the title that it has now. @param {Element} card */
function name(card) {
  const title = titleOf(card);
  const tools = /** @type {NodeListOf<HTMLElement>} */ (card.querySelectorAll(":scope > .question-head button"));
  for (const button of tools) {
    const says = button.dataset.move === "-1" ? gettext("Move up: %(title)s") : button.dataset.move ? gettext("Move down: %(title)s") : gettext("Remove: %(title)s");
    button.setAttribute("aria-label", fill(says, { title }));
  }
}

/** @param {HTMLElement} row @param {number} by @param {HTMLButtonElement} button */
function move(row, by, button) {
  const list = /** @type {HTMLElement} */ (row.parentElement);
  const rows = [...list.children];
  const at = rows.indexOf(row) + by;
  if (at < 0 || at >= rows.length) return;
  list.insertBefore(row, by < 0 ? rows[at] : rows[at].nextSibling);
  number(list);
  const other = /** @type {HTMLButtonElement|null} */ (button.parentElement?.querySelector(`[data-move="${-by}"]`));
  (button.disabled ? other : button)?.focus();
  row.scrollIntoView({ block: "nearest" });
  say(fill(gettext("Now at place %(place)s of %(all)s."), { place: at + 1, all: rows.length }));
  changed();
  preview();
}

/** @param {HTMLElement} row */
function remove(row) {
  const list = /** @type {HTMLElement} */ (row.parentElement);
  const beside = row.nextElementSibling || row.previousElementSibling;
  const title = titleOf(row);
  row.remove();
  number(list);
  const next = beside?.querySelector("[data-remove]") || list.parentElement?.querySelector(".add-row, .add-kind");
  if (next instanceof HTMLElement) next.focus();
  say(fill(gettext("Removed: %(title)s. Undo brings it back."), { title }));
  changed();
  preview();
}

/** @param {HTMLButtonElement} button */
async function add(button) {
  // counted from the end: the new row may bring such buttons of its own before this one
  const buttons = [...form().querySelectorAll(".add-row")];
  const fromEnd = buttons.includes(button) ? buttons.length - buttons.indexOf(button) : 0;
  changed();
  if (!(await redraw(written(), button.value))) return;
  changed();
  const list = fromEnd ? [...form().querySelectorAll(".add-row")].at(-fromEnd)?.parentElement?.querySelector("[data-rows]") : form().querySelector("[data-questions]");
  const row = list?.lastElementChild;
  const first = row?.querySelector("input:not([type=hidden]), textarea");
  row?.scrollIntoView({ block: "nearest" });
  if (first instanceof HTMLElement) first.focus();
  preview();
}

async function undo() {
  changed();
  const before = undone.pop();
  if (before === undefined) return;
  if (!(await redraw(before, "show"))) {
    undone.push(before);
    return;
  }
  last = written();
  showState();
  const button = /** @type {HTMLElement} */ (form().querySelector("[data-undo]"));
  (button.hidden ? /** @type {HTMLElement} */ (form().querySelector("[data-save]")) : button).focus();
  say(gettext("Undone."));
  preview();
}

builder.addEventListener("click", (event) => {
  const button = event.target instanceof Element ? event.target.closest("button") : null;
  const mistake = event.target instanceof Element ? event.target.closest("[data-mistake] a")?.closest("[data-mistake]") : null;
  if (mistake instanceof HTMLElement) {
    event.preventDefault();
    toMistake(mistake.dataset.mistake || "");
  }
  if (!(button instanceof HTMLButtonElement) || !part.contains(button)) return;
  const row = /** @type {HTMLElement|null} */ (button.closest("[data-row]"));
  if (button.dataset.undo !== undefined) undo();
  else if (button.dataset.move && row) move(row, Number(button.dataset.move), button);
  else if (button.dataset.remove !== undefined && row) remove(row);
  else if (/^(add|row):/.test(button.value)) add(button);
  else return;
  event.preventDefault();
});

/** Drag by the handles, beside the buttons. */
function makeDraggable() {
  const Sortable = /** @type {{Sortable?: {create: (list: Element, options: object) => void}}} */ (globalThis).Sortable;
  for (const list of form().querySelectorAll("[data-questions], [data-rows]")) {
    number(list);
    if (!Sortable) continue;
    for (const handle of list.querySelectorAll(":scope > li > div > [data-handle]")) handle.removeAttribute("hidden");
    Sortable.create(list, {
      handle: "[data-handle]", draggable: "[data-row]", animation: matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 120, forceFallback: true,
      // beside the form: copies of its radio buttons would take the choice from those that they are copies of
      fallbackOnBody: true, fallbackTolerance: 4, ghostClass: "ghost",
      onChoose(/** @type {{item: HTMLElement}} */ { item }) {
        const before = item.getBoundingClientRect().top;
        list.classList.add("moving");
        scrollBy(0, item.getBoundingClientRect().top - before);
      },
      onUnchoose: () => list.classList.remove("moving"),
      onEnd() {
        number(list);
        changed();
        preview();
      },
    });
  }
}

// ---- the preview

let asked = 0;
/** @type {number|undefined} */
let timer;
let drawn = "";

/** After a short rest, so that no keystroke waits for it. */
function preview() {
  clearTimeout(timer);
  timer = window.setTimeout(show, PAUSE_MS);
}

async function show() {
  const mine = ++asked;
  const sent = new URLSearchParams(written());
  sent.set("sample", sample.value);
  if (!drawn) sent.set("blank", "yes");
  let said;
  try {
    const answer = await fetch(builder.dataset.previewUrl || "", posted(String(sent)));
    if (!answer.ok) return;
    said = await answer.json();
  } catch {
    return; // the next change asks again
  }
  if (mine !== asked) return;
  mark(said.problems, said.problem);
  stale.hidden = !said.problem && !Object.keys(said.problems).length;
  if (said.page === null) return;
  for (const option of sample.options) option.disabled = /^\d+$/.test(option.value) && !said.takes.includes(option.value);
  if (sample.selectedOptions[0]?.disabled) {
    const first = [...sample.options].find((option) => !option.disabled); // which the server took in its place
    if (first) sample.value = first.value;
  }
  if (said.page === drawn) return;
  drawn = said.page;
  frame.srcdoc = drawn;
}

/** What is wrong stands beside its field, and goes when it is mended. @param {Record<string, string>} problems by field @param {string} ofAll */
function mark(problems, ofAll) {
  for (const place of /** @type {NodeListOf<HTMLElement>} */ (form().querySelectorAll("[data-problem]"))) {
    const sentence = problems[place.dataset.problem || ""] || "";
    place.textContent = sentence;
    place.hidden = !sentence;
    const field = /** @type {HTMLElement|null} */ (form().querySelector(`[name="${CSS.escape(place.dataset.problem || "")}"]`));
    if (!field) continue;
    const described = (field.getAttribute("aria-describedby") || "").split(" ").filter((id) => id && id !== place.id);
    if (sentence) {
      field.setAttribute("aria-invalid", "true");
      described.unshift(place.id);
    } else field.removeAttribute("aria-invalid");
    if (described.length) field.setAttribute("aria-describedby", described.join(" "));
    else field.removeAttribute("aria-describedby");
  }
  // What was wrong when it was sent stays listed above until it is mended.
  const all = /** @type {HTMLElement} */ (form().querySelector("[data-problem-of-all]"));
  for (const mistake of /** @type {NodeListOf<HTMLElement>} */ (all.querySelectorAll("[data-mistake]"))) {
    if (!problems[mistake.dataset.mistake || ""]) mistake.remove();
  }
  const listed = !ofAll && all.querySelector("[data-mistake]");
  if (!listed) all.textContent = ofAll;
  all.hidden = !ofAll && !listed;
}

/** Where a mistake is mended: its field, or the first one in the row or question. @param {string} name */
function toMistake(name) {
  const found = form().querySelector(`[name="${CSS.escape(name)}"]:not([type=hidden])`) || form().querySelector(`[data-name="${CSS.escape(name)}"] :is(input:not([type=hidden]), textarea)`) || form().querySelector(`[data-problem="${CSS.escape(name)}"]`)?.parentElement?.querySelector("input:not([type=hidden]), textarea, button");
  if (!(found instanceof HTMLElement)) return;
  const folded = found.closest("details");
  if (folded) folded.open = true;
  found.focus({ preventScroll: true });
  found.scrollIntoView({ block: "center" });
}

/** The frame is as wide as the screen it stands for, and made smaller to fit. */
function fit() {
  const scale = Math.min(1, stage.clientWidth / width);
  const height = Math.max(560, Math.min(width === 390 ? 844 : 1100, (window.innerHeight - 130) / scale));
  frame.style.width = `${width}px`;
  frame.style.height = `${height}px`;
  frame.style.transform = `scale(${scale})`;
  frame.style.marginInlineStart = `${Math.max(0, (stage.clientWidth - width * scale) / 2)}px`;
  stage.style.height = `${height * scale}px`;
}

/** @param {number} wanted */
function showAt(wanted) {
  width = wanted;
  for (const button of /** @type {NodeListOf<HTMLElement>} */ (pane.querySelectorAll("[data-width]"))) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.width) === width));
  }
  fit();
}
for (const button of /** @type {NodeListOf<HTMLElement>} */ (pane.querySelectorAll("[data-width]"))) {
  button.addEventListener("click", () => showAt(Number(button.dataset.width)));
}
sample.addEventListener("change", show);

// ---- the form as a whole

function dress() {
  makeDraggable();
  showState();
}

part.addEventListener("input", (event) => {
  const card = event.target instanceof HTMLInputElement && event.target.name.match(/^q\.\d+\.title$/) ? event.target.closest("[data-question]") : null;
  if (card) name(card);
  preview();
});
part.addEventListener("change", () => {
  changed();
  preview();
});
part.addEventListener("submit", setOff);
for (const other of document.querySelectorAll(".versions form")) other.addEventListener("submit", () => changed());
addEventListener("pageshow", (event) => {
  if (event.persisted) leaving = false;
});
addEventListener("beforeunload", (event) => {
  if (!leaving && written() !== saved) event.preventDefault();
});

pane.hidden = false;
dress();
new ResizeObserver(fit).observe(stage);
showAt(stage.clientWidth < 600 ? 390 : 1280);
const firstMistake = /** @type {HTMLElement|null} */ (form().querySelector("[data-mistake]"));
if (firstMistake) toMistake(firstMistake.dataset.mistake || "");
show();
