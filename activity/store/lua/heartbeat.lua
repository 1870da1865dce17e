-- Write the full payload and bring the TTL back, only while the caller still owns the key. Never creates it.
--
-- KEYS[1] status key S     KEYS[2] ownership hash O     KEYS[3] sorted set of standbys (same slot)
-- ARGV[1] TTL in seconds   ARGV[2] payload   ARGV[3] instanceId   ARGV[4] epoch
--
-- -> {'HELD', instanceId of the live standby that the exchange is to be handed to or ''}
--  | {'MISSING'} | {'STOLEN', value of S} | {'LEGACY', value of S}
local current = redis.call('GET', KEYS[1])
if not current then
  return {'MISSING'}
end
local whose = guard(current, KEYS[2], ARGV[3], ARGV[4])
if whose ~= 'OURS' then
  return {whose, current}
end
local now = now_ms()
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[1])
redis.call('HSET', KEYS[2], 'epoch', ARGV[4], 'owner', ARGV[3], 'state', 'held',  -- repairs an O that was lost
           'beat', string.format('%.0f', now), 'until', string.format('%.0f', now + ARGV[1] * 1000),
           'payload', ARGV[2])
local o = fields(KEYS[2], 'wanted', 'wanted_until')
local wanted = o.wanted
if wanted ~= '' and (number(o.wanted_until) <= now
                     or number(redis.call('ZSCORE', KEYS[3], wanted) or '') <= now) then
  wanted = ''  -- asked too long ago, or of a standby that has gone meanwhile
end
return {'HELD', wanted}
