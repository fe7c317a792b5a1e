"use strict";

/* Runs before the page is painted: light or dark, as the reader has chosen before. */

document.documentElement.classList.remove("unscripted");
const DARK = matchMedia("(prefers-color-scheme: dark)");
const KEY = "session-scoping-theme";

/** A browser may forbid a page to store anything. */
function stored(...value) {
  try {
    return value.length ? localStorage.setItem(KEY, ...value) : localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function paint() {
  const name = stored() ?? (DARK.matches ? "dark" : "light");
  document.documentElement.style.colorScheme = name;
  const button = document.getElementById("theme");
  if (!button) return name;
  button.textContent = name === "dark" ? "Light" : "Dark";
  button.ariaLabel = `${button.textContent} colours`;
  return name;
}

paint();
DARK.addEventListener("change", paint);
addEventListener("DOMContentLoaded", () => {
  paint();
  document.getElementById("theme").onclick = () => {
    stored(paint() === "dark" ? "light" : "dark");
    paint();
  };
  addEventListener("beforeprint", () => document.querySelectorAll("details:not(.page)").forEach((one) => (one.open = true)));
});
