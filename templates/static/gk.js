"use strict";
// Everything here is a convenience: the pages work without it.

// "Show password": hidden again when the form is sent or the page is left.
for (const button of document.querySelectorAll("button[data-reveal]")) {
  const input = document.getElementById(button.getAttribute("aria-controls"));
  const show = on => {
    input.type = on ? "text" : "password";
    button.textContent = on ? button.dataset.hide : button.dataset.show;
    button.setAttribute("aria-label", on ? button.dataset.hideLabel : button.dataset.showLabel);
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    const on = input.type === "password";
    show(on);
    button.nextElementSibling.textContent = on ? button.dataset.shown : button.dataset.hidden;
  });
  input.form.addEventListener("submit", () => show(false));
  addEventListener("pagehide", () => show(false));
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

const fragment = location.hash;
if (fragment.length > 1) {
  // The part after # never reaches the server: the address to return to takes it along.
  for (const input of document.querySelectorAll("input[data-keep-fragment]")) {
    if (!input.value.includes("#")) input.value += fragment;
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
