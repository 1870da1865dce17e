-- Statuses, their TTLs and what their ownership hashes say, as of one moment. Reads only.
--
-- KEYS[1..n] status keys     KEYS[n+1..2n] their ownership hashes     ARGV fields of a hash, the state first
--
-- -> {values, TTLs in milliseconds, owners}, each with n elements: nil where there is none; a value or hash that
--    cannot be read is {the error's text}. An owner is its state, and where there is no value all fields in a list
local values, ttls, owners = {}, {}, {}
local count = #KEYS / 2
local function told(reply)
  if type(reply) == 'table' and reply.err then
    return {reply.err}
  end
  return reply
end
for i = 1, count do
  values[i] = told(redis.pcall('GET', KEYS[i]))
  ttls[i] = redis.call('PTTL', KEYS[i])
  if values[i] then
    owners[i] = told(redis.pcall('HGET', KEYS[count + i], ARGV[1]))
  else
    owners[i] = told(redis.pcall('HMGET', KEYS[count + i], unpack(ARGV)))
  end
end
return {values, ttls, owners}
