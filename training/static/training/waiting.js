/* A form with data-waits says, once it is sent, that its answer is on the way and for how long: a model that has to be loaded
   first takes its time, and the page stays as it is until then. The words stand in its [data-waiting]. */

import { gettext } from "../webapp/words.js";

/** @param {HTMLFormElement} form */
function watch(form) {
  const place = /** @type {HTMLElement} */ (form.querySelector("[data-waiting]"));
  const button = /** @type {HTMLButtonElement} */ (form.querySelector("button[type=submit]"));
  const before = place.textContent;
  let timer = 0;

  form.addEventListener("submit", () => {
    const began = performance.now();
    // What is told aloud is told once; the seconds are for the eye.
    const seconds = Object.assign(document.createElement("span"), { className: "number", ariaHidden: "true" });
    place.replaceChildren(gettext("The model is at work …"), " ", seconds);
    form.setAttribute("aria-busy", "true");
    timer = setInterval(() => (seconds.textContent = `${Math.round((performance.now() - began) / 1000)} s`), 1000);
    setTimeout(() => (button.disabled = true)); // the form is on its way by then
  });
  addEventListener("pageshow", ({ persisted }) => {
    if (!persisted) return;
    clearInterval(timer); // back on a page that the browser remembers
    form.removeAttribute("aria-busy");
    [place.textContent, button.disabled] = [before, false];
  });
}

for (const form of document.querySelectorAll("form[data-waits]")) watch(/** @type {HTMLFormElement} */ (form));
