-- Say what became of a command. Only what is acknowledged can succeed or fail; only what nobody took can expire.
--
-- KEYS[1] stream     KEYS[2] hash of what became of commands (same slot)
-- ARGV[1] correlationId     ARGV[2] succeeded | failed | expired     ARGV[3] text as JSON     ARGV[4] ms that the hash lives
--
-- -> what the hash says now
local known = redis.call('HGET', KEYS[2], ARGV[1])
local report = known and decoded(known) or {}
local now = string.format('%.0f', now_ms())
if (ARGV[2] == 'expired' and not known) or (ARGV[2] ~= 'expired' and report.progress == 'acknowledged') then
  local since = digits_of(report.acknowledgedAt)
  known = '{"progress":"' .. ARGV[2] .. '","at":' .. now .. ',"acknowledgedAt":' .. (since == '' and '0' or since)
          .. ',"text":' .. ARGV[3] .. '}'
  redis.call('HSET', KEYS[2], ARGV[1], known)
  redis.call('PEXPIRE', KEYS[2], ARGV[4])
end
return known
