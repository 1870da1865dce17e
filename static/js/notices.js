// What this user wants to be told aloud (their settings), told by this browser while a page is open.

import { fill, gettext } from "./words.js";

const APART_MS = 2000; // between two tones, and two notifications of a kind, however much happens
const WORDS = {
  lost: (card) => fill(gettext("%(name)s is lost"), card),
  late: (card) => fill(gettext("%(name)s is late"), card),
  stuck: (card) => fill(gettext("%(name)s stays %(state)s"), card),
};

export class Notices {
  /** `root` is the menu in the top bar, `wanted` the notifications of the user's settings. */
  constructor(root, wanted) {
    this.root = root;
    this.said = root.querySelector("[data-said]");
    this.allow = root.querySelector("[data-allow]");
    this.wanted = wanted;
    this.known = new Map(); // by exchange: its condition, epoch and host when they were last known
    this.held = new Map(); // by tag of what was shown just now: the newest words that came since, or null
    this.refused = ""; // what the browser said in place of showing a notification
    this.toneAt = -APART_MS;
    this.audio = null;
    this.silent = false; // while the browser lets no page make a sound
    this.allow.addEventListener("click", () => this.ask());
    root.querySelector("[data-try]")?.addEventListener("click", () => this.tell("try", gettext("Perseus tells you like this")));
    this.show();
  }

  async ask() {
    await Notification.requestPermission();
    this.show();
  }

  hears(exchange, condition) {
    const { conditions, exchanges } = this.wanted;
    return conditions.includes(condition) && (!exchanges.length || exchanges.includes(exchange));
  }

  /** What stands in the way is said: silence would look like calm. */
  show() {
    const { conditions, desktop, sound } = this.wanted;
    const lacks = [];
    const offered = "Notification" in window;
    this.allow.hidden = !desktop || !offered || Notification.permission !== "default";
    if (desktop && !offered) lacks.push(gettext("This browser has no notifications here: they need HTTPS."));
    else if (desktop && Notification.permission === "default") lacks.push(gettext("This browser has to be allowed to notify you."));
    else if (desktop && Notification.permission === "denied") lacks.push(gettext("This browser does not let Perseus notify you: allow it in its settings of this site."));
    if (this.refused) lacks.push(fill(gettext("This browser shows no notifications of pages: %(why)s"), { why: this.refused.slice(0, 200) }));
    if (this.silent) lacks.push(gettext("This browser lets Perseus make a tone once you have clicked anywhere in the page."));
    const words = lacks.join(" ");
    if (this.said.textContent !== words) this.said.textContent = words;
    this.root.dataset.on = String(conditions.length > 0 && (desktop || sound) && !lacks.length);
  }

  /** The cards as they are at this moment. What was so when the page came is no news. */
  look(cards) {
    for (const card of cards) {
      if (card.cond === "unknown" || card.cond === "unreadable") continue; // what was known before still counts
      const now = { condition: card.cond === "fresh" && card.stuck ? "stuck" : card.cond, epoch: card.epoch, host: card.host };
      const before = this.known.get(card.name);
      this.known.set(card.name, now);
      if (!before) continue;
      if (now.condition !== before.condition && now.condition in WORDS && this.hears(card.name, now.condition)) {
        this.tell(`${now.condition} ${card.name}`, WORDS[now.condition](card));
      }
      if (now.epoch && before.epoch && now.epoch !== before.epoch && now.host !== before.host && this.hears(card.name, "takeover")) {
        this.tell(`takeover ${card.name}`, fill(gettext("%(name)s was taken over by %(host)s"), card));
      }
    }
  }

  /** Entries that came live: the newest of each kind. */
  entries(exchange, entries) {
    const newest = (event) => entries.findLast((fields) => fields.event === event);
    const error = this.hears(exchange, "error") && newest("error");
    if (error) this.tell(`error ${exchange}`, `${exchange}: ${String(error.error ?? "").slice(0, 200)}`);
    const move = this.hears(exchange, "state_transition") && newest("state_transition");
    if (move) this.tell(`state ${exchange}`, `${exchange}: ${move.fromState} → ${move.toState}`);
  }

  tell(tag, words) {
    const { desktop, sound } = this.wanted;
    if (desktop && "Notification" in window && Notification.permission === "granted") this.notify(tag, words);
    if (sound) this.tone();
  }

  /** One of a kind at a time: what comes sooner after it waits, and the newest of that is shown. */
  notify(tag, words) {
    if (this.held.has(tag)) {
      this.held.set(tag, words);
      return;
    }
    this.held.set(tag, null);
    setTimeout(() => {
      const newest = this.held.get(tag);
      this.held.delete(tag);
      if (newest !== null) this.notify(tag, newest);
    }, APART_MS);
    try {
      const notification = new Notification(words, { tag: `perseus ${tag}`, renotify: true, body: location.host });
      notification.onclick = () => {
        window.focus();
        notification.close();
      };
      this.refused = "";
    } catch (error) {
      // Chrome on Android has the constructor and the permission, and throws: "Illegal constructor".
      this.refused = error.message;
    }
    this.show();
  }

  tone() {
    const moment = performance.now();
    if (moment - this.toneAt < APART_MS) return;
    this.toneAt = moment;
    this.audio ??= new AudioContext();
    if (this.audio.state === "suspended") this.wait();
    else this.sound();
  }

  /** Until somebody presses something a page may make no sound. Then it makes one, if that is still news. */
  wait() {
    if (this.silent) return;
    this.silent = true;
    const wake = async () => {
      await this.audio.resume(); // it may be allowed to already; else this waits for a press, and is asked again then
      if (!this.silent) return;
      this.silent = false;
      removeEventListener("pointerdown", wake);
      this.show();
      if (performance.now() - this.toneAt < APART_MS) this.sound();
    };
    addEventListener("pointerdown", wake);
    wake();
    this.show();
  }

  sound() {
    const [from, volume, oscillator] = [this.audio.currentTime, this.audio.createGain(), this.audio.createOscillator()];
    oscillator.frequency.value = 660;
    volume.gain.setValueAtTime(0.2, from);
    volume.gain.exponentialRampToValueAtTime(0.001, from + 0.6);
    oscillator.connect(volume).connect(this.audio.destination);
    oscillator.start(from);
    oscillator.stop(from + 0.6);
  }
}
