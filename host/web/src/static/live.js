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

  // Opens the stream, and again after five seconds where the server refuses it, which browsers do not do by themselves. Each
  // stream takes one of the few connections that a browser has to a server: a page that need not follow while it is hidden
  // gives it back.
  function listen(onMessage, onLost, whileHidden) {
    let source;
    let retry;
    function stop() {
      clearTimeout(retry);
      source?.close();
    }
    function start() {
      stop();
      if (document.hidden && !whileHidden) return;
      source = new EventSource(address);
      source.onmessage = (event) => onMessage(event.data, stop);
      source.onerror = () => {
        onLost();
        if (source.readyState === EventSource.CLOSED) retry = setTimeout(start, 5000);
      };
    }
    window.addEventListener("pagehide", stop);
    if (!whileHidden) document.addEventListener("visibilitychange", () => (document.hidden ? stop() : start()));
    start();
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
      (data, stop) => {
        const message = JSON.parse(data);
        if (message.done) stop();
        if (message.mark === region.dataset.mark) return;
        region.dataset.mark = message.mark;
        replace(message.html);
        shown();
        document.title = `${message.title} – Portcullis`;
        if (announce) announce.textContent = `${message.title}. ${message.say}`;
      },
      () => {},
      true,
    );
  }

  function activity() {
    const state = document.getElementById("live-state");
    const pause = document.getElementById("pause");
    let paused = false;
    let missed = false;
    let busy = false;
    let again;
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
      let wait = 1000;
      try {
        const answer = await fetch(region.dataset.fragment, { cache: "no-store" });
        if (answer.status === 401) window.location.assign("/sign-in");
        if (!answer.ok) throw new Error(`status ${answer.status}`);
        const html = await answer.text();
        // Somebody may have pressed the button meanwhile.
        if (paused) {
          missed = true;
        } else {
          replace(html);
          show("live", "Live");
        }
      } catch {
        if (!paused) show("off", "Not live – the gateway does not answer");
        missed = true;
        wait = 5000;
      } finally {
        busy = false;
      }
      clearTimeout(again);
      if (missed && !paused && !document.hidden) again = setTimeout(refresh, wait);
    }
    if (pause) {
      pause.hidden = false;
      pause.addEventListener("click", () => {
        paused = !paused;
        pause.textContent = paused ? "Resume" : "Pause";
        show(paused ? "paused" : "live", paused ? "Paused" : "Live");
        if (!paused && missed) refresh();
      });
    }
    // What happened before the first stream, on a page that was opened in the background, or between two streams, was not told.
    let isStale = document.hidden;
    listen(
      (data) => {
        if (data === "signed-out") {
          window.location.assign("/sign-in");
          return;
        }
        if (data === "changed" || isStale) refresh();
        else if (!paused) show("live", "Live");
        isStale = true;
      },
      () => show("off", "Not live – trying again"),
      false,
    );
  }

  if (region.dataset.kind === "challenge") challenge();
  else activity();
})();
