-- Ask the owner to hand the exchange to a standby. The owner hears of it with its next heartbeat.
--
-- KEYS[1] status key S     KEYS[2] ownership hash O     KEYS[3] sorted set of standbys
-- ARGV[1] instanceId of the standby     ARGV[2] ms for which the owner heeds it
--
-- -> {'ASKED', epoch} | {'VACANT'} (nobody holds it) | {'LEGACY', value of S} (a holder that does not listen)
--  | {'NO_STANDBY'} (no live standby of that id)
local current = redis.call('GET', KEYS[1])
if not current then
  return {'VACANT'}
end
local o = fields(KEYS[2], 'owner', 'epoch', 'state')
if o.state ~= 'held' or identity(current, o.owner, o.epoch) ~= 'OURS' then
  return {'LEGACY', current}
end
local now = now_ms()
if number(redis.call('ZSCORE', KEYS[3], ARGV[1]) or '') <= now then
  return {'NO_STANDBY'}
end
redis.call('HSET', KEYS[2], 'wanted', ARGV[1], 'wanted_until', string.format('%.0f', now + ARGV[2]))
return {'ASKED', o.epoch}
