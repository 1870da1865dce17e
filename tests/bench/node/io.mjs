// socket.io with its redis-streams adapter: every entry is emitted to everybody, as its documentation shows.
import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-streams-adapter";
import Redis from "ioredis";
import { Server } from "socket.io";

const [, , port, socket] = process.argv;
const http = createServer();
const io = new Server(http, {
  adapter: createAdapter(new Redis({ path: socket })),
  transports: ["websocket"],
  perMessageDeflate: false,
});
http.listen(Number(port), "127.0.0.1");
const redis = new Redis({ path: socket });
const newest = await redis.xrevrange("logs:network:bench", "+", "-", "COUNT", 1);
let last = newest.length ? newest[0][0] : "0-0";
for (;;) {
  const found = await redis.xread("COUNT", 512, "BLOCK", 4000, "STREAMS", "logs:network:bench", last);
  if (!found) continue;
  for (const [id, flat] of found[0][1]) {
    const entry = { id };
    for (let at = 0; at < flat.length; at += 2) entry[flat[at]] = flat[at + 1];
    io.emit("e", entry);
    last = id;
  }
}
