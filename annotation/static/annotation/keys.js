/* Single keys of the desk. Silent while somebody types, holds a modifier, has a dialog open, or has turned them off
   (WCAG 2.1.4: speech input and switch users must be able to). */

const STORE = "desk-single-keys";

/** @returns {boolean} */
function turnedOn() {
  try {
    return localStorage.getItem(STORE) !== "off";
  } catch {
    return true;
  }
}

/** @param {Element|null} element @returns {boolean} whether keys typed there are text */
function takesText(element) {
  if (!(element instanceof HTMLElement)) return false;
  if (element.isContentEditable || element.matches("textarea, select")) return true;
  return element instanceof HTMLInputElement && !["radio", "checkbox", "button", "submit"].includes(element.type);
}

/** @param {(key: string, event: KeyboardEvent) => boolean} handle answers whether it used the key */
export function listenForKeys(handle) {
  const box = document.querySelector("[data-keys-on]");
  if (box instanceof HTMLInputElement) {
    box.checked = turnedOn();
    box.addEventListener("change", () => {
      try {
        localStorage.setItem(STORE, box.checked ? "on" : "off");
      } catch {
        box.checked = true;
      }
    });
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || event.repeat || event.defaultPrevented) return;
    const target = event.target instanceof Element ? event.target : null;
    if (takesText(target) || document.querySelector("dialog[open]")) return;
    if (event.key.length === 1 && !turnedOn()) return;
    const pressesSomething = target && target.closest("button, a[href], summary");
    if (pressesSomething && (event.key === "Enter" || event.key === " ")) return;
    if (handle(event.key, event)) event.preventDefault();
  });
}
