"use strict";
// Filters the changes and opens or closes the diffs. The page is complete without this script.
(() => {
  const byId = (id) => document.getElementById(id);
  const changes = [...document.querySelectorAll("#changes article.change")];
  const days = [...document.querySelectorAll("#changes h3.day")];
  const texts = changes.map((change) => change.textContent.toLowerCase());
  const dayOf = new Map();
  let day = null;
  for (const element of document.querySelectorAll("#changes h3.day, #changes article.change")) {
    if (element.matches("h3")) day = element;
    else dayOf.set(element, day);
  }
  const filter = () => {
    const words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    const used = new Set();
    let count = 0;
    changes.forEach((change, number) => {
      const fits = words.every((word) => texts[number].includes(word));
      change.hidden = !fits;
      if (fits) {
        count += 1;
        used.add(dayOf.get(change));
      }
    });
    for (const heading of days) heading.hidden = !used.has(heading);
    byId("shown").textContent = words.length ? `${count} of ${changes.length} changes shown` : "";
  };
  const open = (state) => {
    for (const change of changes) {
      if (!change.hidden) for (const details of change.querySelectorAll("details")) details.open = state;
    }
  };
  const reveal = () => {
    const target = location.hash.length > 1 && byId(decodeURIComponent(location.hash.slice(1)));
    if (target && target.hidden) {
      byId("filter").value = "";
      filter();
      target.scrollIntoView();
    }
  };
  if (changes.length) byId("tools").hidden = false;
  byId("filter").addEventListener("input", filter);
  byId("expand").addEventListener("click", () => open(true));
  byId("collapse").addEventListener("click", () => open(false));
  addEventListener("hashchange", reveal);
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details")) details.open = true;
  });
})();
