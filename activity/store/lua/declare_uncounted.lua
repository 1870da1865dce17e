-- Take the number of deaths that could only be counted, to be written down as one entry. Until `mark_uncounted_told`
-- every caller is given the same number, whatever is counted meanwhile, so that all of them write the same entry.
--
-- KEYS[1] status key S     KEYS[2] ownership hash O
--
-- -> {'UNCOUNTED', number, ms since 1970 at which it was first taken} | {'NONE'}
local o = fields(KEYS[2], 'uncounted_pending', 'lost_uncounted')
if o.uncounted_pending == '' then
  if number(o.lost_uncounted) <= 0 then
    return {'NONE'}
  end
  o.uncounted_pending = o.lost_uncounted .. '\n' .. string.format('%.0f', now_ms())
  redis.call('HSET', KEYS[2], 'uncounted_pending', o.uncounted_pending)
  redis.call('HDEL', KEYS[2], 'lost_uncounted')
end
local count, taken = string.match(o.uncounted_pending, '^(%d+)\n(%d+)$')
return {'UNCOUNTED', number(count), number(taken)}
