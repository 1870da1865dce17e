-- Append a command to an instance's stream, unless it is known already.
--
-- KEYS[1] stream     KEYS[2] hash of what became of commands (same slot)
-- ARGV[1] correlationId     ARGV[2] type     ARGV[3] payload     ARGV[4] issuedBy
-- ARGV[5] most that may wait     ARGV[6] ms that both keys live
--
-- -> {'SENT', id} | {'KNOWN'} it is in the hash | {'FULL', number}
local now = now_ms()
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 1 then
  return {'KNOWN'}
end
-- What is older than an hour was taken or has expired long ago.
redis.call('XTRIM', KEYS[1], 'MINID', string.format('%.0f', now - 3600000))
local length = redis.call('XLEN', KEYS[1])
if length >= tonumber(ARGV[5]) then
  return {'FULL', length}
end
local id = redis.call('XADD', KEYS[1], '*', 'correlationId', ARGV[1], 'type', ARGV[2], 'payload', ARGV[3],
                      'timestamp', string.format('%.0f', now), 'issuedBy', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[6])
if redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('PEXPIRE', KEYS[2], ARGV[6])
end
return {'SENT', id}
