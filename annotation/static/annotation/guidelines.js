/* The page on which guidelines are written: the text as annotators will see it, beside what is typed, and a guard against
   losing what is not saved. The form works without this file. */

const form = /** @type {HTMLFormElement} */ (document.querySelector("[data-guidelines]"));
const box = /** @type {HTMLElement} */ (form.querySelector("[data-preview-box]"));
const text = /** @type {HTMLTextAreaElement} */ (form.elements.namedItem("text"));
const PAUSE_MS = 250;
const grown = form.dataset.grown !== undefined;
let changed = grown || document.querySelector("main [role=alert]") !== null;
let asked = 0;
/** @type {ReturnType<typeof setTimeout>|undefined} */
let timer;

/** Shows what the server makes of the text; an answer that a later one has overtaken is dropped, and none leaves what is there. */
async function preview() {
  const mine = ++asked;
  const body = new FormData();
  body.set("text", text.value);
  body.set("csrfmiddlewaretoken", /** @type {HTMLInputElement} */ (form.elements.namedItem("csrfmiddlewaretoken")).value);
  try {
    const answer = await fetch(form.dataset.preview ?? "", { method: "POST", body, redirect: "error" });
    if (answer.ok && mine === asked) box.innerHTML = await answer.text(); // rendered and cleaned by the server
  } catch {
    // no connection: the text is still in its field
  }
}

text.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(preview, PAUSE_MS);
});
form.addEventListener("input", () => (changed = true));
form.addEventListener("submit", () => (changed = false));
addEventListener("beforeunload", (event) => {
  if (changed) event.preventDefault();
});

// A new example came with this page: its first field is where to go on.
if (grown) [...form.querySelectorAll("[data-example]")].at(-1)?.querySelector("textarea")?.focus();
