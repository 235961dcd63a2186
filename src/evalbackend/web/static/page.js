// While a run goes on, fetch the page again and change what changed, in place: focus, scroll and selection stay.
// Rows are linked as a whole, and j/k walk them.
"use strict";

const SLOWER_MS = 30000; // between two announcements to a screen reader
let paused = false, timer = 0, told = 0, asked = 0;

function morph(here, there) {
  if (here.nodeType !== there.nodeType || here.nodeName !== there.nodeName) return here.replaceWith(there.cloneNode(true));
  if (here.nodeType !== Node.ELEMENT_NODE) {
    if (here.nodeValue !== there.nodeValue) here.nodeValue = there.nodeValue;
    return;
  }
  for (const { name } of [...here.attributes]) if (!there.hasAttribute(name)) here.removeAttribute(name);
  for (const { name, value } of there.attributes) if (here.getAttribute(name) !== value) here.setAttribute(name, value);
  const old = [...here.childNodes], fresh = [...there.childNodes];
  fresh.forEach((child, at) => (old[at] ? morph(old[at], child) : here.append(child.cloneNode(true))));
  old.slice(fresh.length).forEach((child) => child.remove());
}

function exchange(fresh) {
  const here = document.getElementById("live"), there = fresh.getElementById("live");
  if (!here || !there) return;
  const held = document.activeElement, address = held && held.getAttribute("href");
  const before = said(document), after = said(fresh), ended = before.word !== after.word;
  const anchor = scrollY > 0 && anchorOf(here, held);
  morph(here, there);
  document.title = fresh.title;
  const moved = address && held.getAttribute("href") !== address && linkTo(address);
  if (moved) moved.focus({ preventScroll: true });
  const now = anchor && linkTo(anchor.address);
  if (now) scrollBy(0, now.getBoundingClientRect().top - anchor.top);
  if (ended || (after.text !== before.text && Date.now() - told > SLOWER_MS)) announce(after.text);
}

// What is to stay where it is on the screen: the focus, or else the first row that is seen.
function anchorOf(here, held) {
  const seen = (link) => link.getBoundingClientRect().top >= 0 && link.getBoundingClientRect().top < innerHeight;
  const links = [held, ...here.querySelectorAll("a.row")];
  const link = links.find((one) => one && here.contains(one) && one.getAttribute("href") && seen(one));
  return link ? { address: link.getAttribute("href"), top: link.getBoundingClientRect().top } : null;
}

function linkTo(address) {
  return document.querySelector(`#live a[href="${CSS.escape(address)}"]`);
}

function said(page) {
  const found = page.getElementById("said");
  return { text: found ? found.textContent : "", word: found ? found.querySelector("strong").textContent : "" };
}

function announce(text) {
  told = Date.now();
  document.getElementById("announced").textContent = text;
}

function state(text, quiet) {
  const bar = document.getElementById("updates");
  bar.hidden = quiet;
  bar.querySelector("span").textContent = text;
  bar.querySelector("button").textContent = paused ? "Resume" : "Pause";
}

async function again() {
  clearTimeout(timer);
  const mine = ++asked; // an answer that comes after a pause, or after a later question, changes nothing
  try {
    const answer = await fetch(location.href, { credentials: "same-origin" });
    const text = answer.ok ? await answer.text() : "";
    if (mine !== asked) return;
    if (answer.ok) exchange(new DOMParser().parseFromString(text, "text/html"));
    watch(answer.ok ? "" : "The server refused the page; asking again");
  } catch {
    if (mine === asked) watch("The server does not answer; asking again");
  }
}

function watch(problem) {
  clearTimeout(timer);
  const live = document.querySelector("[data-live]");
  if (!live) return state("", true);
  const pace = Number(live.dataset.live);
  state(problem || (paused ? "Updates paused" : "Live"), !problem && !paused && pace > 5000);
  if (!paused && !document.hidden) timer = setTimeout(again, pace);
}

function walk(step) {
  const links = [...document.querySelectorAll("main a.row, .tree a")];
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
document.addEventListener("visibilitychange", () => {
  if (document.hidden) clearTimeout(timer);
  else if (!paused && document.querySelector("[data-live]")) again();
});
document.querySelector("#updates button").addEventListener("click", () => {
  paused = !paused;
  asked += 1;
  if (paused) watch(); else again();
});
watch();
