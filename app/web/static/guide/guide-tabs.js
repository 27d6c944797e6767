// The same lines in several languages: blocks one after another become tabs (ARIA APG, "Tabs").
"use strict";

globalThis.gatebookGuide ??= {};

(() => {
  const groups = [];

  const copied = document.createElement("p");
  copied.className = "visually-hidden";
  copied.setAttribute("role", "status");

  async function copy(text) {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    // Pages by plain http from another machine have no clipboard.
    const field = document.createElement("textarea");
    field.value = text;
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }

  function copyButton(name, text) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button second little copy";
    button.textContent = name;
    button.addEventListener("click", async () => {
      try {
        await copy(text());
        copied.textContent = "";
        copied.textContent = "Copied.";
        button.textContent = "Copied";
      } catch {
        button.textContent = "Select it by hand";
      }
      setTimeout(() => (button.textContent = name), 2000);
    });
    return button;
  }

  function choose(language) {
    for (const { tabs } of groups)
      for (const [tab, panel] of tabs) {
        const chosen = panel.dataset.tab === language;
        tab.setAttribute("aria-selected", String(chosen));
        tab.tabIndex = chosen ? 0 : -1;
        panel.hidden = !chosen;
      }
  }

  function move(tabs, from, key) {
    const last = tabs.length - 1;
    const to = { ArrowRight: from === last ? 0 : from + 1, ArrowLeft: from === 0 ? last : from - 1, Home: 0, End: last }[key];
    if (to === undefined) return false;
    const [tab, panel] = tabs[to];
    choose(panel.dataset.tab);
    tab.focus();
    return true;
  }

  function make(group) {
    const list = document.createElement("div");
    list.setAttribute("role", "tablist");
    list.setAttribute("aria-label", `${group.dataset.title}, as lines for`);
    const tabs = [...group.querySelectorAll("[data-tab]")].map((panel, place) => {
      const tab = document.createElement("button");
      tab.type = "button";
      tab.id = `tab-${panel.id}`;
      tab.textContent = panel.querySelector(".language").textContent;
      tab.setAttribute("role", "tab");
      tab.setAttribute("aria-controls", panel.id);
      tab.addEventListener("click", () => choose(panel.dataset.tab));
      tab.addEventListener("keydown", (event) => {
        if (!event.altKey && !event.ctrlKey && !event.metaKey && move(tabs, place, event.key)) event.preventDefault();
      });
      panel.querySelector(".language").hidden = true;
      panel.setAttribute("role", "tabpanel");
      panel.setAttribute("aria-labelledby", tab.id);
      panel.append(copyButton("Copy", () => panel.querySelector("code").textContent));
      list.append(tab);
      return [tab, panel];
    });
    group.prepend(list);
    groups.push({ tabs });
  }

  for (const group of document.querySelectorAll("[data-tabs]")) make(group);
  if (groups.length) choose(groups[0].tabs[0][1].dataset.tab);
  document.body.append(copied);
  gatebookGuide.copyButton = copyButton;
})();
