-- Write the full payload at once and leave the TTL as it is, only while the caller still owns the key.
--
-- KEYS[1] status key S     KEYS[2] ownership hash O
-- ARGV[1] TTL in seconds   ARGV[2] payload   ARGV[3] instanceId   ARGV[4] epoch
--
-- -> {'HELD'} | {'MISSING'} | {'STOLEN', value of S} | {'LEGACY', value of S}
local current = redis.call('GET', KEYS[1])
if not current then
  return {'MISSING'}
end
local whose = guard(current, KEYS[2], ARGV[3], ARGV[4])
if whose ~= 'OURS' then
  return {whose, current}
end
redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
redis.call('HSET', KEYS[2], 'payload', ARGV[2])
if redis.call('PTTL', KEYS[1]) < 0 then
  redis.call('EXPIRE', KEYS[1], ARGV[1])  -- somebody removed the TTL: a key without one would look alive for ever
end
return {'HELD'}
