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

-- The token that an acquire with this proposal draws.
local function next_token(fence, proposed)
  local clamped = min(max(proposed, time_us - PROPOSAL_SLACK_US), time_us + PROPOSAL_SLACK_US)
  local token = max(stripe_token(fence) + 1, clamped)
  if token >= TOKEN_END then error({err = 'key ' .. fence .. ' has run out of tokens'}) end
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

  -- Parks an acquire: its client is put in line, or moved there, with what it takes to give it the lock. Gives how many are before
  -- it; nil if the line is full or cannot be written.
  local function park(at, place)
    local name, owner, ttl = ARGV[at + 1], ARGV[at + 2], ARGV[at + 5]
    local key, client = WAIT .. name, client_of(owner)
    local marked = pcall_redis('SET', WAITERS, '1', 'PX', PLACE_MS) -- first: a line that nobody looks for would be no line
    local added = marked.ok and pcall_redis('ZADD', key, format('%.0f', place), client)
    if type(added) ~= 'number' then return nil end
    waiters = true
    call('PEXPIRE', key, PLACE_MS)
    if added == 1 and call('ZCARD', key) > LINE_LEN_MAX then call('ZREMRANGEBYRANK', key, -1, -1) end
    local ahead = call('ZRANK', key, client)
    if not ahead then return nil end
    -- Who is given the lock may be asleep: half of the TTL, until it has renewed. Parked for two refreshes: a lock given later
    -- would be worth little.
    local given = max(math.floor(tonumber(ttl) / 2), 1)
    local terms = owner .. ' ' .. ARGV[at + 3] .. ' ' .. ARGV[at + 4] .. ' ' .. format('%d', given)
    call('SET', PARK .. client .. ':' .. name, terms, 'PX', max(math.floor(given / 2), 1))
    return ahead
  end

  -- Gives the free lock of a name to whoever is first in line, and tells it so. Not if that is the asker itself, or it has waited
  -- longer; not in quarantine, which gives no votes, nor where a shadow stands. Who is not connected to hear it is passed over.
  -- Gives for how long the lock stands then; nil if nobody has it.
  local function hand_over(name, asker, place)
    if quarantine_ms > 0 or shadows and call('EXISTS', SHADOW .. name) == 1 then return nil end
    local key, lock = WAIT .. name, LOCK .. name
    for _ = 1, LINE_LEN_MAX do
      local first = pcall_redis('ZRANGE', key, 0, 0, 'WITHSCORES')
      local client = first[1]
      if not client or client ~= asker and place and place <= tonumber(first[2]) then return nil end
      call('ZREM', key, client)
      local parked = pcall_redis('GET', PARK .. client .. ':' .. name)
      call('DEL', PARK .. client .. ':' .. name)
      if client == asker then return nil end
      local owner, proposal, stripe, given = string.match(type(parked) == 'string' and parked or '', '^(%x+) (%d+) (%d+) (%d+)$')
      local drawn, token = pcall(next_token, FENCE .. (stripe or ''), tonumber(proposal) or 0)
      if owner and drawn then
        local text = format('%.0f', token)
        -- The lock before the word of it: that is a vote.
        call('SET', lock, owner .. ':' .. text, 'PX', given)
        call('SET', FENCE .. stripe, text)
        local word = name .. ' ' .. owner .. ' ' .. proposal .. ' ' .. text .. ' ' .. ARGV[2]
        local heard = pcall_redis('PUBLISH', WAKE .. client, word)
        if type(heard) == 'number' and heard > 0 then return tonumber(given) end
        call('DEL', lock)
      end
    end
    return nil
  end
  line.hand_over = hand_over

  -- For how long the free lock of a name is now somebody's who has waited longer than the asker; nil if it is not.
  function line.given_ms(name, owner, proposed, ticket)
    if call('EXISTS', WAIT .. name) == 0 then return nil end
    if call('EXISTS', LOCK .. name) == 1 then return nil end -- not free: that is found out below
    return hand_over(name, client_of(owner), place_of(proposed, ticket))
  end

  -- What to answer where the lock is not to be had, and whoever asked may want a place in line.
  function line.held(left, in_line, at, proposed, ticket)
    local ahead = in_line and park(at, place_of(proposed, ticket))
    if not ahead then return HELD, left end
    return WAITING, ahead * 4294967296 + min(left, 4294967295)
  end

  -- An owner is done: what it has parked goes.
  function line.leave(name, owner)
    local client = client_of(owner)
    local key = PARK .. client .. ':' .. name
    local parked = pcall_redis('GET', key)
    if type(parked) == 'string' and sub(parked, 1, 33) == owner .. ' ' then
      call('DEL', key)
      pcall_redis('ZREM', WAIT .. name, client)
    end
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
  if own_shadow == false then return lines().held(shadow_left, in_line, at, proposed, ticket) end
  local given = waiters and lines().given_ms(name, owner, proposed, ticket)
  if given then return lines().held(given, in_line, at, proposed, ticket) end
  local token = next_token(fence, proposed)
  local text, lock = token == proposed and proposal or format('%.0f', token), LOCK .. name
  -- The lock first: out of memory it is refused before anything is written, and once it is written the stripe cannot be.
  if call('SET', lock, owner .. ':' .. text, 'NX', 'PX', ttl) then
    call('SET', fence, text)
    return GRANTED, token
  end
  local own, found, why, value = standing(lock, owner)
  if own then
    -- Who asks again counts a yes from this request on: it must be worth a whole TTL.
    if in_line then call('PEXPIRE', lock, ttl, 'GT') end
    return GRANTED, token_of(lock, found)
  end
  if why == HELD then return lines().held(value, in_line, at, proposed, ticket) end
  return why, value
end

local function release(at)
  local name, owner = ARGV[at + 1], ARGV[at + 2]
  local own_shadow = shadow_of(name, owner)
  if own_shadow then call('DEL', SHADOW .. name) end
  local lock = LOCK .. name
  local own, _, code, value = standing(lock, owner)
  if own then call('DEL', lock) end
  if waiters then
    lines().leave(name, owner)
    -- An undo that freed nothing hands nothing over.
    if own or own_shadow and own == nil then lines().hand_over(name) end
  end
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

local LENGTH = {a = 6, w = 6, q = 7, e = 6, h = 6, r = 5, s = 4, v = 3, x = 3}

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
