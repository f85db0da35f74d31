"""What the Lua that Redis runs has in common, whatever room it is of: text that goes before a script's own."""

NOW = """
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
"""

# A script that fails in its middle has done half: whether a key is ours is looked at before anything is written.
OURS = """
local function ours(key, kind)
  local found = redis.call('TYPE', key)
  if type(found) == 'table' then found = found['ok'] end
  return found == 'none' or found == kind
end
"""
