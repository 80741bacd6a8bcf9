// Shows what is under way as it changes. Without it, the page shows that as it was when it
// was loaded.
"use strict";
(() => {
  const box = document.getElementById("live");
  const state = document.querySelector(".live-state");
  const [said, button] = [state.querySelector("span"), state.querySelector("button")];
  let source = null, paused = false;

  const say = (text) => { if (said.textContent !== text) said.textContent = text; };
  const stop = () => { if (source) { source.close(); source = null; } };
  const start = () => {
    if (source || paused || document.hidden) return;
    source = new EventSource("/live");
    source.onopen = () => say("Updated live.");
    source.onerror = () => say(source && source.readyState === EventSource.CLOSED ? "Not updated: load the page again." : "The connection is lost: trying again.");
    source.onmessage = (event) => { // what a person reads by keyboard or marks stays as it is
      const marked = document.getSelection();
      if (box.contains(document.activeElement) || marked && !marked.isCollapsed && box.contains(marked.anchorNode)) return;
      box.innerHTML = event.data;
    };
  };

  button.addEventListener("click", () => {
    paused = !paused;
    button.textContent = paused ? "Go on" : "Pause";
    if (paused) { stop(); say("Paused."); } else start();
  });
  // Browsers keep few connections to one host: a page that nobody sees needs none.
  document.addEventListener("visibilitychange", () => document.hidden ? stop() : start());
  state.hidden = false;
  start();
})();
