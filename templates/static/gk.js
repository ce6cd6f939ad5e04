"use strict";
// Everything here is a convenience: the pages work without it.

// "Show password": hidden again when the form is sent or the page is left.
for (const control of document.querySelectorAll("[data-reveal]")) {
  const input = document.getElementById(control.getAttribute("aria-controls"));
  const isBox = control.type === "checkbox";
  const show = on => {
    input.type = on ? "text" : "password";
    if (isBox) {
      control.checked = on;
      return;
    }
    control.textContent = on ? control.dataset.hide : control.dataset.show;
    control.setAttribute("aria-label", on ? control.dataset.hideLabel : control.dataset.showLabel);
  };
  (isBox ? control.parentElement : control).hidden = false;
  control.addEventListener("click", () => {
    const on = input.type === "password";
    show(on);
    if (!isBox) control.nextElementSibling.textContent = on ? control.dataset.shown : control.dataset.hidden;
  });
  input.form.addEventListener("submit", () => show(false));
  addEventListener("pagehide", () => show(false));
}

// Copying a key or recovery codes, one line each.
for (const button of document.querySelectorAll("button[data-copy]")) {
  if (!navigator.clipboard) break;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copy);
    const lines = [...source.querySelectorAll("li")].map(item => item.textContent.trim());
    await navigator.clipboard.writeText(lines.length ? lines.join("\n") : source.textContent.trim());
    button.nextElementSibling.textContent = button.dataset.done;
    button.textContent = button.dataset.done;
  });
}
for (const button of document.querySelectorAll("button[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => print());
}

// Times as this place writes them.
for (const element of document.querySelectorAll("time[data-local]")) {
  const at = new Date(element.dateTime);
  element.title = element.textContent;
  element.textContent = at.toLocaleString(document.documentElement.lang, { year: "numeric", month: "short", day: "numeric", hour: "numeric", minute: "2-digit", timeZoneName: "short" });
}

// A window over the sign-in page; Escape goes where its way back leads.
for (const dialog of document.querySelectorAll("dialog[data-modal]")) {
  document.querySelector(".behind")?.removeAttribute("hidden");
  dialog.close();
  dialog.showModal();
  dialog.addEventListener("cancel", event => {
    event.preventDefault();
    dialog.querySelector("a[data-close]")?.click();
  });
}

// One form, one request, however often the button is clicked.
for (const form of document.forms) {
  let sent = false;
  form.addEventListener("submit", event => {
    if (sent) {
      event.preventDefault();
      return;
    }
    sent = true;
    const button = event.submitter ?? form.querySelector("button:not([type=button])");
    if (button) {
      button.setAttribute("aria-busy", "true");
      if (button.dataset.busy) button.textContent = button.dataset.busy;
    }
  });
}

// A page from the back/forward cache may be of another session, with a form that was sent already.
addEventListener("pageshow", event => {
  if (event.persisted) location.reload();
});

// Signed in again in a window of its own: the application's tabs hear of it (session.js).
for (const part of document.querySelectorAll("[data-signed-in]")) {
  if (self.BroadcastChannel) new BroadcastChannel(`gatekeeper:${part.dataset.signedIn}`).postMessage({ type: "back" });
  close();
}

const fragment = location.hash;
if (fragment.length > 1) {
  // The part after # never reaches the server: the address to return to takes it along.
  for (const input of document.querySelectorAll("input[data-keep-fragment]")) {
    if (!input.value.includes("#")) input.value += fragment;
  }
  for (const link of document.querySelectorAll("a[data-keep-fragment]")) {
    const address = new URL(link.href);
    const next = address.searchParams.get("next") ?? "/";
    if (next.includes("#")) continue;
    address.searchParams.set("next", next + fragment);
    link.href = address.href;
  }
  // The code of a one-time link is taken out of the address, then nobody need see it.
  for (const part of document.querySelectorAll("[data-from-fragment]")) {
    const input = document.getElementById(part.dataset.fromFragment);
    input.value = fragment.slice(1);
    part.hidden = true;
  }
} else {
  for (const part of document.querySelectorAll("[data-from-fragment]")) {
    const input = document.getElementById(part.dataset.fromFragment);
    part.hidden = input.value !== "" && input.getAttribute("aria-invalid") !== "true";
  }
}

document.querySelector("[data-focus]")?.focus();
