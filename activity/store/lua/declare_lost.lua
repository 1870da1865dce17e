-- Declare an owner dead whose status ran out while it held the exchange. Exactly one caller wins per epoch.
--
-- KEYS[1] status key S     KEYS[2] ownership hash O
-- ARGV[1] epoch that the caller has seen in O
--
-- -> {'LOST', owner, beat in ms, ms since the key ran out, status as last written}
--  | {'NOT_LOST', why: 'alive' (S is there) | 'early' (S was deleted before its time: the owner may claim it anew)
--                      | 'changed' (another epoch) | 'over' (released, or declared before), ms to wait or 0}
if redis.call('EXISTS', KEYS[1]) == 1 then
  return {'NOT_LOST', 'alive', 0}
end
local o = fields(KEYS[2], 'epoch', 'owner', 'state', 'beat', 'until', 'payload')
if o.epoch ~= ARGV[1] then
  return {'NOT_LOST', 'changed', 0}
end
if o.state ~= 'held' then
  return {'NOT_LOST', 'over', 0}
end
local late = now_ms() - number(o['until'])
if late < 0 then
  return {'NOT_LOST', 'early', -late}
end
redis.call('HSET', KEYS[2], 'state', 'lost_pending')
return {'LOST', o.owner, number(o.beat), late, o.payload}
