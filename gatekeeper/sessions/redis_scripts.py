"""What the Redis store does in one atomic step each. Lua; for one server or Sentinel, not Redis Cluster.

`s:` are sessions (hashes), `f:` the ids that one session has had (sets, by the first of them), `u:` the
sessions of a user (sorted sets), `users` those who have any. All begin with the prefix in ARGV[1].
"""

from __future__ import annotations

_HEAD = """
local p = ARGV[1]
local function s(id) return p .. 's:' .. id end
local function alive(id)
  return redis.call('HEXISTS', s(id), 'user_id') == 1 and redis.call('HEXISTS', s(id), 'ended') == 0
end
local function number(id, field) return tonumber(redis.call('HGET', s(id), field) or '0') end
local function lasting(key, ttl)
  if redis.call('PTTL', key) < ttl then redis.call('PEXPIRE', key, ttl) end
end
local by_time = { idle = 1, absolute = 1, unfinished = 1, replaced = 1, closed = 1 }
local function revoke(id, reason, ttl, now)
  local was = redis.call('HGET', s(id), 'ended')
  if not was or by_time[was] then
    redis.call('HSET', s(id), 'ended', reason, 'ended_at', now)
    redis.call('PEXPIRE', s(id), ttl)
  end
end
local function put(id, root, user, ttl, first)
  redis.call('DEL', s(id))
  redis.call('HSET', s(id), 'root', root, unpack(ARGV, first))
  redis.call('PEXPIRE', s(id), ttl)
  redis.call('SADD', p .. 'f:' .. root, id)
  redis.call('ZADD', p .. 'u:' .. user, 0, id)
  redis.call('ZADD', p .. 'users', 0, user)
  for _, key in ipairs({ p .. 'f:' .. root, p .. 'u:' .. user, p .. 'users' }) do lasting(key, ttl) end
end
"""

CREATE = (
    _HEAD
    + """
put(ARGV[2], ARGV[2], ARGV[3], tonumber(ARGV[4]), 5)
return 1
"""
)
"""ARGV: prefix, id, user, ttl, field, value, …"""

REPLACE = (
    _HEAD
    + """
local old = ARGV[2]
if not alive(old) or number(old, 'grace_until') ~= 0 then return 0 end
redis.call('HSET', s(old), 'grace_until', ARGV[3])
put(ARGV[4], redis.call('HGET', s(old), 'root'), ARGV[5], tonumber(ARGV[6]), 7)
return 1
"""
)
"""ARGV: prefix, old id, grace, new id, user, ttl, field, value, …"""

SKIP = (
    _HEAD
    + """
local id = ARGV[2]
if not alive(id) or number(id, 'grace_until') ~= 0 then return 0 end
local was = redis.call('HGET', s(id), 'skipped') or ''
if string.find(' ' .. was .. ' ', ' ' .. ARGV[3] .. ' ', 1, true) then return 1 end
redis.call('HSET', s(id), 'skipped', was == '' and ARGV[3] or was .. ' ' .. ARGV[3])
return 2
"""
)
"""ARGV: prefix, id, step. 0 over, 1 was there already, 2 added."""

FORWARD = (
    _HEAD
    + """
local moved = 0
for i = 3, #ARGV, 2 do
  local id, at = ARGV[i], ARGV[i + 1]
  if alive(id) and number(id, ARGV[2]) < tonumber(at) then
    redis.call('HSET', s(id), ARGV[2], at)
    moved = moved + 1
  end
end
return moved
"""
)
"""ARGV: prefix, field, id, time, id, time, …"""

RENEW = (
    _HEAD
    + """
local remember, most = tonumber(ARGV[2]), tonumber(ARGV[3])
for i = 4, #ARGV, 2 do
  local id, at = ARGV[i], tonumber(ARGV[i + 1])
  if alive(id) and redis.call('HGET', s(id), 'remembered') == '1' and number(id, 'grace_until') == 0 then
    local created, renewed = number(id, 'created_at'), number(id, 'renewed_at')
    if renewed < at and created + most > at and (created + remember > at or renewed + remember > at) then
      redis.call('HSET', s(id), 'renewed_at', ARGV[i + 1])
    end
  end
end
return 1
"""
)
"""ARGV: prefix, remember, remember_max, id, time, id, time, …"""

END_BY_TIME = (
    _HEAD
    + """
local id = ARGV[2]
if not alive(id) then return 0 end
for i = 6, #ARGV, 2 do
  if number(id, ARGV[i]) > tonumber(ARGV[i + 1]) then return 0 end
end
redis.call('HSET', s(id), 'ended', ARGV[3], 'ended_at', ARGV[5])
redis.call('PEXPIRE', s(id), tonumber(ARGV[4]))
return 1
"""
)
"""ARGV: prefix, id, reason, ttl, now, then fields with the greatest value that they may have by now."""

END = (
    _HEAD
    + """
local root = redis.call('HGET', s(ARGV[2]), 'root')
if not root then return 0 end
local ids, was = redis.call('SMEMBERS', p .. 'f:' .. root), 0
for _, id in ipairs(ids) do
  if alive(id) then was = 1 end
end
if was == 0 then return 0 end
for _, id in ipairs(ids) do
  if redis.call('EXISTS', s(id)) == 1 then revoke(id, ARGV[3], tonumber(ARGV[4]), ARGV[5]) end
end
return 1
"""
)
"""ARGV: prefix, id, reason, ttl, now."""

END_USER = (
    _HEAD
    + """
local index, count = p .. 'u:' .. ARGV[2], 0
for _, id in ipairs(redis.call('ZRANGE', index, 0, -1)) do
  local root = redis.call('HGET', s(id), 'root')
  if not root then
    redis.call('ZREM', index, id)
  elseif root == ARGV[6] then
    redis.call('HSET', s(id), 'epoch', ARGV[7])
  else
    if alive(id) and number(id, 'grace_until') == 0 then count = count + 1 end
    revoke(id, ARGV[3], tonumber(ARGV[4]), ARGV[5])
  end
end
return count
"""
)
"""ARGV: prefix, user, reason, ttl, now, first id of the session to be kept or "", the user's new epoch."""
