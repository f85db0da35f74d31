"""The Lua of learning: each script is one atomic step, by the server's own clock. See docs/learning.md.

Every key is declared in KEYS. Scripts that write may be repeated after a lost answer: each says why that is harmless.
"""

from talentfeed.lua import NOW, OURS

_KINDS = """
local kinds = {KINDS}
for i, kind in ipairs(kinds) do
  if not ours(KEYS[i], kind) then
    return redis.error_reply('WRONGTYPE ' .. KEYS[i] .. ' holds something else than learning writes there; remove it')
  end
end
"""


def _keys(*kinds: str) -> str:
    """The types of the first keys."""
    return OURS + _KINDS.replace("KINDS", ", ".join(f"'{kind}'" for kind in kinds))


# Users with a feed whose window is over; they are nobody else's for a while, which saves work and decides nothing.
# KEYS: impressions. ARGV: most users, for how long (seconds). Repeated: others come, or none.
# → user ids, and now
DUE = (
    NOW
    + """
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
for _, user in ipairs(due) do redis.call('ZADD', KEYS[1], 'XX', now + tonumber(ARGV[2]), user) end
return {due, string.format('%.6f', now)}
"""
)

# An increment is taken in and the feeds it was made of go, or neither. What shows that they are still there is the
# lists themselves: feeds leave at one end, in order, and only here.
# KEYS: impressions, increments, policy:tally, judged, then for each user: shown
# ARGV: the increment (empty: nothing came of the feeds), impressions, reward, refused impressions, most judged feeds,
#       n judged, the judged feeds…, then for each user: user id, n feeds, ids of the oldest and of the newest of them
# Repeated, or by two learners: the feeds are gone, nothing happens. → 1 if done now
COMMIT = (
    _keys("zset", "list", "hash", "list")
    + """
local judged = tonumber(ARGV[6])
local arg = 7 + judged
for key = 5, #KEYS do
  local n = tonumber(ARGV[arg + 1])
  if n > 0 then
    local oldest, newest = redis.call('LINDEX', KEYS[key], -1), redis.call('LINDEX', KEYS[key], -n)
    if not oldest or not newest then return 0 end
    if string.sub(oldest, 1, #ARGV[arg + 2]) ~= ARGV[arg + 2] then return 0 end
    if string.sub(newest, 1, #ARGV[arg + 3]) ~= ARGV[arg + 3] then return 0 end
  end
  arg = arg + 4
end
redis.call('HINCRBYFLOAT', KEYS[3], 'reward', ARGV[3])
redis.call('HINCRBY', KEYS[3], 'impressions', ARGV[2])
redis.call('HINCRBY', KEYS[3], 'refused_impressions', ARGV[4])
if #ARGV[1] > 0 then
  redis.call('HINCRBY', KEYS[3], 'increments', 1)
  redis.call('RPUSH', KEYS[2], ARGV[1])
end
arg = 7 + judged
for key = 5, #KEYS do
  local n = tonumber(ARGV[arg + 1])
  if n > 0 then redis.call('LTRIM', KEYS[key], 0, -n - 1) end
  local next = redis.call('LINDEX', KEYS[key], -1)
  if next then
    local due = tonumber(string.match(next, '^%S+ (%S+)') or '')
    redis.call('ZADD', KEYS[1], due and string.format('%.3f', due) or '0', ARGV[arg])
  else
    redis.call('ZREM', KEYS[1], ARGV[arg])
  end
  arg = arg + 4
end
for i = 7, 6 + judged do redis.call('RPUSH', KEYS[4], ARGV[i]) end
if judged > 0 then redis.call('LTRIM', KEYS[4], -tonumber(ARGV[5]), -1) end
return 1
"""
)

# A new version takes the place of the one it was made from, and what was folded into it goes, or neither.
# KEYS: policy, policy:states, policy:versions, increments, policy:tally
# ARGV: number of the version it was made from, its name, its state, increments that are in it or were refused, how
#       many of them were refused, when it last forgot (empty: as before), 1 if an operator has it served, versions kept
# Repeated, or by two at once: the number is another one, nothing happens. → 1 if done now
PUBLISH = (
    _keys("hash", "hash", "zset", "list", "hash")
    + NOW
    + """
local number = tonumber(redis.call('HGET', KEYS[1], 'number') or '0')
if number ~= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'number', number + 1, 'learned', ARGV[2], 'at', string.format('%.3f', now))
if #ARGV[6] > 0 then redis.call('HSET', KEYS[1], 'forgot_at', ARGV[6]) end
if ARGV[7] == '1' then redis.call('HSET', KEYS[1], 'served', ARGV[2]) end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
redis.call('ZADD', KEYS[3], number + 1, ARGV[2])
if tonumber(ARGV[4]) > 0 then redis.call('LTRIM', KEYS[4], ARGV[4], -1) end
redis.call('HINCRBY', KEYS[5], 'folded_increments', tonumber(ARGV[4]) - tonumber(ARGV[5]))
redis.call('HINCRBY', KEYS[5], 'refused_increments', ARGV[5])
local served = redis.call('HGET', KEYS[1], 'served')
local extra = redis.call('ZCARD', KEYS[3]) - tonumber(ARGV[8])
if extra > 0 then
  for _, old in ipairs(redis.call('ZRANGE', KEYS[3], 0, extra - 1)) do
    if old ~= served then
      redis.call('HDEL', KEYS[2], old)
      redis.call('ZREM', KEYS[3], old)
    end
  end
end
return 1
"""
)
