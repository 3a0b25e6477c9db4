/* Keeps the keys that somebody types before the desk's modules are there; desk.js takes them over. A classic script, so that
   it runs before them. */
(() => {
  const early = /** @type {KeyboardEvent[]} */ ([]);
  /** @param {KeyboardEvent} event */
  const note = (event) => early.push(event);
  document.addEventListener("keydown", note);
  Object.assign(globalThis, {
    deskKeys() {
      document.removeEventListener("keydown", note);
      return early;
    },
  });
})();
