-- Note that a death is written down, so that no watcher looks at it again. May be repeated.
--
-- KEYS[1] status key S     KEYS[2] ownership hash O
-- ARGV[1] epoch of the dead owner
--
-- -> {'MARKED'} | {'NOT_MARKED'} (nothing of that epoch waited to be written down)
local o = fields(KEYS[2], 'epoch', 'state')
local waited = redis.call('HDEL', KEYS[2], 'lost:' .. ARGV[1]) == 1
if o.epoch == ARGV[1] and o.state == 'lost_pending' then
  redis.call('HSET', KEYS[2], 'state', 'lost_logged')
  waited = true
end
return {waited and 'MARKED' or 'NOT_MARKED'}
