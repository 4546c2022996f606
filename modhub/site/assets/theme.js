// Runs before the page is drawn, so that nobody who chose a theme sees the other one first.
"use strict";
try {
  const chosen = localStorage.getItem("modhub-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // A browser that keeps nothing follows the system.
}
