// A page that was made while Redis was away is asked for again, once, when it is back.

const RELOAD_MS = 10000; // between two reloads by itself: whoever answers now and not then is not asked without end
const LAST = "perseus-mended";

/** For such a page: what is to be told whether the server can read Redis. */
export function mender() {
  let timer = 0;
  return (available) => {
    if (!available) {
      clearTimeout(timer);
      timer = 0;
    } else if (!timer) {
      let before = 0;
      try {
        before = Number(sessionStorage.getItem(LAST));
      } catch {
        // Storage is forbidden in this browser: then every reload waits.
        before = Date.now();
      }
      timer = setTimeout(() => {
        try {
          sessionStorage.setItem(LAST, String(Date.now()));
        } catch {
          // As above.
        }
        location.reload();
      }, Math.min(RELOAD_MS, Math.max(0, before + RELOAD_MS - Date.now())));
    }
  };
}
