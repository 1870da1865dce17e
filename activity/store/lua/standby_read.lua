-- The standbys that are alive. Writes nothing.
--
-- KEYS[1] hash of standbys     KEYS[2] sorted set of standbys (same slot)
--
-- -> {payload, ms that it still counts as alive, payload, ms, …}
local now, found = now_ms(), {}
local alive = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. string.format('%.0f', now), '+inf', 'WITHSCORES')
for position = 1, #alive, 2 do
  local payload = redis.call('HGET', KEYS[1], alive[position])
  if payload then
    found[#found + 1] = payload
    found[#found + 1] = alive[position + 1] - now
  end
end
return found
