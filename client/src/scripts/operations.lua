-- Every operation in full. A part of the one script: the body of a function that lease.lua calls when the first operation of a
-- batch needs it, with time_us and whether nothing stands but locks (plain). Gives a function that runs one operation.

local call, pcall_redis, sub, format = redis.call, redis.pcall, string.sub, string.format
local max, min = math.max, math.min
local operations = {}

-- What there may be besides locks; operations may add to it.
local quarantine_ms, shadows, waiters = 0, false, false
if not plain then
  quarantine_ms, shadows, waiters = quarantine_left(), call('EXISTS', SHADOWS) == 1, call('EXISTS', WAITERS) == 1
end

-- What stands under a lock's key: nil where nothing does, else whether it is the owner's, what it holds if it is, and if it
-- is not, the code and value to answer.
local function standing(lock, owner)
  local held = pcall_redis('GET', lock)
  if held == false then return nil end
  if type(held) == 'table' then return false, nil, NOT_A_LOCK, 0 end -- wrong type
  if sub(held, 1, 33) == owner .. ':' then return true, held end
  local left = call('PTTL', lock)
  if left == -1 then return false, nil, NOT_A_LOCK, 0 end
  return false, nil, HELD, left
end

-- The token in what an own lock holds.
local function token_of(lock, held)
  return tonumber(sub(held, 34)) or error({err = 'key ' .. lock .. ' does not hold a token; delete it'})
end

-- Whose shadow stands for a name: true if the owner's, false and how long it stands if another's, nil if none does.
local function shadow_of(name, owner)
  if not shadows then return nil end
  local key = SHADOW .. name
  local found = call('GET', key)
  if not found then return nil end
  if found == owner then return true end
  local left = call('PTTL', key)
  if left == -1 then left = TTL_MAX end -- set by hand: it lasts
  return false, left
end

local function stripe_token(fence)
  local token = tonumber(call('GET', fence) or 0)
  if not token then error({err = 'key ' .. fence .. ' does not hold a token; restore or delete it'}) end
  return token
end

-- Waiting. A line is a hint, never a vote: what goes wrong with it counts as nobody waiting, and fails no other operation.
local function make_line()
  local line = {}

  -- In whose name an owner waits: the first half of it.
  local function client_of(owner)
    return sub(owner, 1, 16)
  end

  -- A client's place in line. Its ticket tells how long it has waited; where its clock is off, it is moved, so that a wrong clock
  -- is not first for ever.
  local function place_of(proposed, ticket)
    local clamped = min(max(proposed, time_us - TICKET_SLACK_US), time_us + TICKET_SLACK_US)
    local place = (tonumber(ticket) or proposed) - proposed + clamped
    return min(max(place, time_us - TICKET_AGE_US_MAX), time_us + TICKET_SLACK_US)
  end

  -- Puts a client in line, or moves it there. Gives how many are before it; nil if the line is full or cannot be written.
  local function take_place(name, client, ticket)
    local key = WAIT .. name
    local marked = pcall_redis('SET', WAITERS, '1', 'PX', PLACE_MS) -- first: a line that nobody looks for would be no line
    local added = marked.ok and pcall_redis('ZADD', key, format('%.0f', ticket), client)
    if type(added) ~= 'number' then return nil end
    waiters = true
    call('PEXPIRE', key, PLACE_MS)
    if added == 1 and call('ZCARD', key) > LINE_LEN_MAX then call('ZREMRANGEBYRANK', key, -1, -1) end
    return call('ZRANK', key, client) or nil
  end

  -- Wakes whoever is first in line and keeps the lock for it a while. Not if that is the asker itself, or it has waited
  -- longer. Gives whether somebody was woken. Who is not connected to hear it is passed over.
  local function give_turn(name, asker, ticket)
    local key = WAIT .. name
    for _ = 1, LINE_LEN_MAX do
      local first = pcall_redis('ZRANGE', key, 0, 0, 'WITHSCORES')
      local client = first[1]
      if not client or client ~= asker and ticket and ticket <= tonumber(first[2]) then return false end
      call('ZREM', key, client)
      if client == asker then return false end
      local heard = pcall_redis('PUBLISH', WAKE .. client, name)
      if type(heard) == 'number' and heard > 0 then
        call('SET', TURN .. name, client, 'PX', TURN_MS)
        return true
      end
    end
    return false
  end

  -- Whether it is this client's turn. If so, it is over now.
  local function end_turn(name, client)
    return pcall_redis('GET', TURN .. name) == client and call('DEL', TURN .. name) == 1
  end

  -- For how long the free lock of a name is kept for somebody who has waited longer than the asker; nil if it is not.
  function line.kept_ms(name, owner, proposed, ticket)
    local asker = client_of(owner)
    if call('EXISTS', WAIT .. name, TURN .. name) == 0 then return nil end
    if call('EXISTS', LOCK .. name) == 1 then return nil end -- not free: that is found out below
    if end_turn(name, asker) then return nil end
    local left = call('PTTL', TURN .. name)
    if left > 0 then return left end
    return give_turn(name, asker, place_of(proposed, ticket)) and TURN_MS or nil
  end

  -- What to answer where the lock is not to be had, and whoever asked may want a place in line.
  function line.held(left, in_line, name, owner, proposed, ticket)
    local ahead = in_line and take_place(name, client_of(owner), place_of(proposed, ticket))
    if not ahead then return HELD, left end
    return WAITING, ahead * 4294967296 + min(left, 4294967295)
  end

  -- Whoever had the lock, or its turn, is done with it. An undo that freed nothing wakes nobody.
  function line.hand_on(name, owner, freed)
    local turn = end_turn(name, client_of(owner))
    if freed or turn then give_turn(name) end
  end

  function line.leave(at)
    local name, client = ARGV[at + 1], client_of(ARGV[at + 2])
    local left = pcall_redis('ZREM', WAIT .. name, client) == 1
    local turn = end_turn(name, client)
    if turn and call('EXISTS', LOCK .. name) == 0 then give_turn(name) end
    if turn or left then return RELEASED, 0 end
    return MISSING, 0
  end

  return line
end

local line
local function lines()
  line = line or make_line()
  return line
end

local function acquire(at, code)
  local in_line, ticket = code ~= 'a', code == 'q' and ARGV[at + 6]
  local name, owner, proposal, fence, ttl = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], FENCE .. ARGV[at + 4], ARGV[at + 5]
  if tonumber(ttl) > TTL_MAX then return TTL_TOO_LONG, TTL_MAX end
  if quarantine_ms > 0 then return QUARANTINED, quarantine_ms end
  local proposed = tonumber(proposal)
  local own_shadow, shadow_left = shadow_of(name, owner)
  if own_shadow == false then return lines().held(shadow_left, in_line, name, owner, proposed, ticket) end
  local kept = waiters and lines().kept_ms(name, owner, proposed, ticket)
  if kept then return lines().held(kept, in_line, name, owner, proposed, ticket) end
  local clamped = min(max(proposed, time_us - PROPOSAL_SLACK_US), time_us + PROPOSAL_SLACK_US)
  local token = max(stripe_token(fence) + 1, clamped)
  if token >= TOKEN_END then error({err = 'key ' .. fence .. ' has run out of tokens'}) end
  local text, lock = token == proposed and proposal or format('%.0f', token), LOCK .. name
  -- The lock first: out of memory it is refused before anything is written, and once it is written the stripe cannot be.
  if call('SET', lock, owner .. ':' .. text, 'NX', 'PX', ttl) then
    call('SET', fence, text)
    return GRANTED, token
  end
  local own, found, why, value = standing(lock, owner)
  if own then return GRANTED, token_of(lock, found) end
  if why == HELD then return lines().held(value, in_line, name, owner, proposed, ticket) end
  return why, value
end

local function release(at)
  local name, owner = ARGV[at + 1], ARGV[at + 2]
  local own_shadow = shadow_of(name, owner)
  if own_shadow then call('DEL', SHADOW .. name) end
  local lock = LOCK .. name
  local own, _, code, value = standing(lock, owner)
  if own then call('DEL', lock) end
  if waiters and own ~= false then lines().hand_on(name, owner, own or own_shadow) end
  if own or own_shadow then return RELEASED, 0 end
  if own == nil then return MISSING, 0 end
  return code, value
end

-- A yes; in quarantine the operation has been carried out, but the answer does not count.
local function yes(token)
  if quarantine_ms > 0 then return QUARANTINED, quarantine_ms end
  return GRANTED, token
end

-- Nothing drawn later from this stripe will be as small as token. What the stripe held is read before the operation writes
-- anything: if it is no token, the operation is refused whole.
local function lift_stripe(fence, drawn, token)
  if drawn < tonumber(token) then call('SET', fence, token) end
end

local function extend(lock, owner, token, fence, ttl)
  local drawn = stripe_token(fence)
  local own, _, code, value = standing(lock, owner)
  if own == nil then return MISSING, 0 end
  if not own then return code, value end
  call('PEXPIRE', lock, ttl, 'GT') -- never shortens: an earlier, longer promise still counts
  lift_stripe(fence, drawn, token)
  return yes(tonumber(token))
end

function operations.e(at)
  local token, ttl = ARGV[at + 3], ARGV[at + 5]
  if tonumber(ttl) > TTL_MAX then return TTL_TOO_LONG, TTL_MAX end
  return extend(LOCK .. ARGV[at + 1], ARGV[at + 2], token, FENCE .. ARGV[at + 4], ttl)
end

function operations.h(at)
  local owner, token, ttl = ARGV[at + 2], ARGV[at + 3], ARGV[at + 5]
  if tonumber(ttl) > TTL_MAX then return TTL_TOO_LONG, TTL_MAX end
  local lock, fence = LOCK .. ARGV[at + 1], FENCE .. ARGV[at + 4]
  local own_shadow, shadow_left = shadow_of(ARGV[at + 1], owner)
  if own_shadow == false then return HELD, shadow_left end
  local drawn = stripe_token(fence)
  if call('SET', lock, owner .. ':' .. token, 'NX', 'PX', ttl) then
    lift_stripe(fence, drawn, token)
    return yes(tonumber(token))
  end
  return extend(lock, owner, token, fence, ttl)
end

function operations.r(at)
  local owner, token = ARGV[at + 2], ARGV[at + 3]
  local lock, fence = LOCK .. ARGV[at + 1], FENCE .. ARGV[at + 4]
  local drawn = stripe_token(fence)
  local own, held, code, value = standing(lock, owner)
  if own == nil then return MISSING, 0 end
  if not own then return code, value end
  if token_of(lock, held) > tonumber(token) then return SUPERSEDED, 0 end -- it lapsed and was taken anew: this token is not its
  call('SET', lock, owner .. ':' .. token, 'KEEPTTL')
  lift_stripe(fence, drawn, token)
  return yes(tonumber(token))
end

function operations.s(at)
  local name, owner, ttl = ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
  if ttl > TTL_MAX then return TTL_TOO_LONG, TTL_MAX end
  local own, _, code, value = standing(LOCK .. name, owner)
  if own == false then return code, value end
  local own_shadow, shadow_left = shadow_of(name, owner)
  if own_shadow == false then return HELD, shadow_left end
  -- The mark first: a shadow that nobody looks for would be no shadow.
  call('SET', SHADOWS, '1', 'PX', max(ttl, call('PTTL', SHADOWS)))
  call('SET', SHADOW .. name, owner, 'PX', max(ttl, call('PTTL', SHADOW .. name)))
  shadows = true
  return yes(0)
end

function operations.v(at)
  local lock = LOCK .. ARGV[at + 1]
  local own, held, code, value = standing(lock, ARGV[at + 2])
  if own then return yes(token_of(lock, held)) end
  if own == false then return code, value end
  local own_shadow, shadow_left = shadow_of(ARGV[at + 1], ARGV[at + 2])
  if own_shadow == nil then return MISSING, 0 end
  if own_shadow then return yes(0) end
  return HELD, shadow_left
end

operations.a, operations.w, operations.q, operations.x = acquire, acquire, acquire, release
function operations.l(at) return lines().leave(at) end

local LENGTH = {a = 6, w = 6, q = 7, l = 3, e = 6, h = 6, r = 5, s = 4, v = 3, x = 3}

-- Runs the operation at a place in ARGV. Gives what to answer, and how many arguments it took. An error in one operation leaves
-- the others standing.
return function(at)
  local operation = ARGV[at]
  local ok, code, value = pcall(operations[operation], at, operation)
  if not ok then
    code, value = REFUSED, type(code) == 'table' and code.err or tostring(code)
  end
  return code, value, LENGTH[operation]
end
