-- What stands behind a cursor at one moment, for a cluster: one script, where one server is asked within MULTI. Writes
-- nothing.
--
-- KEYS[1] stream
-- ARGV[1] the cursor's own id     ARGV[2] the id after it     ARGV[3] how many entries at the most
--
-- -> {rows of the cursor's id, rows behind it, the first row, last generated id or '' without a stream, length}
local held = redis.pcall('XRANGE', KEYS[1], ARGV[1], ARGV[1], 'COUNT', 1)
if held.err then
  return held
end
local rows = redis.call('XRANGE', KEYS[1], ARGV[2], '+', 'COUNT', ARGV[3])
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)
local newest, length = '', 0
if redis.call('EXISTS', KEYS[1]) == 1 then
  local info = redis.call('XINFO', 'STREAM', KEYS[1])
  for position = 1, #info, 2 do
    if info[position] == 'last-generated-id' then
      newest = info[position + 1]
    elseif info[position] == 'length' then
      length = info[position + 1]
    end
  end
end
return {held, rows, first, newest, length}
