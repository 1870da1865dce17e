-- Put before every script about ownership. Decodes a status only to compare its identity and never re-encodes it:
-- cjson damages empty arrays and large integers. null, arrays, broken or deep JSON count as a writer without identity.
--
-- The ownership hash O = `{<status key>}:own`, without TTL. Times are milliseconds of this Redis' clock.
--   epoch, owner            of the last owner; owner is its instanceId
--   state                   held | released | lost_pending | lost_logged
--   prev, prev_epoch        the owner before
--   beat, until, payload    last claim or heartbeat, when the key then runs out, and the status as last written
--   not_before              after a takeover: before this moment the old owner may still be at work
--   handover, handover_until    after a release: the standby that alone may claim until then
--   wanted, wanted_until    the standby to which the owner is asked to hand over, heeded until then
--   lost:<epoch>            an owner that died and was succeeded before anybody wrote its death down:
--                           owner \n beat \n noticed \n payload
--   lost_uncounted          how many such deaths there were beyond those that are kept
--   uncounted_pending       that number while it is being written down: number \n moment at which it was taken

local function decoded(value)
  local readable, status = pcall(cjson.decode, value)
  return readable and type(status) == 'table' and status or {}
end

-- An epoch as digits, '' for what is none. Lua's numbers are exact up to 2^53.
local function digits_of(epoch)
  local whole = type(epoch) == 'number' and epoch >= 0 and epoch < 9007199254740992
  return whole and string.format('%.0f', epoch) or ''
end

-- Who wrote a status: 'OURS' | 'STOLEN' (another instance or epoch) | 'LEGACY' (no instanceId at all)
local function identity(value, instance, epoch)
  local status = decoded(value)
  if type(status.instanceId) ~= 'string' then
    return 'LEGACY'
  end
  if status.instanceId == instance and digits_of(status.epoch) == epoch then
    return 'OURS'
  end
  return 'STOLEN'
end

-- The identity that people are shown and a takeover carries back. An older writer's is a digest of what stays the same
-- while one process lives; where it has none of that, of the whole value.
local function token(value)
  local status = decoded(value)
  if type(status.instanceId) == 'string' then
    return status.instanceId .. '@' .. digits_of(status.epoch)
  end
  local text, known = '', false
  for _, name in ipairs({'exchangeName', 'hostname', 'registeredAt'}) do
    local field = status[name]
    if type(field) == 'string' then
      known = true
      text = text .. name .. ' ' .. #field .. ' ' .. field .. '\n'
    end
  end
  return 'older@' .. redis.sha1hex(known and text or value)
end

local function now_ms()
  local clock = redis.call('TIME')
  return tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
end

-- Several fields of O as one table: texts, '' where there is none.
local function fields(key, ...)
  local values, found = redis.call('HMGET', key, ...), {}
  for position, name in ipairs({...}) do
    found[name] = values[position] or ''
  end
  return found
end

local function number(text)
  return tonumber(text) or 0
end

-- Whether a writer may still touch a status: its identity stands in it, and O tells of no later owner, no death and no
-- release. An O that was lost or is older does not refuse: the claim that it should tell of is in the status.
local function guard(value, key, instance, epoch)
  local whose = identity(value, instance, epoch)
  if whose == 'OURS' then
    local o = fields(key, 'epoch', 'state')
    local newest, ours = number(o.epoch), number(epoch)
    if newest > ours or (newest == ours and o.state ~= 'held') then
      return 'STOLEN'  -- a newer epoch was given out, or this one has ended: it is never renewed
    end
  end
  return whose
end

-- The next epoch: above the last one, above the clock (past a lost O), above the caller's floor.
local function next_epoch(key, now, floor)
  return string.format('%.0f', math.max(number(redis.call('HGET', key, 'epoch') or '') + 1, now, number(floor) + 1))
end

-- Deaths that wait for a watcher, at the most. Beyond it the newest is only counted, in `lost_uncounted`; a watcher writes the number down.
local MOST_DEATHS = 100

-- Keep the last owner's death for the watchers, where it ended without a release and nobody wrote it down yet.
local function keep_death(key, successor, now)
  local o = fields(key, 'epoch', 'owner', 'state', 'beat', 'payload')
  if o.state == 'lost_pending' or (o.state == 'held' and o.owner ~= successor) then
    if redis.call('HLEN', key) < MOST_DEATHS + 16 then
      redis.call('HSET', key, 'lost:' .. o.epoch,
                 o.owner .. '\n' .. o.beat .. '\n' .. string.format('%.0f', now) .. '\n' .. o.payload)
    else
      redis.call('HINCRBY', key, 'lost_uncounted', 1)
    end
  end
end

-- Write the new owner into O and clear what was meant for its predecessor.
local function hold(key, epoch, owner, payload, now, ttl_ms)
  local last = fields(key, 'epoch', 'owner')
  redis.call('HSET', key, 'prev', last.owner, 'prev_epoch', last.epoch, 'epoch', epoch, 'owner', owner,
             'state', 'held', 'beat', string.format('%.0f', now), 'until', string.format('%.0f', now + ttl_ms),
             'payload', payload)
  redis.call('HDEL', key, 'not_before', 'handover', 'handover_until', 'wanted', 'wanted_until')
end

