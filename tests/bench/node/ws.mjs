// The bare broadcaster: one XREAD BLOCK, what came together travels together, the same buffer to every socket.
import Redis from "ioredis";
import { WebSocketServer } from "ws";

const [, , port, socket] = process.argv;
const redis = new Redis({ path: socket });
const server = new WebSocketServer({ host: "127.0.0.1", port: Number(port), perMessageDeflate: false, maxPayload: 65536 });
let last = "$";
const newest = await redis.xrevrange("logs:network:bench", "+", "-", "COUNT", 1);
last = newest.length ? newest[0][0] : "0-0";
for (;;) {
  const found = await redis.xread("COUNT", 512, "BLOCK", 4000, "STREAMS", "logs:network:bench", last);
  if (!found) continue;
  const entries = found[0][1].map(([id, flat]) => {
    const entry = { id };
    for (let at = 0; at < flat.length; at += 2) entry[flat[at]] = flat[at + 1];
    return entry;
  });
  last = entries.at(-1).id;
  const text = Buffer.from(JSON.stringify({ type: "entries", exchange: "bench", entries }));
  for (const client of server.clients) if (client.readyState === 1) client.send(text, { binary: false });
}
