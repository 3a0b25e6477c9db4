/* Reading at the desk: raw or formatted, how text is set, the passages, and what differs between two answers.
   It starts anew with each sheet; the keys come from desk.js, after the questions had theirs. */

import { fill, gettext } from "../webapp/words.js";
import { startFinder } from "./passage_finder.js";
import { startPairing } from "./pairing.js";

const SIZES = ["-2", "-1", "0", "1", "2", "3", "4"];
const PERCENT = ["80 %", "90 %", "100 %", "115 %", "130 %", "150 %", "175 %"];

/** @typedef {{get: (name: string) => string, set: (name: string, value: string) => boolean}} Settings */
const settings = /** @type {{readingSettings: Settings}} */ (/** @type {unknown} */ (globalThis)).readingSettings;

/** @type {HTMLElement|null} */
let root = null;
/** @type {ReturnType<typeof startPairing>} */
let pairing = null;
/** @type {ReturnType<typeof startFinder>} */
let finder = null;
/** @type {ResizeObserver|null} */
let height = null;

/** @param {string} text */
function say(text) {
  const live = document.querySelector("[data-say]");
  if (live) live.textContent = text;
}

/** Shows on the controls what holds. */
function showSettings() {
  const raw = settings.get("raw") === "yes";
  for (const button of document.querySelectorAll("[data-raw-toggle]")) {
    button.setAttribute("aria-pressed", String(raw));
    button.removeAttribute("hidden");
  }
  for (const control of document.querySelectorAll("input[data-reading]")) {
    if (control instanceof HTMLInputElement) control.checked = settings.get(control.dataset.reading || "") === control.value;
  }
  for (const output of document.querySelectorAll("[data-reading-size]")) output.textContent = PERCENT[SIZES.indexOf(settings.get("size"))];
  const body = root?.querySelector(".passages-body");
  if (body) root?.querySelector("[data-passages-toggle]")?.setAttribute("aria-expanded", String(getComputedStyle(body).display !== "none"));
}

/** @param {number} by */
function resize(by) {
  const at = SIZES.indexOf(settings.get("size")) + by;
  if (at < 0 || at >= SIZES.length) return;
  settings.set("size", SIZES[at]);
  say(PERCENT[at]);
}

function toggleRaw() {
  const raw = settings.get("raw") !== "yes";
  settings.set("raw", raw ? "yes" : "no");
  say(raw ? gettext("Raw text") : gettext("Formatted text"));
}

function togglePassages() {
  const button = root?.querySelector("[data-passages-toggle]");
  if (!button) return false;
  settings.set("passages", button.getAttribute("aria-expanded") === "true" ? "closed" : "open");
  return true;
}

function toggleLayout() {
  const box = root?.querySelector(".answers");
  if (!box) return false;
  const stacked = getComputedStyle(box).gridTemplateColumns.split(" ").length < 2;
  settings.set("layout", stacked ? "columns" : "stacked");
  say(stacked ? gettext("Answers in columns") : gettext("Answers stacked"));
  return true;
}

function find() {
  if (!finder) return false;
  settings.set("passages", "open");
  const marked = String(getSelection() || "").trim();
  if (marked) finder.find(marked.slice(0, 2000));
  else finder.focus();
  return true;
}

/** @param {string} key @returns {boolean} whether it was one of reading's */
export function pressReading(key) {
  const small = key.toLowerCase();
  if (key === "Escape" && pairing?.on()) pairing.end();
  else if (small === "r") toggleRaw();
  else if (small === "d" && pairing) pairing.toggle();
  else if (small === "f") return find();
  else if (small === "p") return togglePassages();
  else if (key === "\\") return toggleLayout();
  else if (key === "+") resize(1);
  else if (key === "-") resize(-1);
  else return false;
  return true;
}

/** Answers' letters come first: a key that is one of them is shown with Shift. */
function nameKeys() {
  const letters = [...(root?.querySelectorAll("[data-answer]") || [])].map((card) => (/** @type {HTMLElement} */ (card).dataset.letter || "").toLowerCase());
  for (const key of document.querySelectorAll("[data-letter-key]")) {
    const name = /** @type {HTMLElement} */ (key).dataset.letterKey || "";
    key.textContent = letters.includes(name) ? fill(gettext("Shift %(key)s"), { key: name }) : name;
  }
}

/** Tells the style sheet how high the prompt is, so that nothing comes to lie under it. @param {Element} sheet */
function measurePrompt(sheet) {
  height?.disconnect();
  const asked = sheet.querySelector(".asked");
  if (!asked) return;
  height = new ResizeObserver(() => document.documentElement.style.setProperty("--asked", `${asked.clientHeight}px`));
  height.observe(asked);
}

/** Of a long conversation the last turn is what the answers answer. @param {Element} sheet */
function scrollToLastTurn(sheet) {
  const turns = /** @type {NodeListOf<HTMLElement>} */ (sheet.querySelectorAll(".turn"));
  const box = sheet.querySelector(".asked-scroll");
  if (box && turns.length > 1) box.scrollTop = turns[turns.length - 1].offsetTop;
}

/** @param {HTMLElement} sheet a `[data-desk]` that is on the screen now */
export function showReading(sheet) {
  pairing?.end();
  CSS.highlights?.clear();
  root = sheet;
  pairing = startPairing(sheet);
  finder = startFinder(sheet);
  for (const button of document.querySelectorAll("[data-pair-toggle]")) button.toggleAttribute("hidden", !pairing);
  showSettings();
  nameKeys();
  measurePrompt(sheet);
  scrollToLastTurn(sheet);
}

document.addEventListener("click", (event) => {
  const target = event.target instanceof Element ? event.target : null;
  if (target?.closest("[data-raw-toggle]")) toggleRaw();
  else if (target?.closest("[data-pair-toggle]")) pairing?.toggle();
  else if (target?.closest("[data-passages-toggle]")) togglePassages();
  const step = target?.closest("[data-reading-step]");
  if (step instanceof HTMLElement) resize(Number(step.dataset.readingStep));
});
document.addEventListener("change", (event) => {
  if (event.target instanceof HTMLInputElement && event.target.dataset.reading) settings.set(event.target.dataset.reading, event.target.value);
});
document.addEventListener("readingchange", () => {
  showSettings();
  if (pairing?.on()) pairing.show();
  document.dispatchEvent(new Event("contentshown"));
});
document.addEventListener("sheetshown", (event) => {
  const shown = event instanceof CustomEvent ? event.detail?.root : null;
  if (shown instanceof HTMLElement && shown !== root) showReading(shown);
});
