"use strict";
// Copies commands, opens and closes diffs, and guards the choice of two samples. Every page is complete without it.
(() => {
  for (const button of document.querySelectorAll("button.copy")) {
    button.hidden = !navigator.clipboard;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(button.previousElementSibling.textContent);
        button.textContent = "Copied";
      } catch {
        button.textContent = "Not permitted";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
  }
  const tools = document.getElementById("tools");
  if (tools) {
    tools.hidden = false;
    const setAll = (open) => { for (const details of document.querySelectorAll("details.diffs")) details.open = open; };
    document.getElementById("expand").addEventListener("click", () => setAll(true));
    document.getElementById("collapse").addEventListener("click", () => setAll(false));
  }
  const compare = document.getElementById("compare");
  if (compare) {
    const button = document.getElementById("compare-button");
    const check = () => {
      const [from, to] = ["from", "to"].map((name) => compare.querySelector(`input[name=${name}]:checked`));
      button.disabled = !from || !to || from.value === to.value;
    };
    compare.addEventListener("change", check);
    check();
  }
  for (const link of document.querySelectorAll("a.json")) {
    const address = new URL(location.href);
    address.searchParams.set("format", "json");
    address.hash = "";
    link.href = address.href;
  }
})();
