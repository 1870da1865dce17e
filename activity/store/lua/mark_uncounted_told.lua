-- Note that the number which was taken at a moment is written down. May be repeated.
--
-- KEYS[1] status key S     KEYS[2] ownership hash O
-- ARGV[1] the moment, as `declare_uncounted` answered it
--
-- -> {'MARKED'} | {'NOT_MARKED'} (another number, or none, waits to be written down)
local pending = fields(KEYS[2], 'uncounted_pending').uncounted_pending
if pending ~= '' and string.match(pending, '\n(%d+)$') == ARGV[1] then
  redis.call('HDEL', KEYS[2], 'uncounted_pending')
  return {'MARKED'}
end
return {'NOT_MARKED'}
