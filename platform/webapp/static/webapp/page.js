/* Small comforts for every page: menus that close, dialogs that open over the page. All of it works without this file. */

document.addEventListener("click", (event) => {
  if (!(event.target instanceof Element)) return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.removeAttribute("open");
  }
  const opener = event.target.closest("a[data-dialog]");
  const dialog = opener && document.querySelector(opener.getAttribute("href") || "");
  if (dialog instanceof HTMLDialogElement) {
    event.preventDefault();
    dialog.showModal();
  }
  const closer = event.target.closest("dialog [data-close]");
  // A click beside an open dialog lands on the dialog itself, for its own box is filled by its children.
  const around = event.target instanceof HTMLDialogElement && event.target.open ? event.target : null;
  const open = closer ? closer.closest("dialog") : around;
  if (open instanceof HTMLDialogElement && open.open) {
    event.preventDefault();
    open.close();
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.removeAttribute("open");
    const summary = menu.querySelector("summary");
    if (summary && menu.contains(document.activeElement)) summary.focus();
  }
});

for (const opener of document.querySelectorAll("a[data-dialog]")) {
  opener.setAttribute("role", "button");
  opener.setAttribute("aria-haspopup", "dialog");
}

// A link with the role of a button has to answer to the space bar as a button does.
document.addEventListener("keydown", (event) => {
  if (event.key !== " " || !(event.target instanceof HTMLAnchorElement) || !event.target.matches("a[data-dialog]")) return;
  event.preventDefault();
  event.target.click();
});

/** Code and tables that are wider than their column scroll, so the keyboard has to be able to reach them. */
function makeScrollersReachable() {
  for (const box of document.querySelectorAll(".prose :is(pre, table), pre.log")) {
    if (box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1) box.setAttribute("tabindex", "0");
  }
}
makeScrollersReachable();
addEventListener("resize", makeScrollersReachable);
document.addEventListener("toggle", makeScrollersReachable, true);
document.addEventListener("contentshown", makeScrollersReachable);
