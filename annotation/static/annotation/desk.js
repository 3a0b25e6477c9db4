/* The annotator's desk: wires the question's widget, the keys, the clock and the guard against losing or doubling work.
   Every form on the page works without this file. */

import { startClock } from "./clock.js";
import { listenForKeys } from "./keys.js";
import { send } from "./send.js";
import { startSheet } from "./sheet.js";

const root = /** @type {HTMLElement} */ (document.querySelector("[data-desk]"));
const form = /** @type {HTMLFormElement} */ (document.querySelector("[data-judgement]"));
const save = /** @type {HTMLButtonElement} */ (form.querySelector("[data-save]"));
const live = /** @type {HTMLElement} */ (document.querySelector("[data-say]"));
const unsaved = /** @type {HTMLElement} */ (form.querySelector("[data-unsaved]"));
const rawToggle = document.querySelector("[data-raw-toggle]");
const saveText = [...save.childNodes];
const worked = startClock();
let sent = false;
let renew = false;

/** @param {string} text */
const say = (text) => (live.textContent = text);
const enter = matchMedia("(pointer: coarse)").matches ? `Tap “${saveText[0].textContent?.trim()}”` : "Press Enter";
const sheet = startSheet(root, { say, enter });

/** @param {boolean} now whether the answer is on its way: nothing may change it meanwhile */
function setSending(now) {
  sent = now;
  form.setAttribute("aria-busy", String(now));
  if (now) {
    save.setAttribute("aria-disabled", "true");
    save.textContent = save.dataset.saving || "…";
    unsaved.hidden = true;
    say(save.textContent);
  } else {
    save.removeAttribute("aria-disabled");
    save.replaceChildren(...saveText);
  }
}

/** @param {(string|Node)[]} why */
function keep(...why) {
  setSending(false);
  sheet.setChanged();
  say("");
  unsaved.replaceChildren(...why);
  unsaved.hidden = false;
}

async function submit() {
  sheet.write();
  /** @type {HTMLInputElement} */ (form.elements.namedItem("active_ms")).value = String(worked());
  setSending(true);
  const outcome = await send(form, renew);
  const again = `Your answer is still here; ${enter[0].toLowerCase()}${enter.slice(1)} to try again.`;
  if ("saved" in outcome) location.assign(outcome.saved);
  // The server says why: its page takes the place of this one.
  else if ("refused" in outcome) form.submit();
  else if ("signedOut" in outcome) {
    renew = true;
    const link = Object.assign(document.createElement("a"), { href: form.dataset.next, target: "_blank", textContent: "Sign in in another tab" });
    keep("Not saved: you are signed out. ", link, ` and come back. ${again}`);
  } else keep(`Not saved: the server does not answer. ${again}`);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!sent && sheet.ready()) submit();
});

const skip = /** @type {HTMLFormElement|null} */ (document.querySelector("[data-skip]"));
// In a closed list of choices Enter means yes, as it does in any field.
skip?.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.repeat || !(event.target instanceof HTMLSelectElement)) return;
  if (CSS.supports("selector(:open)") && event.target.matches(":open")) return;
  event.preventDefault();
  skip.requestSubmit();
});
skip?.addEventListener("submit", (event) => {
  if (sent) event.preventDefault();
  sent = true;
});

addEventListener("beforeunload", (event) => {
  if (sheet.changed() && !sent) event.preventDefault();
});

// Back brings the page as it was left, with a save button that says it is saving.
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  setSending(false);
  sheet.show();
});

function toggleRaw() {
  const raw = rawToggle?.getAttribute("aria-pressed") !== "true";
  rawToggle?.setAttribute("aria-pressed", String(raw));
  for (const element of root.querySelectorAll(".raw")) element.toggleAttribute("hidden", !raw);
  for (const element of root.querySelectorAll(".rich")) element.toggleAttribute("hidden", raw);
  document.dispatchEvent(new CustomEvent("contentshown"));
  say(raw ? "Raw text" : "Formatted text");
}
rawToggle?.removeAttribute("hidden");
rawToggle?.addEventListener("click", toggleRaw);

/** @param {string} name @returns {boolean} */
function follow(name) {
  const link = document.querySelector(`[data-key-${name}]`);
  if (link instanceof HTMLElement) link.click();
  return Boolean(link);
}

/** Letters of answers come first: with seven answers, g ranks G, and Shift+G opens the guidelines. @param {string} key @param {KeyboardEvent} event */
function press(key, event) {
  if (sent) return true;
  if (sheet.press(key, event)) return true;
  if (key === "Enter") {
    if (!sheet.next()) form.requestSubmit();
    return true;
  }
  if (key === "Escape") return !sheet.changed() && follow("back");
  if (key === "?") return follow("keys");
  const small = key.toLowerCase();
  if (small === "r") toggleRaw();
  else if (small === "g") return follow("guidelines");
  else if (small === "u") return follow("last");
  else if (small === "s") return follow("skip");
  else return false;
  return true;
}

/** Says that the lease runs out while there is still time to save. */
function watchLease() {
  const notice = document.querySelector("[data-lease]");
  if (!(notice instanceof HTMLElement)) return;
  const minutes = Number(notice.dataset.lease);
  setTimeout(() => {
    notice.hidden = false;
    notice.querySelector("span")?.removeAttribute("hidden");
  }, Math.max(0, minutes - Math.min(3, minutes / 2)) * 60_000);
}

watchLease();
listenForKeys(press);
for (const element of document.querySelectorAll("[data-needs-script]")) element.removeAttribute("hidden");
if (root.querySelectorAll("[data-answer]").length >= 7) {
  for (const key of document.querySelectorAll("[data-key-guidelines] kbd, [data-key-name=g]")) key.textContent = "Shift g";
}

/** Tells the style sheet how high something is, so that nothing comes to lie under it. @param {string} selector @param {string} name */
function measure(selector, name) {
  const element = root.querySelector(selector);
  if (element) new ResizeObserver(() => document.documentElement.style.setProperty(name, `${element.clientHeight}px`)).observe(element);
}
measure("[data-dock]", "--dock");
measure(".asked", "--asked");

// Of a long conversation the last turn is what the answers answer.
const turns = /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll(".turn"));
const box = root.querySelector(".asked-scroll");
if (box && turns.length > 1) box.scrollTop = turns[turns.length - 1].offsetTop;
