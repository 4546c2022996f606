// What every page has: the theme, copying, sorting tables, and choosing two versions. Pages are whole without it.
import { announce } from "./text.js";
import { members } from "./chosen.js";

function themeSwitch() {
  const button = document.getElementById("theme");
  const order = ["auto", "light", "dark"];
  const show = () => {
    const now = document.documentElement.dataset.theme || "auto";
    button.querySelector("span").textContent = now;
  };
  button.addEventListener("click", () => {
    const now = document.documentElement.dataset.theme || "auto";
    const next = order[(order.indexOf(now) + 1) % order.length];
    if (next === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    try {
      if (next === "auto") localStorage.removeItem("modhub-theme");
      else localStorage.setItem("modhub-theme", next);
    } catch {
      // It holds for this page.
    }
    show();
  });
  show();
  button.hidden = false;
}

async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without a secure connection there is no clipboard but this one.
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "unseen";
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    button.focus();
  }
  const before = button.textContent;
  button.textContent = "Copied";
  announce("Copied");
  setTimeout(() => {
    button.textContent = before;
  }, 1500);
}

function copying() {
  for (const button of document.querySelectorAll("button[data-copy], button[data-copy-from]")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      const from = button.dataset.copyFrom;
      copy(from ? document.getElementById(from).textContent : button.dataset.copy, button);
    });
  }
}

function valueOf(row, column) {
  const cell = row.cells[column];
  const number = cell.dataset.value;
  return number === undefined ? cell.textContent.trim() : Number(number);
}

function compare(one, other) {
  return typeof one === "number" && typeof other === "number"
    ? one - other
    : String(one).localeCompare(String(other), undefined, { numeric: true });
}

function sorting() {
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      if (!head.textContent.trim() || head.querySelector(".unseen")) return;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const falling = head.getAttribute("aria-sort") !== "descending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", falling ? "descending" : "ascending");
        const body = table.tBodies[0];
        const rows = [...body.rows].sort((a, b) => compare(valueOf(a, column), valueOf(b, column)));
        body.append(...(falling ? rows.reverse() : rows));
        announce(`Sorted by ${head.textContent.trim()}, ${falling ? "descending" : "ascending"}`);
      });
    });
  }
}

function versions() {
  for (const form of document.querySelectorAll("form[data-pairs]")) {
    const rows = [...document.querySelectorAll("table[data-pairs-table] tbody tr")];
    const [older, newer] = form.querySelectorAll("select");
    const show = () => {
      const found = rows.find((row) => row.dataset.older === older.value && row.dataset.newer === newer.value);
      for (const row of rows) row.classList.toggle("here", row === found);
      const output = form.querySelector("output");
      if (!found) {
        output.textContent = older.value === newer.value ? "the same version" : "these two were not compared";
        return;
      }
      const [, , toggled, kept, recall, precision, network] = [...found.cells].map((cell) => cell.textContent);
      output.textContent =
        `${toggled} nodes toggled, ${kept} kept, recall ${recall} points, precision ${precision} points, ${network}`;
    };
    const rank = new Map([...older.options].map((option, number) => [option.value, number]));
    form.addEventListener("change", () => {
      if (rank.get(older.value) > rank.get(newer.value)) [older.value, newer.value] = [newer.value, older.value];
      show();
    });
    older.selectedIndex = Math.max(0, older.options.length - 2);
    form.hidden = false;
    show();
  }
}

export function showCount() {
  const badge = document.getElementById("composer-count");
  const count = members().length;
  badge.textContent = String(count);
  badge.hidden = count === 0;
}

themeSwitch();
copying();
sorting();
versions();
showCount();
addEventListener("storage", showCount);
