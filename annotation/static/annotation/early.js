/* Keeps the keys that somebody types before the desk's modules are there; desk.js takes them over. Until then what they will move
   keeps its place unseen (desk.css): nothing shall move before somebody's eyes. A classic script, so that it runs before them and
   before the first paint. */
(() => {
  /** Whoever waits longer for the modules than this sees the plain form meanwhile, which works as well. */
  const LONGEST_MS = 3000;
  document.documentElement.classList.add("arriving");
  setTimeout(() => document.documentElement.classList.remove("arriving"), LONGEST_MS);
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
