-- How long this server still gives no votes, in ms. A quarantine without expiry was set by hand: it lasts.
local function quarantine_left()
  local left = redis.call('PTTL', QUARANTINE)
  if left == -2 then return 0 end
  if left == -1 then return QUARANTINE_MS end
  return math.max(left, 1)
end
