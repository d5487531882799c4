"""The Lua calls behind a battle's log: what must not be torn apart happens inside one of them.

Each call carries a token, made once by the caller and remembered by the log. A client that lost the answer sends the
very same call again, and so learns what the first one did instead of doing it twice.

The hash ``meta`` holds ``epoch``, ``seq``, ``attempt``; ``turn``, the newest, a number that also grows with every retry
of a turn; ``result`` of that turn once its generation has ended and until the database has it; ``over`` once the turn's
outcome has been told; ``call`` and ``call_seq``, the last call of the attempt; ``claim``, the last claim; and one
``t:<token>`` for each call of others, who are few.
"""

from __future__ import annotations

STALE = -1
LOST = -2

# KEYS: log, meta. ARGV: channel, ttl, token, battle, attempt (0: not generating), turn (0: not said), after, ends,
# fresh, result, begins, frames...
APPEND = """
local say, ttl, token, battle = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local attempt, turn, after = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local ends, fresh, result = ARGV[8] == '1', ARGV[9] == '1', ARGV[10]
local m = redis.call('HMGET', KEYS[2], 'attempt', 'seq', 'turn', 'over', 'call', 'call_seq', 't:' .. token)
local seq, newest = tonumber(m[2] or '0'), tonumber(m[3] or '0')
if attempt > 0 then
  if attempt < tonumber(m[1] or '0') or (m[4] and turn <= newest) then return -1 end
  if m[5] == token then return tonumber(m[6]) end
  if fresh then
    redis.call('DEL', KEYS[1])
    redis.call('HDEL', KEYS[2], 'seq', 'epoch')
    redis.call('HSET', KEYS[2], 'turn', turn)
  elseif seq < after or (turn > 0 and turn ~= newest) then
    return -2
  end
  redis.call('HSET', KEYS[2], 'attempt', attempt)
else
  if m[7] then return tonumber(m[7]) end
  if turn > newest then
    redis.call('HSET', KEYS[2], 'turn', turn)
    redis.call('HDEL', KEYS[2], 'over', 'result')
  elseif turn > 0 and (turn < newest or ARGV[11] == '1') then
    return seq
  end
end
redis.call('HSETNX', KEYS[2], 'epoch', token)
local epoch = redis.call('HGET', KEYS[2], 'epoch')
seq = tonumber(redis.call('HGET', KEYS[2], 'seq') or '0')
for i = 12, #ARGV do
  seq = seq + 1
  local frame = '{"battle":"' .. battle .. '","seq":' .. seq .. ',' .. string.sub(ARGV[i], 2)
  redis.call('XADD', KEYS[1], seq .. '-0', 'f', frame)
  redis.call('PUBLISH', say, epoch .. ' ' .. seq .. ' ' .. frame)
end
redis.call('HSET', KEYS[2], 'seq', seq)
if attempt > 0 then
  redis.call('HSET', KEYS[2], 'call', token, 'call_seq', seq)
  if result ~= '' then redis.call('HSET', KEYS[2], 'result', result) end
else
  redis.call('HSET', KEYS[2], 't:' .. token, seq)
  if ends then
    redis.call('HSET', KEYS[2], 'over', '1')
    redis.call('HDEL', KEYS[2], 'result')
  end
end
redis.call('EXPIRE', KEYS[1], ttl)
redis.call('EXPIRE', KEYS[2], ttl)
return seq
"""

# KEYS: log, meta. ARGV: ttl, channel. What was said goes, and nobody can say more, nor begin a turn. Followers find an
# epoch they do not know, and ask for the battle anew.
CLOSE = """
redis.call('DEL', KEYS[1])
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[2], 'turn', 1000000000, 'over', '1')
redis.call('EXPIRE', KEYS[2], ARGV[1])
redis.call('PUBLISH', ARGV[2], 'closed 0 {}')
return 1
"""

# KEYS: meta. ARGV: ttl, token, turn, known. Answers {attempt} or {-1}, or {0, result} for a turn that is answered.
CLAIM = """
local m = redis.call('HMGET', KEYS[1], 'attempt', 'turn', 'over', 'result', 'claim')
local attempt, newest = tonumber(m[1] or '0'), tonumber(m[2] or '0')
local turn, known = tonumber(ARGV[3]), tonumber(ARGV[4])
if turn < newest or (turn == newest and m[3]) then return {-1} end
if turn == newest and m[4] then return {0, m[4]} end
if m[5] ~= ARGV[2] then
  attempt = math.max(attempt, known) + 1
  redis.call('HSET', KEYS[1], 'attempt', attempt, 'claim', ARGV[2])
  redis.call('HSETNX', KEYS[1], 'epoch', ARGV[2])
  redis.call('EXPIRE', KEYS[1], ARGV[1])
end
return {attempt}
"""
