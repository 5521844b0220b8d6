-- What every part counts with: codes of replies, and bounds.
local GRANTED, RELEASED, HELD, MISSING, NOT_A_LOCK, SUPERSEDED, QUARANTINED, TTL_TOO_LONG, REFUSED = 1, 2, 3, 4, 5, 6, 7, 8, 9
local WAITING = 10
local PROPOSAL_SLACK_US = 4000000 -- how far a proposal may be from this server's clock
local TOKEN_END = 9007199254740992 -- 2^53: Lua counts exactly below it
