// While a run goes on, fetch the page again and exchange what changed; rows are linked as a whole, and j/k walk them.
"use strict";

function exchange(fresh) {
  for (const id of ["summary", "rows"]) {
    const here = document.getElementById(id), there = fresh.getElementById(id);
    const busy = here && here.contains(document.activeElement);
    if (here && there && !busy && here.innerHTML !== there.innerHTML) here.replaceWith(document.adoptNode(there));
  }
  document.title = fresh.title;
}

async function again() {
  try {
    const answer = await fetch(location.href, { credentials: "same-origin" });
    if (answer.ok) exchange(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    // The server is away: the page stays as it is, and asks again.
  }
  watch();
}

function watch() {
  const live = document.querySelector("[data-live]");
  if (live) setTimeout(again, Number(live.dataset.live));
}

function walk(step) {
  const links = [...document.querySelectorAll("a.row, .tree a")];
  const at = links.indexOf(document.activeElement);
  const next = links[at < 0 && step < 0 ? links.length - 1 : at + step];
  if (next) next.focus();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || /INPUT|SELECT|TEXTAREA/.test(event.target.tagName)) return;
  if (event.key === "j") walk(1);
  if (event.key === "k") walk(-1);
  if (event.key === "/") {
    const field = document.querySelector("input[type=search]");
    if (field) { event.preventDefault(); field.focus(); }
  }
});
watch();
