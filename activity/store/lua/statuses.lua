-- Statuses, their TTLs and what their ownership hashes say, as of one moment. Reads only.
--
-- KEYS[1..n] status keys     KEYS[n+1..2n] their ownership hashes
--
-- -> {values, TTLs in milliseconds, states}, each with n elements: nil where there is none; a value or state that
--    cannot be read is {the error's text}
local values, ttls, states = {}, {}, {}
local count = #KEYS / 2
local function told(reply)
  if type(reply) == 'table' then
    return {reply.err}
  end
  return reply
end
for i = 1, count do
  values[i] = told(redis.pcall('GET', KEYS[i]))
  ttls[i] = redis.call('PTTL', KEYS[i])
  states[i] = told(redis.pcall('HGET', KEYS[count + i], 'state'))
end
return {values, ttls, states}
