-- Take an exchange from its holder, if it is still the one that somebody was shown. The key keeps its TTL: the holder's
-- lease is shorter, so the new owner starts work when that TTL has run out, or when the old owner has said that it
-- stopped (release).
--
-- KEYS[1] status key S                     KEYS[2] ownership hash O
-- ARGV[1] TTL in seconds (used where S has none)      ARGV[2] payload up to the epoch's digits    ARGV[3] after them
-- ARGV[4] epoch floor                      ARGV[5] instanceId of the new owner
-- ARGV[6] token of the holder that was shown (see `token` and identify.lua)
--
-- -> {'TAKEN', epoch, payload, ms until work may start, 1 if the holder heeds epochs else 0, PTTL of S in ms}
--  | {'CONFLICT', value of S, PTTL of S in ms, its token} | {'VACANT'}
local current = redis.call('GET', KEYS[1])
if not current then
  return {'VACANT'}
end
local left = redis.call('PTTL', KEYS[1])
local shown = token(current)
if shown ~= ARGV[6] then
  return {'CONFLICT', current, left, shown}
end
left = left < 0 and ARGV[1] * 1000 or math.max(left, 1)
local now = now_ms()
local old = decoded(current)
local enforceable = type(old.instanceId) == 'string' and digits_of(old.epoch) ~= ''
-- Where the holder itself was still waiting for its predecessor, that wait is inherited.
local wait = math.max(now + left, number(fields(KEYS[2], 'not_before').not_before))
local epoch = next_epoch(KEYS[2], now, math.max(number(ARGV[4]), number(digits_of(old.epoch))))
local payload = ARGV[2] .. epoch .. ARGV[3]
redis.call('SET', KEYS[1], payload, 'PX', left)
hold(KEYS[2], epoch, ARGV[5], payload, now, left)
redis.call('HSET', KEYS[2], 'not_before', string.format('%.0f', wait))
if enforceable then  -- as the status says, should O have been lost: by this the old owner tells that it has stopped
  redis.call('HSET', KEYS[2], 'prev', old.instanceId, 'prev_epoch', digits_of(old.epoch))
end
return {'TAKEN', epoch, payload, wait - now, enforceable and 1 or 0, left}
