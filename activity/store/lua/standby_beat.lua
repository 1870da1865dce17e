-- Note that a standby is alive, and forget those that are not.
--
-- KEYS[1] hash of standbys     KEYS[2] sorted set of standbys, by the ms until which each is alive (same slot)
-- ARGV[1] instanceId           ARGV[2] payload           ARGV[3] ms that it counts as alive
--
-- -> number of standbys alive
local now = now_ms()
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], now + ARGV[3], ARGV[1])
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now)) do
  redis.call('HDEL', KEYS[1], gone)
  redis.call('ZREM', KEYS[2], gone)
end
-- Both keys vanish with the last standby; each beat of any of them makes the keys live longer than itself.
for _, key in ipairs(KEYS) do
  if redis.call('PTTL', key) < 2 * ARGV[3] then
    redis.call('PEXPIRE', key, 2 * ARGV[3])
  end
end
return redis.call('ZCARD', KEYS[2])
