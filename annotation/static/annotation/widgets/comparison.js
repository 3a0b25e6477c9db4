/* The comparison: some steps from A to B. The radios are the truth; this only lets keys choose them.
   a and b choose a side, and again a stronger step of it; so the decision comes before its strength. */

import { gettext } from "../../webapp/words.js";

/** @type {import("./widget.js").StartWidget} */
export function startComparison(desk) {
  const scale = /** @type {HTMLElement} */ (desk.section.querySelector("[data-scale]"));
  const steps = [...scale.querySelectorAll("input")];
  for (const keys of scale.querySelectorAll(".step-keys")) keys.removeAttribute("hidden");

  /** @returns {HTMLInputElement|undefined} */
  const chosen = () => steps.find((step) => step.checked);

  function show() {
    const step = chosen();
    desk.read(step?.labels?.[0]?.querySelector("span")?.textContent || "");
  }

  /** @param {HTMLInputElement|undefined} step */
  function choose(step) {
    if (!step) return false;
    step.checked = true;
    step.focus({ preventScroll: true });
    desk.touched();
    show();
    return true;
  }

  /** The weakest step of a side, or the next stronger one of the side that is chosen. @param {string} side "a" or "b" */
  function strengthen(side) {
    const now = chosen()?.dataset.keys || "";
    const wanted = now.startsWith(side) ? now + side : side;
    return choose(steps.find((one) => one.dataset.keys === wanted) || chosen());
  }

  scale.addEventListener("change", () => {
    desk.touched();
    show();
  });

  return {
    empty: () => !chosen(),
    complete: () => Boolean(chosen()),
    missing: () => gettext("Choose a step between A and B first."),
    mayLeaveOut: () => false,
    write: () => {},
    /** @param {string} key @param {KeyboardEvent} event @returns {boolean} */
    press(key, event) {
      if (/^[1-9]$/.test(key)) return choose(steps[Number(key) - 1]);
      const small = key.toLowerCase();
      if ((small === "a" || small === "b") && !event.shiftKey) return strengthen(small);
      if (["=", "v", "x"].includes(small)) return choose(steps.find((step) => step.dataset.keys === small));
      if (key !== "ArrowLeft" && key !== "ArrowRight") return false;
      // A focused radio moves by itself.
      if (event.target instanceof HTMLInputElement) return false;
      const step = chosen();
      if (!step) return choose(steps[Math.floor(steps.length / 2)]);
      return choose(steps[Math.min(steps.length - 1, Math.max(0, steps.indexOf(step) + (key === "ArrowRight" ? 1 : -1)))]);
    },
    start: show,
  };
}
