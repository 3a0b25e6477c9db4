/* Flags go out in the background: nobody has to leave the item for them. One that meets no server is tried again. */

import { gettext } from "../webapp/words.js";
import { ask } from "./post.js";

const WAITS_S = [2, 5, 10, 30, 60, 60, 120, 120, 300, 300];

/** @param {(text: string) => void} say @param {() => string} token the one that forms need now */
export function listenForFlags(say, token) {
  /** @param {HTMLFormElement} form @param {FormData} filled @param {number} attempt */
  async function send(form, filled, attempt) {
    filled.set("csrfmiddlewaretoken", token());
    const outcome = await ask(form.action, { form: filled });
    if ("ok" in outcome) say(outcome.data.said);
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
    if (!document.querySelector("dialog[open]")) form.closest("dialog")?.showModal();
  }

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!(form instanceof HTMLFormElement) || !form.matches("[data-flag]")) return;
    event.preventDefault();
    const filled = new FormData(form);
    const error = /** @type {HTMLElement} */ (form.querySelector("[data-flag-error]"));
    const note = /** @type {HTMLTextAreaElement} */ (form.querySelector("textarea"));
    if (filled.get("reason") === "other" && !note.value.trim()) {
      error.textContent = gettext("Say in the note what is wrong.");
      error.hidden = false;
      note.focus();
      return;
    }
    error.hidden = true;
    form.closest("dialog")?.close();
    say(gettext("Flagged; it is on its way to a lead."));
    send(form, filled, 0);
    if (filled.get("skip")) skip(form);
  });
}

/** Skips the item the way the desk does. @param {HTMLFormElement} form */
function skip(form) {
  const skipping = /** @type {HTMLFormElement|null} */ ((form.closest("[data-item]") || document).querySelector("[data-skip]"));
  const reason = skipping?.querySelector("select");
  if (reason) reason.value = "unclear or broken";
  skipping?.requestSubmit();
}
