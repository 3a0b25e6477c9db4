/* What runs in the builder's preview: the desk's own widgets and keys on a sample. Nothing is sent; what would be is said. */

import { fill, gettext } from "../webapp/words.js";
import { listenForKeys } from "./keys.js";
import { pressReading } from "./reading.js";
import { startSheet } from "./sheet.js";

const root = /** @type {HTMLElement} */ (document.querySelector("[data-desk]"));
const live = /** @type {HTMLElement} */ (document.querySelector("[data-say]"));
const outcome = /** @type {HTMLElement} */ (document.querySelector("[data-outcome]"));
const sheet = startSheet(root, { say: (text) => (live.textContent = text), enter: gettext("Press Enter") });

document.dispatchEvent(new CustomEvent("sheetshown", { detail: { root } }));

/** @param {Event} event */
function instead(event) {
  event.preventDefault();
  if (event.target !== sheet.form || !sheet.ready()) return;
  sheet.write();
  outcome.textContent = fill(gettext("Here it would be saved. %(answer)s"), { answer: sheet.said() });
  outcome.hidden = false;
}
document.addEventListener("submit", instead);
document.addEventListener("input", () => (outcome.hidden = true));

// Links lead out of the frame, where there is nothing to see; dialogs open as they do at the desk.
document.addEventListener("click", (event) => {
  const link = event.target instanceof Element ? event.target.closest("a[href]") : null;
  if (link && !link.getAttribute("href")?.startsWith("#")) event.preventDefault();
});

listenForKeys((key, event) => {
  if (sheet.press(key, event)) return true;
  if (key === "Enter") {
    if (!sheet.next()) sheet.form.requestSubmit();
    return true;
  }
  if (key !== "?") return pressReading(key);
  const keys = document.querySelector("[data-key-keys]");
  if (keys instanceof HTMLElement) keys.click();
  return true;
});
for (const element of document.querySelectorAll("[data-needs-script]")) element.removeAttribute("hidden");
