/* Drags the rungs of a ranking between ladder and bin, by their grips alone: on a phone everything else scrolls. */

/**
 * @param {HTMLElement} ladder
 * @param {HTMLElement} pool
 * @param {(index: number, at: number|null) => void} dropped null: into the bin
 */
export function makeDraggable(ladder, pool, dropped) {
  const Sortable = /** @type {any} */ (globalThis).Sortable;
  if (!Sortable) return;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  for (const list of [ladder, pool]) {
    Sortable.create(list, {
      group: "ladder", handle: ".grip", draggable: ".rung", animation: still ? 0 : 120, forceFallback: true, fallbackTolerance: 4,
      delay: 120, delayOnTouchOnly: true, touchStartThreshold: 6, ghostClass: "ghost", fallbackClass: "carried",
      onEnd(/** @type {any} */ event) {
        dropped(Number(event.item.dataset.index), event.to === pool ? null : event.newDraggableIndex);
      },
    });
  }
}
