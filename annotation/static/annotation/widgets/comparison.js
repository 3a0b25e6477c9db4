/* The comparison: seven steps from A to B. The radios are the truth; this only lets keys move them. */

/** @type {import("./widget.js").StartWidget} */
export function startComparison(desk) {
  const scale = /** @type {HTMLElement} */ (desk.section.querySelector("[data-scale]"));
  const steps = [...scale.querySelectorAll("input")];
  for (const key of scale.querySelectorAll("kbd")) key.hidden = false;

  /** @returns {HTMLInputElement|undefined} */
  const chosen = () => steps.find((step) => step.checked);

  function show() {
    const step = chosen();
    desk.read(step?.labels?.[0]?.querySelector("span")?.textContent || "");
  }

  /** @param {number} at */
  function choose(at) {
    const step = steps[at];
    if (!step) return false;
    step.checked = true;
    step.focus({ preventScroll: true });
    desk.touched();
    show();
    desk.done();
    return true;
  }

  scale.addEventListener("change", () => {
    desk.touched();
    show();
  });

  return {
    empty: () => !chosen(),
    complete: () => Boolean(chosen()),
    missing: () => "Choose a step between A and B first.",
    mayLeaveOut: () => false,
    write: () => {},
    /** @param {string} key @param {KeyboardEvent} event @returns {boolean} */
    press(key, event) {
      if (/^[1-7]$/.test(key)) return choose(Number(key) - 1);
      if (key !== "ArrowLeft" && key !== "ArrowRight") return false;
      // A focused radio moves by itself.
      if (event.target instanceof HTMLInputElement) return false;
      const step = chosen();
      const from = step ? steps.indexOf(step) : 3;
      return choose(step ? Math.min(6, Math.max(0, from + (key === "ArrowRight" ? 1 : -1))) : from);
    },
    start: show,
  };
}
