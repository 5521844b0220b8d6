-- The one script: every operation of the protocol on one endpoint, a batch of them a call, and admission.
--
-- Why one script: a vote must be checked and written in one atomic step, and so must the check that this server is still
-- the one that was admitted. It is called by its hash; its text is sent only with admission, so that a server on which
-- the hash is known has been looked at. Its head (settings of the set) is put before each part by `scripts/mod.rs`:
--   LOCK, FENCE, SHADOW   key prefixes of locks, of fence stripes and of shadows
--   SHADOWS          key: stands as long as any shadow may, so that looking for them costs nothing while there is none
--   WAIT, PARK       key prefixes of lines (sorted sets: client by ticket) and of parked acquires (by client and name: owner,
--                    proposal, stripe and ttl; expire)
--   WAITERS          key: stands as long as any line may, as SHADOWS does for shadows
--   WAKE             prefix of the channels on which clients are told of hand-overs: name, owner, proposal, token, member
--   MEMBER           key: settings and identity under which this server was admitted
--   QUARANTINE       key: why this server gives no votes; expires
--   SETTINGS         text: protocol version, longest TTL, number of endpoints, database
--   TTL_MAX, QUARANTINE_MS
--   PLACE_MS, LINE_LEN_MAX, TICKET_SLACK_US, TICKET_AGE_US_MAX   bounds of waiting
--
-- Keys are made here from names, not passed: the server is never part of a cluster, every key begins with one prefix (an
-- ACL rule can allow just that), and a batch would name each key twice.
--
-- Arguments: "run", the member text the caller was admitted with, then the operations end to end:
--   a name owner proposal stripe ttl     acquire
--   w name owner proposal stripe ttl     acquire, or park it in line; the proposal is the ticket. An own lock is extended
--   q name owner proposal stripe ttl ticket   the same with an older ticket
--   e name owner token stripe ttl        extend
--   h name owner token stripe ttl        heal
--   r name owner token stripe            raise
--   s name owner ttl                     shadow
--   v name owner                         validate
--   x name owner                         release, or leave the line
-- or: "admit", the id of the set as far as the caller knows it ("-" if not)
-- or: "distrust", the id of the set: admit it, into quarantine, because its clock is off
-- or, from an operator:
--   "fresh", the id of the new set         a server that has never voted
--   "reconfigure", the id of the set       take on the settings of this text, in quarantine
--   "durable", the id of the set           what it has written survives a restart (appendfsync always)
--
-- admit.lua does the words that are no "run".
--
-- Replies: {server time in us, code, value, code, value, ...}, or {-1, reason}: not admitted, nothing ran.
-- To admit and fresh: {server time in us, member text, ms of quarantine left}, or {-2, reason}.

-- This file is the part that each batch runs: whether the server is still the one that was admitted, and then the operations
-- that make nearly all batches, in the case that makes nearly all of those: a free lock is taken, an own one is released, nobody
-- waits for it; an own one that holds its lease's token is extended; and neither a shadow nor a quarantine stands. Whatever turns
-- out otherwise is done in full by operations.lua, to the same effect.

-- Numbers that only pass through stay the texts they came as: reading and writing 16 digits costs as much as a command. What is
-- written as text is written by format('%.0f'): tostring and .. print 14 digits. All of this text runs with each call, and to
-- make a function costs as much as a command, more so if it shares locals: so here there are none.

local call, pcall_redis, find, sub = redis.call, redis.pcall, string.find, string.sub

-- First, is this still the server that was admitted, with the settings of this text?
local member = ARGV[2]
local replication = call('INFO', 'replication')
if sub(member, 1, #SETTINGS) ~= SETTINGS or call('GET', MEMBER) ~= member then
  return {-1, 'the record of its admission is gone or another'}
end
if not find(replication, 'role:master', 1, true) then
  return {-1, 'it is a replica now'}
end
-- A member ends in " replid=" 40 digits " run=" 40 digits.
if not find(replication, 'master_replid:' .. sub(member, -85, -46), 1, true) then
  return {-1, 'its data set was replaced'}
end

local plain = call('EXISTS', QUARANTINE, SHADOWS, WAITERS) == 0 -- nothing stands but locks
local usual = plain or call('EXISTS', QUARANTINE, SHADOWS) == 0 -- or nothing but locks and lines
local lines = not plain -- somebody may wait
local time = call('TIME')
local time_us = time[1] * 1000000 + time[2]
local earliest_us, latest_us = time_us - PROPOSAL_SLACK_US, time_us + PROPOSAL_SLACK_US

local run
local reply, filled, at = {time_us}, 1, 3
local operation = ARGV[at]
while operation do
  local code, value, length
  local release, acquire = operation == 'x', operation == 'w' or operation == 'a' or operation == 'q'
  local name = ARGV[at + 1]
  if usual and operation == 'e' then
    local lock, token, ttl = LOCK .. name, ARGV[at + 3], ARGV[at + 5]
    if tonumber(ttl) <= TTL_MAX and pcall_redis('GET', lock) == ARGV[at + 2] .. ':' .. token then
      local drawn = pcall_redis('GET', FENCE .. ARGV[at + 4])
      value = tonumber(token)
      if type(drawn) == 'string' and (tonumber(drawn) or 0) >= value then
        call('PEXPIRE', lock, ttl, 'GT')
        code, length = GRANTED, 6
      end
    end
  elseif usual and (release or acquire) and not (lines and call('EXISTS', WAIT .. name) > 0) then
    local lock = LOCK .. name
    if release then
      local held = pcall_redis('GET', lock)
      if type(held) == 'string' and find(held, ARGV[at + 2] .. ':', 1, true) == 1 then
        call('DEL', lock)
        code, value, length = RELEASED, 0, 3
      end
    else
      local proposal, ttl = ARGV[at + 3], ARGV[at + 5]
      local token = tonumber(proposal)
      if earliest_us <= token and token <= latest_us and tonumber(ttl) <= TTL_MAX then
        local fence = FENCE .. ARGV[at + 4]
        -- The lock first: out of memory it is refused before anything is written, and once it is written the stripe cannot be.
        local set = pcall_redis('SET', lock, ARGV[at + 2] .. ':' .. proposal, 'NX', 'PX', ttl)
        if set and set.ok then
          local drawn = pcall_redis('SET', fence, proposal, 'GET')
          if not drawn or type(drawn) == 'string' and (tonumber(drawn) or TOKEN_END) < token then
            code, value, length = GRANTED, token, operation == 'q' and 7 or 6
          else
            -- The stripe is ahead, or holds no token: as if nothing had been tried.
            if type(drawn) == 'string' then call('SET', fence, drawn) end
            call('DEL', lock)
          end
        end
      end
    end
  end
  if not code then
    run = run or make_operations(time_us, plain)
    code, value, length = run(at)
    lines = lines or code == WAITING
    usual = usual and operation ~= 's' -- from here on a shadow may stand
  end
  reply[filled + 1], reply[filled + 2] = code, value
  at, filled = at + length, filled + 2
  operation = ARGV[at]
end
return reply
