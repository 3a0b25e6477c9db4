/* A button with data-copy="id" copies the text of the element with that id. Without the clipboard's leave it selects the text. */

import { gettext } from "./words.js";

for (const button of document.querySelectorAll("[data-copy]")) {
  if (button instanceof HTMLButtonElement) button.hidden = false;
}
document.addEventListener("click", async (event) => {
  const button = event.target instanceof Element ? event.target.closest("[data-copy]") : null;
  const source = button instanceof HTMLButtonElement && document.getElementById(button.dataset.copy || "");
  if (!button || !source) return;
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(source.textContent?.trim() || "");
    button.textContent = gettext("Copied");
  } catch {
    getSelection()?.selectAllChildren(source);
    button.textContent = gettext("Selected: copy it with your keys");
  }
  setTimeout(() => (button.textContent = label), 2500);
});
document.addEventListener("contentshown", () => {
  for (const button of document.querySelectorAll("button[data-copy]")) /** @type {HTMLButtonElement} */ (button).hidden = false;
});
