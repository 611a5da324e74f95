// Keeps the page up to date: the challenge page by messages that carry what is shown, the Activity page by messages that say
// that there is something new. Everything also works without this file, by reloading.
"use strict";
(() => {
  const region = document.getElementById("live");
  if (!region) return;
  const address = region.dataset.events;

  // Times in the reader's own time zone, and countdowns, which run by this machine's clock from what the server said.
  const counters = new Map();
  const waits = new Map();
  function dress() {
    for (const time of region.querySelectorAll("time[data-local]")) {
      const at = new Date(time.dateTime);
      if (!Number.isNaN(at.getTime())) time.textContent = at.toLocaleTimeString();
    }
    counters.clear();
    waits.clear();
    for (const timer of region.querySelectorAll("[data-left-ms]")) {
      counters.set(timer, performance.now() + Number(timer.dataset.leftMs));
    }
    for (const button of region.querySelectorAll("[data-wait-ms]")) {
      const rest = document.createElement("span");
      button.append(" ", rest);
      button.disabled = true;
      waits.set(button, { end: performance.now() + Number(button.dataset.waitMs), rest });
    }
    code();
  }
  const seconds = (end) => Math.max(0, Math.ceil((end - performance.now()) / 1000));
  function count() {
    for (const [timer, end] of counters) timer.textContent = `${seconds(end)} s`;
    for (const [button, { end, rest }] of waits) {
      const left = seconds(end);
      rest.textContent = left ? `(in ${left} s)` : "";
      if (left) continue;
      button.disabled = false;
      waits.delete(button);
    }
  }

  // The button waits for a code, and is pressed once.
  function code() {
    const field = document.getElementById("code");
    const ok = document.getElementById("ok");
    if (!field || !ok) return;
    const look = () => {
      ok.disabled = !field.value.trim();
    };
    field.addEventListener("input", look);
    field.form.addEventListener("submit", () => {
      ok.disabled = true;
    });
    look();
  }

  // Replaces the live part; what was open stays open, what had the focus keeps it, what was on the screen stays there.
  function replace(html) {
    const open = [...region.querySelectorAll("details[open][data-key]")].map((one) => one.dataset.key);
    const focused = region.contains(document.activeElement) ? document.activeElement.id : "";
    const anchor = window.scrollY > 0
      ? [...region.querySelectorAll("[id]")].find((one) => one.getBoundingClientRect().top >= 0)
      : undefined;
    const id = anchor?.id;
    const top = anchor?.getBoundingClientRect().top ?? 0;
    const typed = document.getElementById("code")?.value;
    region.innerHTML = html;
    const field = document.getElementById("code");
    if (field && typed) field.value = typed;
    if (field && document.activeElement === document.body) field.focus({ preventScroll: true });
    for (const one of region.querySelectorAll("details[data-key]")) {
      one.open = open.includes(one.dataset.key);
    }
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    const now = id && document.getElementById(id);
    if (now) window.scrollBy(0, now.getBoundingClientRect().top - top);
    dress();
    count();
  }

  dress();
  count();
  setInterval(count, 500);
  if (!address) return;
  // A page that comes out of the browser's cache has no stream any more.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) window.location.reload();
  });

  // A stream that the server refuses does not come back by itself.
  function listen(onMessage, onLost) {
    const source = new EventSource(address);
    source.onmessage = (event) => onMessage(event.data, source);
    source.onerror = () => onLost(source);
    window.addEventListener("pagehide", () => source.close(), { once: true });
  }

  // Tells the gateway that the page of a challenge is open. A code can be typed nowhere else, so that who closes the page
  // gives up. What is listed among others is neither open nor closed.
  const page = crypto.getRandomValues(new Uint32Array(1))[0];
  let open = "";
  function tell(address, word) {
    const body = `${page} ${word}`;
    if (word === "gone") navigator.sendBeacon(address, body);
    else fetch(address, { method: "POST", body, keepalive: true }).catch(() => {});
  }
  function beat() {
    if (open) tell(open, document.hidden ? "hidden" : "visible");
  }
  function shown() {
    const before = open;
    open = region.querySelector("[data-seen]")?.dataset.seen ?? "";
    if (before && before !== open) tell(before, "elsewhere");
    for (const one of region.querySelectorAll("[data-listed]")) {
      if (one.dataset.listed !== before) tell(one.dataset.listed, "elsewhere");
    }
    if (open && open !== before) beat();
  }

  function challenge() {
    shown();
    setInterval(beat, 5000);
    document.addEventListener("visibilitychange", beat);
    window.addEventListener("pagehide", () => {
      if (open) tell(open, "gone");
      // Browsers also tell that a page is hidden now when it is gone.
      open = "";
    });
    const announce = document.getElementById("announce");
    listen(
      (data, source) => {
        const message = JSON.parse(data);
        if (message.done) source.close();
        if (message.mark === region.dataset.mark) return;
        region.dataset.mark = message.mark;
        replace(message.html);
        shown();
        document.title = `${message.title} – Portcullis`;
        if (announce) announce.textContent = `${message.title}. ${message.say}`;
      },
      (source) => {
        if (source.readyState === EventSource.CLOSED) setTimeout(() => window.location.reload(), 5000);
      },
    );
  }

  function activity() {
    const state = document.getElementById("live-state");
    const pause = document.getElementById("pause");
    let paused = false;
    let missed = false;
    let busy = false;
    const show = (name, words) => {
      if (!state || state.dataset.state === name) return;
      state.dataset.state = name;
      state.textContent = words;
    };
    async function refresh() {
      if (paused || busy) {
        missed = true;
        if (paused) show("news", "Paused – there is something new");
        return;
      }
      busy = true;
      missed = false;
      try {
        const answer = await fetch(region.dataset.fragment, { cache: "no-store" });
        if (answer.status === 401) window.location.assign("/sign-in");
        const html = answer.ok ? await answer.text() : "";
        // Somebody may have pressed the button meanwhile.
        if (answer.ok && paused) missed = true;
        else if (answer.ok) replace(html);
      } catch {
        show("off", "Not live – the gateway does not answer");
      } finally {
        busy = false;
      }
      if (missed && !paused) setTimeout(refresh, 1000);
    }
    if (pause) {
      pause.hidden = false;
      pause.addEventListener("click", () => {
        paused = !paused;
        pause.setAttribute("aria-pressed", String(paused));
        pause.textContent = paused ? "Resume" : "Pause";
        show(paused ? "paused" : "live", paused ? "Paused" : "Live");
        if (!paused && missed) refresh();
      });
    }
    let begun = false;
    const start = () => listen(
      (data) => {
        if (data === "signed-out") {
          window.location.assign("/sign-in");
          return;
        }
        if (!paused) show("live", "Live");
        // What happened between two streams was not told.
        if (data === "changed" || begun) refresh();
        begun = true;
      },
      (source) => {
        show("off", "Not live – trying again");
        if (source.readyState === EventSource.CLOSED) {
          refresh();
          setTimeout(start, 5000);
        }
      },
    );
    start();
  }

  if (region.dataset.kind === "challenge") challenge();
  else activity();
})();
