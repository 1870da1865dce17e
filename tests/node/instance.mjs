// An exchange instance in Node, written from sections 1 to 3 of the wire contract and nothing else.
//
//   node instance.mjs SOCKET EXCHANGE_ID EXCHANGE_NAME HOSTNAME HEARTBEAT_SECONDS
//
// Prints one line per thing that it did; on "error TEXT" from stdin (JSON text) it records an error. Exit code 3 when
// another host holds the exchange.
import { createInterface } from 'node:readline'
import Redis from 'ioredis'

const [, , socket, id, name, hostname, seconds] = process.argv
const redis = new Redis({ path: socket, maxRetriesPerRequest: 1 })
const key = `exchange:${id}:status`
const stream = `logs:network:${name}`
const ttl = 3 * Number(seconds)
const now = () => new Date().toISOString()
const say = (what) => process.stdout.write(`${what}\n`)

const status = {
  exchangeId: Number(id), exchangeName: name, hostname, ipAddress: null, countryCode: null, adminEmail: null,
  adminDisplayName: null, connectionState: 'idle', symbolCount: 0, connectedAt: null, lastHeartbeat: now(),
  lastStateChange: now(), registeredAt: now(), lastError: null, lastErrorAt: null, bornIn: 'node',
}

const log = (fields) => redis.xadd(
  stream, 'MINID', '~', Date.now() - 90 * 24 * 3600 * 1000, '*', ...Object.entries(fields).flat())

async function register() {
  while (await redis.set(key, JSON.stringify(status), 'EX', ttl, 'NX') === null) {
    const held = await redis.get(key)
    if (held === null) continue // it vanished in between: claim again
    const holder = JSON.parse(held)
    if (holder.hostname !== hostname) {
      say(`conflict ${holder.hostname} ${holder.ipAddress} ${holder.connectedAt} ${await redis.ttl(key)}`)
      process.exit(3)
    }
    await redis.set(key, JSON.stringify(status), 'EX', ttl)
    break
  }
  say('registered')
}

async function go(state) {
  const from = status.connectionState
  status.connectionState = state
  status.lastStateChange = now()
  if (state === 'active') status.connectedAt = now()
  await redis.set(key, JSON.stringify(status), 'KEEPTTL')
  await log({ event: 'state_transition', timestamp: now(), fromState: from, toState: state, exchangeId: id,
    exchangeName: name, hostname, ip: '', adminEmail: '' })
  say(state)
}

async function error(text) {
  Object.assign(status, { lastError: text, lastErrorAt: now() })
  await redis.set(key, JSON.stringify(status), 'KEEPTTL')
  await log({ event: 'error', timestamp: now(), error: text, exchangeId: id, exchangeName: name, hostname, ip: '',
    state: status.connectionState })
  say('recorded')
}

async function beat() {
  status.lastHeartbeat = now()
  await redis.set(key, JSON.stringify(status), 'EX', ttl)
}

process.on('SIGTERM', async () => {
  await go('stopping')
  await go('stopped')
  await redis.del(key)
  process.exit(0)
})
await register()
for (const state of ['starting', 'warming', 'active']) await go(state)
setInterval(beat, 1000 * Number(seconds))
createInterface({ input: process.stdin }).on('line', (line) => error(JSON.parse(line)))
