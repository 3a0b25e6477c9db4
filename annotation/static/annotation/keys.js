/* Single keys of the desk. Silent while somebody types, holds a modifier, has a dialog open, or has turned them off
   (WCAG 2.1.4: speech input and switch users must be able to). */

const STORE = "desk-single-keys";

/** Shows in a sheet's list of keys whether they are on. @param {ParentNode} sheet */
export function showWhetherOn(sheet) {
  const box = sheet.querySelector("[data-keys-on]");
  if (box instanceof HTMLInputElement) box.checked = turnedOn();
}

/** @returns {boolean} */
export function turnedOn() {
  try {
    return localStorage.getItem(STORE) !== "off";
  } catch {
    return true;
  }
}

/** @param {Element|null} element @returns {boolean} whether keys typed there are text */
export function takesText(element) {
  if (!(element instanceof HTMLElement)) return false;
  if (element.isContentEditable || element.matches("textarea, select")) return true;
  return element instanceof HTMLInputElement && !["radio", "checkbox", "button", "submit"].includes(element.type);
}

/** @param {(key: string, event: KeyboardEvent) => boolean} handle answers whether it used the key */
export function listenForKeys(handle) {
  document.addEventListener("change", ({ target }) => {
    if (!(target instanceof HTMLInputElement) || !target.matches("[data-keys-on]")) return;
    try {
      localStorage.setItem(STORE, target.checked ? "on" : "off");
    } catch {
      target.checked = true;
    }
  });
  /** @param {KeyboardEvent} event */
  function hear(event) {
    if (event.isComposing || event.repeat || event.defaultPrevented || document.querySelector("dialog[open]")) return;
    // In a text Enter is a new line; with Ctrl it means there what it means everywhere else.
    if ((event.ctrlKey || event.metaKey) && event.key === "Enter") {
      if (handle("Enter", event)) event.preventDefault();
      return;
    }
    // On some keyboards Alt and a digit is a sign, so the place of the key counts.
    if (event.altKey && !event.ctrlKey && !event.metaKey && /^Digit[1-9]$/.test(event.code)) {
      if (handle(`Alt+${event.code.slice(5)}`, event)) event.preventDefault();
      return;
    }
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const target = event.target instanceof Element ? event.target : null;
    if (takesText(target)) return;
    if (event.key.length === 1 && !turnedOn()) return;
    const pressesSomething = target && target.closest("button, a[href], summary");
    if (pressesSomething && (event.key === "Enter" || event.key === " ")) return;
    if (handle(event.key, event)) event.preventDefault();
  }
  document.addEventListener("keydown", hear);
  // What was typed before this script was there.
  const early = /** @type {{deskKeys?: () => KeyboardEvent[]}} */ (globalThis).deskKeys?.() ?? [];
  for (const event of early) hear(event);
}
