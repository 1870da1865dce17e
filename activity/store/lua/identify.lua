-- The token of a status value, as a takeover compares it. Reads and writes nothing.
--
-- KEYS[1] status key (for the slot)     ARGV[1] a value of it
--
-- -> 'instanceId@epoch', or 'older@digest' for a writer without an instanceId
return token(ARGV[1])
