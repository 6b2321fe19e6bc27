"use strict";
// Security keys: the centre's question goes to the browser, the key's answer into the form.
(() => {
  if (!window.PublicKeyCredential) return;
  const token = document.querySelector('meta[name="csrf-token"]').content;
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (one) => one.charCodeAt(0));
  const base64url = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const credentials = (list) => (list ?? []).map((one) => ({ ...one, id: bytes(one.id) }));

  async function ask(url, form) {
    const answer = await fetch(url, {
      method: "POST", credentials: "same-origin", body: new URLSearchParams(new FormData(form)),
      headers: { "X-CSRFToken": token, Accept: "application/json" },
    });
    if (!answer.ok) throw new Error(String(answer.status));
    return answer.json();
  }
  async function signWith(url, form) {
    const question = await ask(url, form);
    const made = await navigator.credentials.get({ publicKey: {
      ...question, challenge: bytes(question.challenge), allowCredentials: credentials(question.allowCredentials),
    } });
    return { id: made.id, rawId: base64url(made.rawId), type: made.type, clientExtensionResults: {}, response: {
      clientDataJSON: base64url(made.response.clientDataJSON),
      authenticatorData: base64url(made.response.authenticatorData),
      signature: base64url(made.response.signature),
      userHandle: made.response.userHandle ? base64url(made.response.userHandle) : null,
    } };
  }
  async function make(url, form) {
    const question = await ask(url, form);
    const made = await navigator.credentials.create({ publicKey: {
      ...question, challenge: bytes(question.challenge), user: { ...question.user, id: bytes(question.user.id) },
      excludeCredentials: credentials(question.excludeCredentials),
    } });
    return { id: made.id, rawId: base64url(made.rawId), type: made.type, clientExtensionResults: {}, response: {
      clientDataJSON: base64url(made.response.clientDataJSON),
      attestationObject: base64url(made.response.attestationObject),
    } };
  }
  const wire = (button, act) => {
    const form = button.form;
    const code = form.elements.totp;
    const answer = form.querySelector("[data-key-answer]");
    button.hidden = false;
    button.addEventListener("click", async () => {
      // The key stands for the code; to add a key, the code is asked for.
      code.required = act === make;
      if (!form.reportValidity()) { code.required = true; return; }
      button.disabled = true;
      answer.value = "";
      try {
        answer.value = JSON.stringify(await act(button.dataset.url, form));
        // The code has been used for the question, and is worth nothing in the form.
        for (const name of act === make ? ["password", "totp"] : ["totp"]) form.elements[name].value = "";
        form.noValidate = true;
        form.requestSubmit();
      } catch {
        button.nextElementSibling.textContent = button.dataset.refused;
        button.disabled = false;
        code.required = true;
        if (act === make) code.value = "";
      }
    });
  };
  for (const button of document.querySelectorAll("[data-key-sign-in]")) wire(button, signWith);
  for (const button of document.querySelectorAll("[data-key-add]")) wire(button, make);
})();
