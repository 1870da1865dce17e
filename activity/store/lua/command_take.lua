-- Take a command: from here on it counts as carried out, whatever becomes of its instance.
--
-- KEYS[1] stream     KEYS[2] hash of what became of commands (same slot)
-- ARGV[1] correlationId     ARGV[2] ms of the entry's id     ARGV[3] ms after which it has expired
-- ARGV[4] ms that the hash lives     ARGV[5] taker, unique per process, as a JSON string
--
-- -> 'YOURS' (also to the same taker again, whose first answer was lost) | 'KNOWN' it was taken, or closed | 'EXPIRED'
local now = now_ms()
local known = redis.call('HGET', KEYS[2], ARGV[1])
if known then
  local report = decoded(known)
  local ours = report.progress == 'acknowledged' and '"' .. tostring(report.taker) .. '"' == ARGV[5]
  return ours and 'YOURS' or 'KNOWN'
end
local late = now - tonumber(ARGV[2]) > tonumber(ARGV[3])
local at = string.format('%.0f', now)
if late then
  redis.call('HSET', KEYS[2], ARGV[1], '{"progress":"expired","at":' .. at .. '}')
else
  redis.call('HSET', KEYS[2], ARGV[1], '{"progress":"acknowledged","at":' .. at .. ',"acknowledgedAt":' .. at
             .. ',"taker":' .. ARGV[5] .. '}')
end
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return late and 'EXPIRED' or 'YOURS'
