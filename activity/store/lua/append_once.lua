-- Append an entry unless it already stands in the stream, however often and however late the call arrives.
--
-- KEYS[1] stream
-- ARGV[1] the entry's eventId        ARGV[2] an id below which the entry cannot stand (exclusive)
-- ARGV[3] oldest milliseconds kept   ARGV[4…] field, value, field, value, … with eventId among them
--
-- -> id of the entry, the one that stands already or the new one
local from = '(' .. ARGV[2]
while true do
  local rows = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', 500)
  for _, row in ipairs(rows) do
    for position = 1, #row[2], 2 do
      if row[2][position] == 'eventId' and row[2][position + 1] == ARGV[1] then
        return row[1]
      end
    end
  end
  if #rows < 500 then
    break
  end
  from = '(' .. rows[#rows][1]
end
return redis.call('XADD', KEYS[1], 'MINID', '~', ARGV[3], '*', unpack(ARGV, 4))
