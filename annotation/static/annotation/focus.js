/* After a reload the focus goes back into the text that somebody was writing, with the cursor where it was. */

import { takesText } from "./keys.js";

const STORE = "desk-focus";

/** @typedef {{id: number, form: HTMLFormElement}} Sheet */

/** When the page goes: notes which text of which sheet had the focus. @param {() => Sheet|null} sheet the one on the desk */
export function keepFocus(sheet) {
  addEventListener("pagehide", () => {
    const now = sheet();
    const field = document.activeElement;
    const writing = now && (field instanceof HTMLTextAreaElement || field instanceof HTMLInputElement) && takesText(field);
    try {
      if (!writing || field.form !== now.form || !field.name) sessionStorage.removeItem(STORE);
      else sessionStorage.setItem(STORE, JSON.stringify({ id: now.id, name: field.name, from: field.selectionStart, to: field.selectionEnd }));
    } catch {
      // Without storage a reload begins at the first question.
    }
  });
}

/** @param {Sheet} sheet one that has just been laid on the desk */
export function focusAgain({ id, form }) {
  try {
    const kept = JSON.parse(sessionStorage.getItem(STORE) || "null");
    sessionStorage.removeItem(STORE);
    const field = kept?.id === id && form.elements.namedItem(kept.name);
    if (!(field instanceof HTMLTextAreaElement || field instanceof HTMLInputElement)) return;
    field.focus();
    if (typeof kept.from === "number") field.setSelectionRange(kept.from, kept.to);
  } catch {
    // As above; or it is a field without a cursor.
  }
}
