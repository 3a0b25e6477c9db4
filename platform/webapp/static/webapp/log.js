/* The keys n and p go to the next and the previous line that was found. */

document.addEventListener("keydown", (event) => {
  const typing = event.target instanceof Element && event.target.closest("input, textarea, select");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || !["n", "p"].includes(event.key)) return;
  const links = [...document.querySelectorAll(".loglines .match > a")];
  if (!links.length) return;
  const here = links.indexOf(/** @type {Element} */ (document.activeElement));
  const next = here < 0 ? (event.key === "n" ? 0 : links.length - 1) : here + (event.key === "n" ? 1 : -1);
  const link = links[(next + links.length) % links.length];
  if (link instanceof HTMLElement) link.focus();
  link.scrollIntoView({ block: "center" });
});
if (location.hash === "#end") document.getElementById("end")?.scrollIntoView({ block: "end" });
