-- Delete the status, only while the caller still owns it: a release never deletes a successor.
--
-- KEYS[1] status key S     KEYS[2] ownership hash O
-- ARGV[1] instanceId       ARGV[2] epoch
--
-- -> {'HELD'} (was ours, now released) | {'MISSING'} | {'STOLEN', value of S} | {'LEGACY', value of S}
local current = redis.call('GET', KEYS[1])
if not current then
  return {'MISSING'}
end
local whose = identity(current, ARGV[1], ARGV[2])
if whose ~= 'OURS' then
  return {whose, current}
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[2], 'state', 'released')
return {'HELD'}
