-- Take an exchange that nobody holds, or that holds exactly the value which the caller has seen.
--
-- KEYS[1] status key S            KEYS[2] ownership hash O (same slot: its hash tag is S)
-- ARGV[1] TTL in seconds          ARGV[2] payload up to the epoch's digits    ARGV[3] payload after them
-- ARGV[4] epoch floor             ARGV[5] instanceId of the caller            ARGV[6] value to replace, '' for none
-- ARGV[7] instanceId of an owner that the caller knows to be gone, '' for none
--
-- -> {'CLAIMED', epoch, payload} | {'BUSY', value of S, PTTL of S in ms}
--  | {'HANDED', instanceId that alone may claim, ms left}
--  | {'DELAYED', instanceId that may still be at work, ms left}: after a takeover, or since S was deleted before its time
local current = redis.call('GET', KEYS[1])
if current and (ARGV[6] == '' or current ~= ARGV[6]) then
  return {'BUSY', current, redis.call('PTTL', KEYS[1])}
end
local now = now_ms()
local o = fields(KEYS[2], 'owner', 'state', 'until', 'prev', 'not_before', 'handover', 'handover_until')
if o.handover ~= '' and o.handover ~= ARGV[5] and number(o.handover_until) > now then
  return {'HANDED', o.handover, number(o.handover_until) - now}
end
if number(o.not_before) > now then
  return {'DELAYED', o.prev, number(o.not_before) - now}
end
if not current and o.state == 'held' and o.owner ~= ARGV[5] and o.owner ~= ARGV[7] and number(o['until']) > now then
  return {'DELAYED', o.owner, number(o['until']) - now}
end
local seen = current and number(digits_of(decoded(current).epoch)) or 0
local epoch = next_epoch(KEYS[2], now, math.max(number(ARGV[4]), seen))
local payload = ARGV[2] .. epoch .. ARGV[3]
keep_death(KEYS[2], ARGV[5], now)
redis.call('SET', KEYS[1], payload, 'EX', ARGV[1])
hold(KEYS[2], epoch, ARGV[5], payload, now, ARGV[1] * 1000)
return {'CLAIMED', epoch, payload}
