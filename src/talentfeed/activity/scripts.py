"""The Lua that Redis (6 and later) runs: each script is one atomic step. Time is the server's own, never a pod's.

Every key is declared in KEYS, but for the parts of a batch, whose names follow from the batch's. Scripts that write
may be repeated after a lost answer: each says why that is harmless.
"""

from talentfeed.lua import NOW, OURS

# A list without expiry holds a client's acknowledged activities: it must not get one again while they wait. A list that
# a claim has emptied is gone, so the next push starts anew.
_PUSH = """
local function push(list, user, payloads, waiting, full, threshold)
  local length
  for first = 1, #payloads, 1000 do
    length = redis.call('LPUSH', list, unpack(payloads, first, math.min(first + 999, #payloads)))
  end
  redis.call('ZADD', waiting, 'NX', now, user)
  if length >= threshold then redis.call('SADD', full, user) end
end
"""

# Records of one width in a string, the newest at its end; cut when a tenth too many are there, so seldom.
_APPEND = """
local function append(key, records, most, width, life)
  if redis.call('STRLEN', key) % width ~= 0 then redis.call('DEL', key) end
  local length = redis.call('APPEND', key, records)
  if length > most + most / 10 then redis.call('SET', key, redis.call('GETRANGE', key, -most, -1)) end
  redis.call('EXPIRE', key, life)
end
"""

# KEYS: drained:{recorder}, waiting, full, then for each feed: user_activity, session, shown_flows, feed
# ARGV: number of this drain (a recorder counts up from 1), activity TTL, session TTL, bytes kept of a session, bytes of
#       an item, flows' life, flows kept, threshold, then for each feed: user id, feed id, when, its record (empty:
#       none), its items (packed), its flows (with spaces), what all its activities say, and what each view says for
#       itself: of its item (by lines), its pool and its probability (both with commas)
# Repeated, however late: the number is not above the last one done, nothing happens.
# → 1 + how many activities were refused since the key holds something else; 0 where it was done before
# A command takes Redis about a microsecond, so they are few, and the indexes are told of all users at once.
SERVED = (
    NOW
    + """
if tonumber(ARGV[1]) <= tonumber(redis.call('GET', KEYS[1]) or '0') then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'EX', 172800)
local function unless_foreign(...)
  local answer = redis.pcall(...)
  if type(answer) ~= 'table' or not answer['err'] then return answer end
  local why = tostring(answer['err'])
  if not string.find(why, 'WRONGTYPE', 1, true) then error(why) end
end
local life, session_life, most, width = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local threshold, since = tonumber(ARGV[8]), string.format('%.17g', now)
local next, refused, users, full = 9, 0, {}, {}
local places = {}
for key = 4, #KEYS, 4 do
  local list, session, shown = KEYS[key], KEYS[key + 1], KEYS[key + 2]
  local user, id, at, record, items, flows, shared, told, pools, chances = unpack(ARGV, next, next + 9)
  next = next + 10
  local pool, chance = string.gmatch(pools, '[^,]+'), string.gmatch(chances, '[^,]+')
  local begin, activities, place, from = '{"event_type":"video_view","event_id":"' .. id .. ':', {}, 0, 1
  while from <= #told do
    local last = string.find(told, '\\n', from, true)
    local item, here = string.sub(told, from, last - 1), places[place]
    from = last + 1
    if not here then
      here = place .. '","position":' .. place .. ','
      places[place] = here
    end
    place = place + 1
    activities[place + 1] = begin .. here .. shared .. item .. pool() .. '","probability":' .. chance() .. '}'
  end
  activities[1] = '{"event_type":"feed_request","event_id":"' .. id .. '","size":' .. place .. ',' .. shared .. '}'
  local length
  for i = 1, #activities, 1000 do
    length = unless_foreign('LPUSH', list, unpack(activities, i, math.min(i + 999, #activities)))
  end
  if length then
    if length == #activities or redis.call('TTL', list) ~= -1 then redis.call('EXPIRE', list, life) end
    users[#users + 1], users[#users + 2] = since, user
    if length >= threshold then full[#full + 1] = user end
  else
    refused = refused + #activities
  end
  if #items > 0 then
    length = unless_foreign('APPEND', session, items)
    if length then
      if (length - #items) % width ~= 0 then redis.call('SET', session, items)
      elseif length > most + most / 10 then redis.call('SET', session, redis.call('GETRANGE', session, -most, -1)) end
      redis.call('EXPIRE', session, session_life)
    end
  end
  if #flows > 0 then
    local scored = {}
    for flow in string.gmatch(flows, '%d+') do scored[#scored + 1], scored[#scored + 2] = at, flow end
    if unless_foreign('ZADD', shown, unpack(scored)) then
      redis.call('ZREMRANGEBYRANK', shown, 0, -tonumber(ARGV[7]) - 1)
      redis.call('EXPIRE', shown, ARGV[6])
    end
  end
  if #record > 0 then redis.call('SET', KEYS[key + 3], record, 'EX', session_life) end
end
if #users > 0 then redis.call('ZADD', KEYS[2], 'NX', unpack(users)) end
if #full > 0 then redis.call('SADD', KEYS[3], unpack(full)) end
return 1 + refused
"""
)

# What the learner needs of the feeds that went out, until their window is over.
# KEYS: shown-by:{recorder}, impressions, impressions:counts, then for each feed: shown
# ARGV: number of this drain (a recorder counts up from 1), window (seconds), life, then for each feed: user id, feed
#       id, how many impressions each bandit is given by it, its record
# Repeated, however late: the number is not above the last one done, nothing happens.
# → 1 + how many feeds were refused since the key holds something else; 0 where it was done before
SHOWN = (
    NOW
    + OURS
    + """
if tonumber(ARGV[1]) <= tonumber(redis.call('GET', KEYS[1]) or '0') then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'EX', 172800)
local due, refused, arg = string.format('%.3f', now + tonumber(ARGV[2])), 0, 4
for key = 4, #KEYS do
  if ours(KEYS[key], 'list') then
    local last = {}
    for bandit, given in string.gmatch(ARGV[arg + 2], '(%w+)=(%d+)') do
      last[#last + 1] = bandit .. '=' .. string.format('%d', redis.call('HINCRBY', KEYS[3], bandit, given))
    end
    local head = ARGV[arg + 1] .. ' ' .. due .. ' ' .. table.concat(last, ',')
    redis.call('LPUSH', KEYS[key], head .. '\\n' .. ARGV[arg + 3])
    redis.call('EXPIRE', KEYS[key], math.ceil(tonumber(ARGV[3])))
    redis.call('ZADD', KEYS[2], 'NX', due, ARGV[arg])
  else
    refused = refused + 1
  end
  arg = arg + 4
end
return 1 + refused
"""
)

# A viewer's newest events, and beside them all items they touched.
_REMEMBER = """
local function remember(recent, touched, events, records, kept, most, width, life)
  if ours(recent, 'list') then
    redis.call('LPUSH', recent, unpack(events, math.max(1, #events - kept + 1)))
    redis.call('LTRIM', recent, 0, kept - 1)
    redis.call('EXPIRE', recent, life)
  end
  if ours(touched, 'string') then append(touched, table.concat(records), most, width, life) end
end
"""

# What the learner makes of an event; lines that are too many, or too old to count, go by and by.
_OUTCOMES = """
local function tell(outcomes, lines, life)
  if #lines == 0 or not ours(outcomes, 'string') then return end
  local at = string.format('%.3f', now) .. ' '
  if redis.call('APPEND', outcomes, at .. table.concat(lines, at)) > 262144 then
    local rest = redis.call('GETRANGE', outcomes, -131072, -1)
    redis.call('SET', outcomes, string.sub(rest, (string.find(rest, '\\n', 1, true) or 0) + 1))
  end
  redis.call('EXPIRE', outcomes, life)
end
"""

# KEYS: waiting, full, then for each user: user_activity, recent, touched, outcomes; then for each activity:
#       event:{user}:{event_id}
# ARGV: event's life, recent kept, bytes kept of touched, bytes of one of it, life of both, threshold, life of outcomes
#       (0: nothing is learned), n users, user ids…, then for each activity: its user's ordinal, the activity, what
#       `recent` keeps, what `touched` keeps, what the learner makes of it
# Repeated: the event keys are set, nothing happens. → how many were new; an error where a key holds something else:
# then nothing was done, since an event key without its activity would make a retry look like a repeat
REPORT = (
    NOW
    + OURS
    + _PUSH
    + _APPEND
    + _REMEMBER
    + _OUTCOMES
    + """
local users = tonumber(ARGV[8])
local function foreign(key)
  return redis.error_reply('WRONGTYPE ' .. key .. ' holds something else than this service writes there; remove it')
end
if not ours(KEYS[1], 'zset') then return foreign(KEYS[1]) end
if not ours(KEYS[2], 'set') then return foreign(KEYS[2]) end
for user = 1, users do
  if not ours(KEYS[4 * user - 1], 'list') then return foreign(KEYS[4 * user - 1]) end
end
local fresh, events, records, lines, new = {}, {}, {}, {}, 0
for user = 1, users do fresh[user], events[user], records[user], lines[user] = {}, {}, {}, {} end
local arg = 9 + users
for key = 3 + 4 * users, #KEYS do
  if redis.call('SET', KEYS[key], '1', 'NX', 'EX', ARGV[1]) then
    local user = tonumber(ARGV[arg])
    table.insert(fresh[user], ARGV[arg + 1])
    table.insert(events[user], ARGV[arg + 2])
    table.insert(records[user], ARGV[arg + 3])
    if #ARGV[arg + 4] > 0 then table.insert(lines[user], ARGV[arg + 4]) end
    new = new + 1
  end
  arg = arg + 5
end
for user = 1, users do
  if #fresh[user] > 0 then
    local list = KEYS[4 * user - 1]
    push(list, ARGV[8 + user], fresh[user], KEYS[1], KEYS[2], tonumber(ARGV[6]))
    redis.call('PERSIST', list)
    remember(KEYS[4 * user], KEYS[4 * user + 1], events[user], records[user],
      tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5])
    if tonumber(ARGV[7]) > 0 then tell(KEYS[4 * user + 2], lines[user], ARGV[7]) end
  end
end
return new
"""
)

# What the in-process store has committed to the database.
# KEYS: for each user: recent, touched, outcomes
# ARGV: recent kept, bytes kept of touched, bytes of one of it, life of both, life of outcomes (0: nothing is learned),
#       then for each user: n events, then for each what `recent` keeps, what `touched` keeps, what the learner makes
#       of it
# Repeated: the events are there twice; they count once all the same.
REMEMBER = (
    NOW
    + OURS
    + _APPEND
    + _REMEMBER
    + _OUTCOMES
    + """
local arg = 6
for key = 1, #KEYS, 3 do
  local events, records, lines = {}, {}, {}
  for i = 1, tonumber(ARGV[arg]) do
    events[i], records[i] = ARGV[arg + 3 * i - 2], ARGV[arg + 3 * i - 1]
    if #ARGV[arg + 3 * i] > 0 then lines[#lines + 1] = ARGV[arg + 3 * i] end
  end
  arg = arg + 1 + 3 * #events
  remember(KEYS[key], KEYS[key + 1], events, records,
    tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4])
  if tonumber(ARGV[5]) > 0 then tell(KEYS[key + 2], lines, ARGV[5]) end
end
return 1
"""
)

# A batch that was claimed has a part for each of its users, a list with the newest at the head as it was found: to move
# a list's name costs nothing, to move what is in it a thousand times as much. A piece of a batch is one list, oldest
# first. What is in either never changes, and always comes in the same order.
_BATCH = """
local function users(batch) return redis.call('LRANGE', batch .. ':users', 0, -1) end
local function content(batch)
  local all = redis.call('LRANGE', batch, 0, -1)
  for _, user in ipairs(users(batch)) do
    local part = redis.call('LRANGE', batch .. ':' .. user, 0, -1)
    for i = #part, 1, -1 do all[#all + 1] = part[i] end
  end
  return all
end
local function forget(batch)
  local names = {batch, batch .. ':users'}
  for _, user in ipairs(users(batch)) do names[#names + 1] = batch .. ':' .. user end
  redis.call('DEL', unpack(names))
end
"""

# The oldest activities of some users become a batch, under a lease.
# KEYS: waiting, full, flushing, flushing:{batch}, then user_activity of each user
# ARGV: batch id, most activities, lease (seconds), threshold, then the user ids
# Repeated: the batch is there, nothing happens. The lease and the part's name come first: whatever fails after them,
# nothing is in a place that nobody looks at.
# → the activities, oldest first within each user; the users whose key holds something else: they are taken out of
#   the indexes and have nothing waiting until the next push; of how many users, from the first on, something was taken
CLAIM = (
    NOW
    + OURS
    + _BATCH
    + """
local left, asked, foreign, empty, calm = tonumber(ARGV[2]), 0, {}, {}, {}
local batch, threshold = KEYS[4], tonumber(ARGV[4])
if redis.call('EXISTS', batch, batch .. ':users') > 0 then return {{}, foreign, asked} end
local function move(list, part, length)
  if length <= left then
    redis.call('RENAME', list, part)
    redis.call('PERSIST', part)
    return length
  end
  local oldest = redis.call('LRANGE', list, -left, -1)
  for first = 1, #oldest, 1000 do
    redis.call('RPUSH', part, unpack(oldest, first, math.min(first + 999, #oldest)))
  end
  redis.call('LTRIM', list, 0, -left - 1)
  return left
end
for i = 5, #KEYS do
  if left <= 0 then break end
  asked = asked + 1
  local user, list, length = ARGV[i], KEYS[i], 0
  if ours(list, 'list') then
    length = redis.call('LLEN', list)
  else
    foreign[#foreign + 1] = user
  end
  if length > 0 then
    if left == tonumber(ARGV[2]) then redis.call('ZADD', KEYS[3], now + tonumber(ARGV[3]), ARGV[1]) end
    redis.call('RPUSH', batch .. ':users', user)
    local moved = move(list, batch .. ':' .. user, length)
    length, left = length - moved, left - moved
  end
  if length == 0 then empty[#empty + 1] = user end
  if length < threshold then calm[#calm + 1] = user end
end
if #empty > 0 then redis.call('ZREM', KEYS[1], unpack(empty)) end
if #calm > 0 then redis.call('SREM', KEYS[2], unpack(calm)) end
return {content(batch), foreign, asked}
"""
)

# KEYS: flushing. ARGV: most ids, lease (seconds). → ids of batches whose lease is over. One that ends later than any
# lease given now was given before the server's clock was set back: nobody can tell how much of it is left
EXPIRED = (
    NOW
    + """
local over = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
local odd = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now + ARGV[2] + 1, '+inf', 'LIMIT', 0, ARGV[1] - #over)
for _, batch in ipairs(odd) do over[#over + 1] = batch end
return over
"""
)

# Somebody takes a batch over; `ours`: its holder comes back to it before the lease is over.
# KEYS: flushing, flushing:{batch}. ARGV: batch id, lease (seconds), 1 if ours
# Repeated: the first call took the lease; without `ours` the second gets nothing and the lease runs out again.
# → its activities; none where it is done, or somebody else's now
TAKE_OVER = (
    NOW
    + _BATCH
    + """
local lease = redis.call('ZSCORE', KEYS[1], ARGV[1])
local left = lease and tonumber(lease) - now
if not left or (ARGV[3] ~= '1' and left > 0 and left <= ARGV[2] + 1) then return {} end
local all = content(KEYS[2])
if #all == 0 then redis.call('ZREM', KEYS[1], ARGV[1])
else redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1]) end
return all
"""
)

# KEYS: flushing, flushing:{batch}. ARGV: batch id. Repeated: nothing is left to drop.
DROP = (
    _BATCH
    + """
forget(KEYS[2])
return redis.call('ZREM', KEYS[1], ARGV[1])
"""
)

# A refused batch goes on in pieces, each a batch of its own under a lease.
# KEYS: flushing, flushing:{batch}, then flushing:{piece} of each piece
# ARGV: batch id, lease (seconds), then for each piece: piece id, n, ranks in the batch (from 0)…
# Repeated: the batch is gone, nothing happens; whoever came first has cut it. → 1 if cut now
SPLIT = (
    NOW
    + _BATCH
    + """
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
local all = content(KEYS[2])
local arg = 3
for key = 3, #KEYS do
  local n = tonumber(ARGV[arg + 1])
  for i = 1, n do redis.call('RPUSH', KEYS[key], all[tonumber(ARGV[arg + 1 + i]) + 1]) end
  redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[arg])
  arg = arg + 2 + n
end
forget(KEYS[2])
redis.call('ZREM', KEYS[1], ARGV[1])
return 1
"""
)

# KEYS: flushing, flushing:{batch}, quarantined. ARGV: batch id, the entry. Repeated: the batch is gone. → 1 if done now
QUARANTINE = (
    _BATCH
    + """
if redis.call('ZREM', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('RPUSH', KEYS[3], ARGV[2])
forget(KEYS[2])
return 1
"""
)

# An operator has mended what was wrong: an activity that was set aside waits again, like a client's, without expiry.
# KEYS: quarantined, waiting, full, user_activity. ARGV: the entry, user id, the activity, threshold
# Repeated: the entry is gone, nothing happens. → 1 if done now
REQUEUE = (
    NOW
    + OURS
    + _PUSH
    + """
if not ours(KEYS[4], 'list') then
  return redis.error_reply('WRONGTYPE ' .. KEYS[4] .. ' holds something else than activities; remove it')
end
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end
push(KEYS[4], ARGV[2], {ARGV[3]}, KEYS[2], KEYS[3], tonumber(ARGV[4]))
redis.call('PERSIST', KEYS[4])
return 1
"""
)

# While the database is away what waits must not expire. A list without expiry stays so; one that is gone stays gone.
# KEYS: user_activity of some users. ARGV: activity TTL. Repeated: harmless.
KEEP = """
for _, list in ipairs(KEYS) do
  if redis.call('TTL', list) >= 0 then redis.call('EXPIRE', list, ARGV[1]) end
end
return #KEYS
"""
