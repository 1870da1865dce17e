// The order of entries, newest first, as activity/store/history.py has it. Stream ids as text do not sort.

/** A key is [milliseconds, sequence, exchange]; `name` identifies the entry, since an id is unique per stream only. */
export const keyOf = (exchange, id) => {
  const [ms, sequence] = id.split("-");
  return [BigInt(ms), BigInt(sequence), exchange];
};
export const isNewer = (a, b) => (a[0] !== b[0] ? a[0] > b[0] : a[1] !== b[1] ? a[1] > b[1] : a[2] < b[2]);
export const newestFirst = (a, b) => (isNewer(a.key, b.key) ? -1 : isNewer(b.key, a.key) ? 1 : 0);
export const nameOf = (exchange, id) => `${id}@${exchange}`;
