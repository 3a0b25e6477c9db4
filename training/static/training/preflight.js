/* Looks again before the launch whenever the form changes: sends the form to data-preflight, which launches nothing, and shows
   the list that comes back in [data-checks]. The verdict is told to screen readers by [data-status], when it changes, and stands in
   [data-verdict] beside the button. */

import { gettext } from "../webapp/words.js";

const PAUSE_MS = 400;

/** @param {HTMLFormElement} form */
function watch(form) {
  const box = /** @type {HTMLElement} */ (form.querySelector("[data-checks]"));
  const status = /** @type {HTMLElement} */ (form.querySelector("[data-status]"));
  const verdict = /** @type {HTMLElement} */ (form.querySelector("[data-verdict]")); // beside the button, where the list is far
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
      verdict.textContent = said;
      verdict.hidden = !said;
    } catch (wrong) {
      if (mine.signal.aborted) return; // a newer question is under way
      box.textContent = gettext("This could not be looked at just now; launching looks again.");
    }
    if (mine === asked) card.removeAttribute("aria-busy");
  }

  form.addEventListener("input", (event) => {
    if (event.target instanceof HTMLSelectElement && event.target.name === "snapshot") follow(form, event.target);
    clearTimeout(timer);
    timer = setTimeout(look, PAUSE_MS);
  });
  addEventListener("pageshow", () => {
    const snapshot = form.elements.namedItem("snapshot");
    if (snapshot instanceof HTMLSelectElement) follow(form, snapshot);
    look();
  }); // also when the browser comes back to a form it remembers
}

/** Offers in each role only who can play it with the rows of the chosen snapshot. Preflight refuses the others anyway.
 * @param {HTMLFormElement} form @param {HTMLSelectElement} snapshot */
function follow(form, snapshot) {
  const rows = snapshot.selectedOptions[0]?.dataset.rows || "";
  for (const role of /** @type {NodeListOf<HTMLSelectElement>} */ (form.querySelectorAll("[data-follows-rows]"))) {
    for (const option of role.options) {
      if (option.dataset.rows !== undefined) option.hidden = option.disabled = !option.dataset.rows.split(" ").includes(rows);
    }
    if (!role.selectedOptions[0]?.disabled) continue;
    const able = [...role.options].filter((option) => option.dataset.rows !== undefined && !option.disabled);
    const real = able.find((option) => !option.value.startsWith("tiny:"));
    role.value = (real || able[0])?.value || "";
  }
}

for (const form of document.querySelectorAll("form[data-preflight]")) watch(/** @type {HTMLFormElement} */ (form));
