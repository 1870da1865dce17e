-- Give an exchange back. The status is deleted only while the caller still owns it: a release never deletes a successor.
-- An owner that has lost the status says by the same call that it has stopped working: its end is then no death, and a
-- successor that took over need not wait any longer.
--
-- KEYS[1] status key S     KEYS[2] ownership hash O
-- ARGV[1] instanceId       ARGV[2] epoch
-- ARGV[3] instanceId of the standby that alone may claim for a while, '' for none     ARGV[4] that while in ms
--
-- -> {'HELD'} (was ours, now released) | {'MISSING'} | {'STOLEN', value of S} | {'LEGACY', value of S}
local now = now_ms()
local o = fields(KEYS[2], 'owner', 'epoch', 'state', 'prev', 'prev_epoch', 'not_before')
local current = redis.call('GET', KEYS[1])
local whose = current and identity(current, ARGV[1], ARGV[2]) or 'MISSING'
if whose == 'OURS' and number(o.epoch) > number(ARGV[2]) then
  whose = 'STOLEN'
end
if whose == 'OURS' then
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[2], 'epoch', ARGV[2], 'owner', ARGV[1], 'state', 'released')
  redis.call('HDEL', KEYS[2], 'wanted', 'wanted_until', 'handover', 'handover_until')
  if ARGV[3] ~= '' then
    redis.call('HSET', KEYS[2], 'handover', ARGV[3], 'handover_until', string.format('%.0f', now + ARGV[4]))
  end
  return {'HELD'}
end
if o.owner == ARGV[1] and o.epoch == ARGV[2] and o.state == 'held' then
  redis.call('HSET', KEYS[2], 'state', 'released')
elseif o.prev == ARGV[1] and o.prev_epoch == ARGV[2] and number(o.not_before) > now then
  redis.call('HDEL', KEYS[2], 'not_before')
end
return current and {whose, current} or {'MISSING'}
