-- Put before every script that guards an owner. Decodes a status only to compare its identity and never re-encodes
-- it: cjson damages empty arrays and large integers. null, arrays, broken or deep JSON count as a writer without one.
--
-- identity(value, instance, epoch) -> 'OURS' | 'STOLEN' (another instance or epoch) | 'LEGACY' (no instanceId at all)
local function identity(value, instance, epoch)
  local readable, status = pcall(cjson.decode, value)
  if not readable or type(status) ~= 'table' or type(status.instanceId) ~= 'string' then
    return 'LEGACY'
  end
  if status.instanceId == instance and type(status.epoch) == 'number'
     and string.format('%.0f', status.epoch) == epoch then
    return 'OURS'
  end
  return 'STOLEN'
end

