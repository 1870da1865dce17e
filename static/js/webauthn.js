// Security keys: asks the browser for a key's answer to the options of the page, and sends it with the form.

import { fill, gettext } from "./words.js";

const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replace(/=+$/, "");

/** The options as the browser wants them: what the server wrote as base64url are bytes. */
function decoded(options) {
  const key = { ...options.publicKey, challenge: bytes(options.publicKey.challenge) };
  if (key.user) key.user = { ...key.user, id: bytes(key.user.id) };
  for (const list of ["excludeCredentials", "allowCredentials"]) {
    if (key[list]) key[list] = key[list].map((known) => ({ ...known, id: bytes(known.id) }));
  }
  return { publicKey: key };
}

/** The key's answer as JSON, in the form of the WebAuthn specification's toJSON(). */
function encoded(credential) {
  const response = { clientDataJSON: text(credential.response.clientDataJSON) };
  for (const part of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (credential.response[part]) response[part] = text(credential.response[part]);
  }
  return {
    id: credential.id,
    rawId: text(credential.rawId),
    type: credential.type,
    response,
    clientExtensionResults: credential.getClientExtensionResults(),
  };
}

for (const form of document.querySelectorAll("form[data-webauthn]")) {
  const said = form.querySelector("[data-webauthn-said]");
  form.querySelector("button").disabled = false; // without this script it would send an empty answer
  let answered = false;
  form.addEventListener("submit", async (event) => {
    if (answered) return; // this submit sends the answer
    event.preventDefault();
    said.hidden = true;
    try {
      const all = JSON.parse(document.getElementById("webauthn-options").textContent);
      const options = decoded(all.creation_options ?? all.request_options);
      const credential = await navigator.credentials[form.dataset.webauthn](options);
      form.querySelector("[name=credential]").value = JSON.stringify(encoded(credential));
      answered = true;
      form.requestSubmit();
    } catch (error) {
      said.textContent = fill(gettext("The key gave no answer: %(problem)s"), { problem: error.message });
      said.hidden = false;
    }
  });
}
