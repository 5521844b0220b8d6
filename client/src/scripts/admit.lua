-- Admission: looks at the server, and at the record of its last admission, in one step. A part of the one script; lease.lua
-- says what there is to know of it, and what this part takes and answers.

local call, sub = redis.call, string.sub

local known_set = ARGV[2]
local function info_field(info, name)
  return string.match(info, name .. ':([^\r\n]*)') or ''
end
local function refuse(reason) return {-2, reason} end

local time = call('TIME')
local now_us = time[1] * 1000000 + time[2]
local replication, server = call('INFO', 'replication'), call('INFO', 'server')
local version = info_field(server, 'redis_version')
if (tonumber(string.match(version, '^%d+')) or 0) < 7 then
  return refuse('the server is version ' .. version .. '; 7.0 or later is needed')
end
if info_field(replication, 'role') ~= 'master' then
  return refuse('the server is a replica; name an independent master instead')
end
if info_field(replication, 'connected_slaves') ~= '0' then
  return refuse('the server has replicas; a promoted one would be a second voter for the same vote: detach them')
end

local policy = info_field(call('INFO', 'memory'), 'maxmemory_policy')
if policy ~= 'noeviction' then
  return refuse('the server may evict locks (maxmemory-policy ' .. policy .. '); set it to noeviction')
end

local identity = ' replid=' .. info_field(replication, 'master_replid') .. ' run=' .. info_field(server, 'run_id')
local found = call('GET', MEMBER)
if ARGV[1] == 'fresh' then
  if found then return refuse('the server was admitted before (' .. found .. '); only a brand-new set can be declared fresh') end
  local member = SETTINGS .. ' set=' .. known_set .. ' durable=no' .. identity
  call('SET', MEMBER, member)
  return {now_us, member, quarantine_left()}
end

local set, durable = known_set, 'no'
if found then
  local settings, found_set, found_durable = string.match(found, '^(.*) set=(%S+) durable=(%S+) replid=')
  if settings ~= SETTINGS and ARGV[1] ~= 'reconfigure' then
    return refuse('the server was admitted with other settings (' .. (settings or found) .. ') than this client\'s (' .. SETTINGS .. '); make them agree')
  end
  if set == '-' then set = found_set or '-' end
  if found_set and found_set ~= '-' and found_set ~= set then
    return refuse('the server belongs to another set (' .. found_set .. ') than the other endpoints (' .. set .. '); correct the list of endpoints')
  end
  durable = found_durable or 'no'
end
local same = found and sub(found, -#identity) == identity
if ARGV[1] == 'durable' then
  if not same then return refuse('the server has not been admitted since it started; let a client admit it first') end
  durable = 'yes'
end
if durable == 'yes' and info_field(call('INFO', 'persistence'), 'aof_enabled') ~= '1' then
  if ARGV[1] == 'durable' then return refuse('the server writes no append-only file; set appendonly yes and appendfsync always') end
  durable = 'no'
end
-- A restart of a durable server forgets nothing. A promotion does, and leaves its mark in the second replication id.
local restarted_whole = durable == 'yes' and string.match(info_field(replication, 'master_replid2'), '^0+$')
local reason = ARGV[1] == 'distrust' and 'its clock ran or was stepped beyond the drift bound'
  or ARGV[1] == 'reconfigure' and 'its settings were changed'
  or not found and 'no record of an admission'
  or not same and not restarted_whole and 'identity changed'
local member = SETTINGS .. ' set=' .. set .. ' durable=' .. durable .. identity
if reason then
  -- Another process, another data set, other rules or another clock than when it voted: votes may be forgotten, or end too
  -- soon. Both keys in this one step.
  call('SET', QUARANTINE, reason, 'PX', QUARANTINE_MS)
end
if found ~= member then call('SET', MEMBER, member) end
return {now_us, member, quarantine_left()}
