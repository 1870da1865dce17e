// Rows from the server: what is older or newer than those in the document, and the newest ones.

import { fill, gettext } from "./words.js";

const PATIENCE_MS = 15000;

/** The server's rows, as elements of this document: from another one they would have to be adopted, one by one. */
function parse(html) {
  const range = document.createRange();
  range.selectNodeContents(document.querySelector("[data-rows]"));
  return range.createContextualFragment(html);
}

export class Reach {
  constructor(filter) {
    this.filter = filter;
    this.asked = null; // one request at a time: the newest wish wins
  }

  /** The path and query of this page with other parameters of the list. */
  link(parameters) {
    const query = new URLSearchParams({ ...this.filter, ...parameters }).toString();
    return `${location.pathname}${query ? `?${query}` : ""}`;
  }

  get busy() {
    return this.asked !== null;
  }

  cancel() {
    this.asked?.abort();
    this.asked = null;
  }

  /** `{rows, end}` with the rows' elements and the list's last one; null where it was cancelled. Throws what to say. */
  async fetch(parameters) {
    this.cancel();
    const asked = new AbortController();
    this.asked = asked;
    const timer = setTimeout(() => asked.abort(new Error(gettext("the server does not answer"))), PATIENCE_MS);
    try {
      const response = await fetch(this.link({ ...parameters, rows: "1" }), { signal: asked.signal });
      if (response.redirected) throw new Error(gettext("you are signed out"));
      const text = await response.text();
      if (!response.ok) throw new Error(response.status === 503 ? text : fill(gettext("the server answered %(status)s"), { status: response.status }));
      if (this.asked !== asked) return null;
      const rows = [...parse(text).children];
      const end = rows.pop();
      await new Promise((resolve) => setTimeout(resolve)); // reading it is one task, showing it another
      return this.asked === asked ? { rows, end } : null;
    } catch (error) {
      if (this.asked !== asked) return null;
      throw error;
    } finally {
      clearTimeout(timer);
      if (this.asked === asked) this.asked = null;
    }
  }
}
