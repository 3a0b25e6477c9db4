/* Exchanges the [data-part] pieces of a page for fresh ones from the server: the page goes on without being loaded afresh.
   What was opened stays open, what was scrolled stays there (at its end, if it was at its end), and the focus stays too. */

/** @param {Element} box @returns {boolean} */
const atEnd = (box) => box.scrollWidth - box.scrollLeft - box.clientWidth < 8;

/** @param {Element} old @param {Element} fresh */
function exchange(old, fresh) {
  const focused = document.activeElement;
  const inside = focused && old.contains(focused) ? focused.id : null;
  const opened = [...old.querySelectorAll("details")].map((one) => one.open);
  const places = [...old.querySelectorAll(".steps")].map((one) => (atEnd(one) ? Infinity : one.scrollLeft));
  old.replaceWith(fresh);
  fresh.querySelectorAll("details").forEach((one, at) => (one.open = opened[at] ?? one.open));
  fresh.querySelectorAll(".steps").forEach((one, at) => (one.scrollLeft = Math.min(places[at] ?? Infinity, one.scrollWidth)));
  if (inside === null) return;
  const again = (inside && document.getElementById(inside)) || document.getElementById("content");
  if (again instanceof HTMLElement) again.focus({ preventScroll: true });
}

/** @param {(part: string) => boolean} wanted */
export async function refreshParts(wanted) {
  const response = await fetch(location.href, { cache: "no-store" });
  if (!response.ok || response.redirected) return;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const old of document.querySelectorAll("[data-part]")) {
    const name = /** @type {HTMLElement} */ (old).dataset.part || "";
    const fresh = page.querySelector(`[data-part="${CSS.escape(name)}"]`);
    if (fresh && wanted(name) && fresh.innerHTML !== old.innerHTML) exchange(old, document.adoptNode(fresh));
  }
  document.dispatchEvent(new Event("contentshown"));
}
