/* In a dialog that asks for one of several reasons, a digit chooses one and Enter sends the form. */

import { takesText, turnedOn } from "./keys.js";

export function listenForReasons() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || event.defaultPrevented) return;
    const reasons = document.querySelector("dialog[open] .reasons");
    const target = event.target instanceof Element ? event.target : null;
    if (!reasons || takesText(target) || !/^[1-9]$/.test(event.key) || !turnedOn()) return;
    const chosen = /** @type {NodeListOf<HTMLInputElement>} */ (reasons.querySelectorAll("input[type=radio]"))[Number(event.key) - 1];
    if (!chosen) return;
    event.preventDefault();
    chosen.checked = true;
    chosen.focus();
  });
}
