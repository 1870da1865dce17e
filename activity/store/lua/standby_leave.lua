-- Forget a standby that ends, or that has become the owner.
--
-- KEYS[1] hash of standbys     KEYS[2] sorted set of standbys (same slot)     ARGV[1] instanceId
--
-- -> 1 where it was there, else 0
redis.call('HDEL', KEYS[1], ARGV[1])
return redis.call('ZREM', KEYS[2], ARGV[1])
