// Runs in the application's pages (upstream.session_script): who is signed in, for how long, and the way out.
// It adds one element, listens, and asks {prefix}/session; the page is never read or changed. How it works:
// docs/session-script.md.
"use strict";
(() => {
  // By the getter: `document.currentScript` may be an <img> of that name that somebody wrote into the page.
  const own = Object.getOwnPropertyDescriptor(Document.prototype, "currentScript").get.call(document);
  const { prefix, position = "top-right" } = own.dataset;
  const DEEDS = ["pointerdown", "pointermove", "keydown", "wheel", "touchmove", "popstate"];
  const LOOK = 8e3, LOOK_HIDDEN = 55e3, MARK = "x-gatekeeper-refused";
  // Not "scroll": pages scroll by themselves. A person does it by wheel, finger, key or with the pointer.
  const onDeeds = heard => DEEDS.forEach(name => addEventListener(name, event => {
    if (event.isTrusted && (name !== "pointermove" || event.movementX || event.movementY)) heard();
  }, { capture: true, passive: true }));

  if (top !== self) {
    onDeeds(() => { try { top.dispatchEvent(new Event("gatekeeper-active")); } catch { /* of another origin */ } });
    return;
  }
  if (Object.hasOwn(self, "gatekeeperSession")) return; // not an element's id
  Object.defineProperty(self, "gatekeeperSession", { value: true });

  const realFetch = self.fetch;
  const id = Math.random().toString(36);
  const others = new Set();
  let channel, page, state, anchor, ended, asked, heard = 0, deed, reported = -1e9, lost, later, leaving;
  let held = [], clock = Date.now(), monotonic = performance.now();

  // What the server says. Times are its own; from then on a clock counts that nobody can set.
  const left = end => end === null ? Infinity : end - state.now - (performance.now() - anchor) / 1e3;

  async function ask(path, method = "POST") {
    const at = performance.now();
    asked = at;
    try {
      const answer = await realFetch.call(self, `${prefix}/session${path}`, {
        method, cache: "no-store", redirect: "error", headers: { "x-gatekeeper-session": "1" },
      });
      const said = await answer.json();
      if (answer.ok) return accept(said, at, true, path.startsWith("/active"));
      if (answer.status === 401) over(said.error.replace("session_", ""), true);
    } catch { /* no network just now: asked again soon */ }
    return false;
  }
  const look = () => ask("/pulse");

  function accept(said, at, tell, active) {
    heard = performance.now();
    if (said.texts) page = said;
    if (!page) return false;
    if (state && state.since === said.since && said.idle_end < state.idle_end) said.idle_end = state.idle_end;
    if (state && state.since !== said.since) later = false;
    state = said;
    anchor = at;
    if (said.user !== page.user) return show("other", said.user, page.user), false;
    if (active) reported = at;
    if (tell) say("state", { state: { ...said, texts: undefined, csrf: undefined }, active });
    if (ended || shown === "other") {
      ended = "";
      hide();
      if (lost) show("lost");
      ask("", "GET"); // the form token of the new session
    }
    held.splice(0).forEach(resume => resume());
    return true;
  }

  function over(reason, tell) {
    heard = performance.now();
    if (!page || leaving) return;
    if (reason === "replaced" && ended !== "replaced" && tell) {
      ended = reason; // its id has just changed; the new cookie is there by now
      return void ask("", "GET");
    }
    if (ended !== reason) {
      ended = reason;
      show("over");
      if (tell) say("over", { reason });
    }
  }

  // The other tabs.
  const say = (type, more) => channel?.postMessage({ type, id, ...more });

  function join() {
    // The beacon of the page before may be slower than our own first request, and must not have the last word.
    setTimeout(look, 2500);
    others.clear();
    if (!self.BroadcastChannel) return;
    channel = new BroadcastChannel(`gatekeeper:${prefix}`);
    channel.onmessage = ({ data }) => {
      if (data.type === "hello") say("here");
      if (data.type === "hello" || data.type === "here") others.add(data.id);
      if (data.type === "state") accept(data.state, performance.now(), false, data.active);
      if (data.type === "over") over(data.reason, false);
      if (data.type === "back") ask("", "GET");
      if (data.type === "bye") {
        others.delete(data.id);
        if (data.last) look(); // it did not know of this tab
      }
    };
    say("hello");
  }

  addEventListener("pagehide", () => {
    if (!page) return;
    const last = !others.size && !ended && !leaving;
    say("bye", { last });
    channel?.close();
    channel = null;
    const report = new URLSearchParams();
    if (deed !== undefined) report.set("ago", (performance.now() - deed) / 1e3);
    if (last) report.set("last", 1);
    deed = undefined;
    if (`${report}`) navigator.sendBeacon?.(`${prefix}/session/closing?${report}`);
  });
  addEventListener("pageshow", ({ persisted }) => { if (persisted && page) join(), ask("", "GET"); });

  // Every second: is it time to report, to look, to warn?
  function tick() {
    const now = performance.now(), jump = Date.now() - clock - (now - monotonic), before = monotonic;
    clock += jump + now - monotonic;
    monotonic = now;
    if (!page) return;
    if (jump > 5e3) { // slept, and the monotonic clock with it: everything was so much longer ago
      anchor -= jump;
      if (deed !== undefined) deed -= jump;
    }
    const quiet = now - Math.max(heard, asked) > (document.hidden ? LOOK_HIDDEN : LOOK) - 500;
    if (quiet || jump > 5e3 || now - before > 65e3) look();
    if (ended || shown === "other") return;
    if (deed !== undefined && now - reported >= state.report_every * 1e3) return report();
    const idle = left(state.idle_end), absolute = left(state.absolute_end), end = Math.min(idle, absolute);
    if (end > state.warn_before) {
      if (shown === "idle" || shown === "absolute") hide();
    } else if (end <= 0) {
      if (now - asked > 1500) look();
    } else if (absolute <= idle) {
      if (!later) warn("absolute", end);
    } else if (deed !== undefined) {
      report();
    } else {
      warn("idle", end);
    }
  }

  function report() {
    const at = deed;
    deed = undefined;
    reported = performance.now();
    ask(`/active?ago=${((reported - at) / 1e3).toFixed(1)}`).then(told => { if (!told && !ended) deed ??= at; });
  }
  const did = () => { if (shown !== "idle") deed = performance.now(); };
  const stay = () => { deed = performance.now(); report(); };

  let asking;
  async function warn(kind, end) {
    if (shown !== kind) {
      // Another tab, or another server process, may know better.
      if (asking) return;
      asking = true;
      await look();
      asking = false;
      if (ended || left(state[`${kind}_end`]) > state.warn_before) return;
      show(kind);
    }
    const seconds = Math.max(0, Math.ceil(end)), text = `${Math.floor(seconds / 60)}:${`${seconds % 60}`.padStart(2, 0)}`;
    count.textContent = text;
    if ([60, 30, 15].includes(seconds)) live.textContent = page.texts[kind].replace("{0}", text);
  }

  // What the page asks by itself while nobody is signed in: a fetch that only reads waits, and is sent again;
  // everything else fails as it would without us, and the person is told.
  const refused = reason => {
    if (!page || !/^(unauthenticated|session_)/.test(reason ?? "")) return false;
    look();
    return true;
  };
  self.fetch = async function fetch(input, options) {
    const answer = await realFetch.apply(this, arguments);
    if (answer.status !== 401 || answer.type !== "basic" || !refused(answer.headers.get(MARK))) return answer;
    if (!/^(GET|HEAD)$/i.test(options?.method ?? input?.method ?? "GET")) {
      lost = true;
      return answer;
    }
    await new Promise(resume => {
      held.push(resume);
      (options?.signal ?? input?.signal)?.addEventListener("abort", resume);
    });
    return realFetch.apply(this, arguments);
  };
  const { send } = XMLHttpRequest.prototype;
  XMLHttpRequest.prototype.send = function () {
    this.addEventListener("load", () => {
      const ours = this.status === 401 && this.responseURL.startsWith(`${location.origin}/`);
      if (ours && refused(this.getResponseHeader(MARK))) lost = true;
    });
    return send.apply(this, arguments);
  };

  // What can be seen of it: one element with a shadow root, which neither gets nor gives style.
  const make = (name, values = {}, ...inside) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(values)) {
      if (key === "class" || key.includes("-") || key === "role") element.setAttribute(key, value);
      else element[key] = value;
    }
    element.append(...inside);
    return element;
  };
  const host = make("gatekeeper-session"), root = host.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  root.adoptedStyleSheets = [sheet]; // no policy forbids this one, and none of the page's rules apply

  const face = make("i", { "aria-hidden": "true" }), name = make("b"), who = make("p", { "role": "presentation" });
  const me = make("button", { class: "me", type: "button", "aria-haspopup": "menu", "aria-expanded": "false" }, face, name);
  const account = make("a", { role: "menuitem", tabIndex: -1 });
  const logout = make("button", { role: "menuitem", type: "button", tabIndex: -1, onclick: () => leave() });
  const items = [account, logout];
  const menu = make("div", { class: "menu", hidden: true }, who, make("div", { role: "menu" }, ...items));
  const frame = make("div", { class: `frame ${position.replace("-", " ")}`, role: "region" }, me, menu);
  const live = make("div", { class: "live", role: "status" }), count = make("span", { class: "count" });
  let dialog, shown;

  function draw() {
    if (!host.isConnected) document.documentElement.append(host); // beside the body: some replace theirs
    host.dir = getComputedStyle(document.documentElement).direction;
    if (frame.parentNode) return;
    const called = page.name || page.user, words = called.trim().split(/\s+/);
    host.lang = page.lang;
    face.dataset.as = [words[0], words.length > 1 ? words.at(-1) : ""].map(word => [...word][0] ?? "").join("").toUpperCase();
    name.textContent = called;
    me.setAttribute("aria-label", called);
    who.textContent = page.user;
    frame.setAttribute("aria-label", page.texts.region);
    menu.lastChild.setAttribute("aria-label", called);
    account.href = page.account;
    account.textContent = page.texts.account;
    logout.textContent = page.texts.logout;
    root.append(frame, live);
  }

  function toggle(on, item) {
    if (on) draw();
    menu.hidden = !on;
    me.setAttribute("aria-expanded", on);
    if (on) (item ?? account).focus();
  }
  me.onclick = () => ended ? show("over") : toggle(menu.hidden);
  frame.onkeydown = event => {
    const open = !menu.hidden, at = items.indexOf(root.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at < 0 ? -1 : at - 1, Home: 0, End: -1 }[event.key];
    if (event.key === "Escape" && open) toggle(false), me.focus();
    else if (event.key === "Tab") return void toggle(false);
    else if (to !== undefined && (open || event.key.startsWith("Arrow"))) toggle(true, items.at(to % items.length));
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  addEventListener("pointerdown", event => { if (!event.composedPath().includes(host)) toggle(false); }, true);

  async function leave() {
    leaving = true;
    let to = `${prefix}/logout`;
    try {
      const answer = await realFetch.call(self, `${prefix}/session/logout`, {
        method: "POST", headers: { "x-gatekeeper-session": "1" }, body: new URLSearchParams({ csrf: page.csrf }),
      });
      to = (await answer.json()).location ?? `${prefix}/signed-out`;
      if (answer.ok) say("over", { reason: "signed_out" });
    } catch { /* the page that asks is still there */ }
    location.assign(to);
  }
  const again = () => open(page.sign_in, "gatekeeper", "popup,width=480,height=720");

  function hide() {
    dialog?.close();
    dialog?.remove();
    dialog = shown = undefined;
  }

  function show(kind, ...values) {
    if (shown === kind) hide();
    hide();
    draw();
    toggle(false);
    shown = kind;
    const modal = kind !== "absolute" && kind !== "lost", { texts } = page, button = (label, onclick, main) =>
      make("button", { type: "button", textContent: texts[label], onclick, autofocus: main && modal, class: main ? "p" : "" });
    const [before, after] = (kind === "over" ? texts[`over_${ended}`] ?? texts.over_other : texts[kind])
      .replace(kind === "other" ? /\{([01])\}/g : /^$/, (_, at) => values[at]).split("{0}");
    const text = make("p", { id: "text" }, before, ...(after === undefined ? [] : [count, after]));
    const dismiss = () => hide();
    const put = () => { later = true; hide(); };
    const [buttons, escape] = {
      idle: [[button("stay", stay, true), button("logout", leave)], stay],
      absolute: [[button("again", again, true), button("later", put)], put],
      over: [[button("again", again, true), button("close", dismiss)], dismiss],
      other: [[button("reload", () => location.reload(), true)], dismiss],
      lost: [[button("close", () => { lost = false; hide(); }, true)], dismiss],
    }[kind];
    const more = kind === "over" ? [make("p", {}, texts.over), ...(lost ? [make("p", {}, texts.lost)] : [])] : [];
    const row = make("div", { class: "row" }, ...buttons);
    dialog = make("dialog", { role: "alertdialog", "aria-labelledby": "title", "aria-describedby": "text" },
      make("h2", { id: "title", textContent: texts[`${kind}_title`] }), text, ...more, row);
    dialog.oncancel = event => { event.preventDefault(); escape(); };
    root.append(dialog);
    if (!modal) {
      // Somebody may be typing: it is said, and takes the focus from nobody.
      dialog.setAttribute("role", "dialog");
      dialog.setAttribute("open", "");
      dialog.onkeydown = event => { if (event.key === "Escape") escape(); };
      live.textContent = `${texts[`${kind}_title`]}. ${text.textContent}`;
    } else {
      dialog.showModal();
    }
  }

  onDeeds(did);
  addEventListener("gatekeeper-active", did);
  for (const name of ["focus", "online"]) addEventListener(name, () => { if (page) look(); });
  document.addEventListener("visibilitychange", () => { if (page && !document.hidden) look(); });
  (async () => {
    if (!await ask("", "GET")) return; // nobody is signed in
    sheet.replaceSync(await (await realFetch.call(self, page.style)).text());
    draw();
    join();
    setInterval(tick, 1e3);
  })().catch(() => { page = null; }); // no network: then as if JavaScript was off
})();
