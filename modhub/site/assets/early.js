// Runs before the page is drawn.
"use strict";
// Nobody who chose a theme sees the other one first.
try {
  const chosen = localStorage.getItem("modhub-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // A browser that keeps nothing follows the system.
}
// What the page preloads is there, and parsed, when the scripts run that search it.
globalThis.modhubEarly = new Map();
for (const { href } of document.querySelectorAll("link[rel=preload][as=fetch]")) {
  const file = fetch(href).then((answer) => (answer.ok ? answer.json() : Promise.reject(answer)));
  // Who needs it asks again, and tells what is wrong.
  file.catch(() => {});
  globalThis.modhubEarly.set(href, file);
}
