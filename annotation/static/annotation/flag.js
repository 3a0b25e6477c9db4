/* Flags go out in the background: nobody has to leave the item for them. One that meets no server is tried again. */

import { gettext } from "../webapp/words.js";
import { ask } from "./post.js";

const WAITS_S = [2, 5, 10, 30, 60, 60, 120, 120, 300, 300];

/**
 * @param {(text: string) => void} say for what went wrong @param {(text: string) => void} note for what went well
 * @param {() => string} token the one that forms need now
 */
export function listenForFlags(say, note, token) {
  /** @param {HTMLFormElement} form @param {FormData} filled @param {number} attempt */
  async function send(form, filled, attempt) {
    filled.set("csrfmiddlewaretoken", token());
    const outcome = await ask(form.action, { form: filled });
    if ("ok" in outcome) note(outcome.data.said);
    else if ("refused" in outcome) complain(form, outcome.refused);
    else if (attempt < WAITS_S.length) setTimeout(() => send(form, filled, attempt + 1), WAITS_S[attempt] * 1000);
    else complain(form, gettext("The flag was not sent: the server does not answer."));
  }

  /** What was typed comes back with the reason, unless its item has gone. @param {HTMLFormElement} form @param {string} why */
  function complain(form, why) {
    say(why);
    if (!form.isConnected) return;
    const error = /** @type {HTMLElement} */ (form.querySelector("[data-flag-error]"));
    error.textContent = why;
    error.hidden = false;
    mark(form, false);
    if (!document.querySelector("dialog[open]")) form.closest("dialog")?.showModal();
  }

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!(form instanceof HTMLFormElement) || !form.matches("[data-flag]")) return;
    event.preventDefault();
    const filled = new FormData(form);
    const error = /** @type {HTMLElement} */ (form.querySelector("[data-flag-error]"));
    const words = /** @type {HTMLTextAreaElement} */ (form.querySelector("textarea"));
    if (filled.get("reason") === "other" && !words.value.trim()) {
      error.textContent = gettext("Say in the note what is wrong.");
      error.hidden = false;
      words.focus();
      return;
    }
    error.hidden = true;
    form.closest("dialog")?.close();
    note(gettext("Flagged; it is on its way to a lead."));
    mark(form, true);
    send(form, filled, 0);
    if (filled.get("skip")) skip(form);
  });
}

/** Shows on the item whether it is flagged. @param {HTMLFormElement} form @param {boolean} flagged */
function mark(form, flagged) {
  const place = /** @type {HTMLElement|null} */ ((form.closest("[data-item]") || document).querySelector("[data-flagged]"));
  if (place) place.hidden = !flagged;
}

/** Skips the item the way the desk does. @param {HTMLFormElement} form */
function skip(form) {
  const skipping = /** @type {HTMLFormElement|null} */ ((form.closest("[data-item]") || document).querySelector("[data-skip]"));
  const reason = /** @type {HTMLInputElement|null|undefined} */ (skipping?.querySelector("[value='unclear or broken']"));
  if (reason) reason.checked = true;
  skipping?.requestSubmit();
}
