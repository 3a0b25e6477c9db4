/* Looks again before the launch whenever the form changes: sends the form to data-preflight, which launches nothing, and shows
   the list that comes back in [data-checks]. The verdict is told to screen readers by [data-status], when it changes. */

import { gettext } from "../webapp/words.js";

const PAUSE_MS = 400;

/** @param {HTMLFormElement} form */
function watch(form) {
  const box = /** @type {HTMLElement} */ (form.querySelector("[data-checks]"));
  const status = /** @type {HTMLElement} */ (form.querySelector("[data-status]"));
  const card = /** @type {HTMLElement} */ (box.closest(".before"));
  let timer = 0;
  let asked = new AbortController();

  async function look() {
    asked.abort();
    const mine = (asked = new AbortController());
    card.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(form.dataset.preflight || "", { method: "POST", body: new FormData(form), signal: mine.signal });
      if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").body;
      const said = fresh.querySelector("[data-summary]")?.textContent?.trim() || "";
      box.replaceChildren(...fresh.childNodes);
      if (status.textContent !== said) status.textContent = said;
    } catch (wrong) {
      if (mine.signal.aborted) return; // a newer question is under way
      box.textContent = gettext("This could not be looked at just now; launching looks again.");
    }
    if (mine === asked) card.removeAttribute("aria-busy");
  }

  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(look, PAUSE_MS);
  });
  addEventListener("pageshow", look); // also when the browser comes back to a form it remembers
}

for (const form of document.querySelectorAll("form[data-preflight]")) watch(/** @type {HTMLFormElement} */ (form));
