-- Take an exchange that nobody holds, or that holds exactly the value which the caller has seen.
--
-- KEYS[1] status key S            KEYS[2] ownership hash O (same slot: its hash tag is S)
-- ARGV[1] TTL in seconds          ARGV[2] payload up to the epoch's digits    ARGV[3] payload after them
-- ARGV[4] epoch floor             ARGV[5] instanceId of the caller            ARGV[6] value to replace, '' for none
--
-- -> {'CLAIMED', epoch, payload} | {'BUSY', value of S, PTTL of S in ms}
-- The epoch rises with every owner, past a lost O (the clock) and past what the caller has seen elsewhere (the floor).
local current = redis.call('GET', KEYS[1])
if current and (ARGV[6] == '' or current ~= ARGV[6]) then
  return {'BUSY', current, redis.call('PTTL', KEYS[1])}
end
local clock = redis.call('TIME')
local epoch = math.max(
  (tonumber(redis.call('HGET', KEYS[2], 'epoch')) or 0) + 1,
  tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000),
  tonumber(ARGV[4]) + 1)
local digits = string.format('%.0f', epoch)
local payload = ARGV[2] .. digits .. ARGV[3]
redis.call('SET', KEYS[1], payload, 'EX', ARGV[1])
redis.call('HSET', KEYS[2], 'prev', redis.call('HGET', KEYS[2], 'owner') or '',
           'epoch', digits, 'owner', ARGV[5], 'state', 'held')
return {'CLAIMED', digits, payload}
