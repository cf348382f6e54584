-- Machine tokens at a fixed rate (SOAK_RATE a second), whatever the answers take: each request has its moment. One in ten is a renewal.
dofile(os.getenv("BENCH_WRK") .. "/common.lua")
dofile(os.getenv("BENCH_WRK") .. "/families.lua")
local ffi = require("ffi")
ffi.cdef [[ typedef struct { long sec; long nsec; } soak_time; int clock_gettime(int clock, soak_time *now); ]]
local at = ffi.new("soak_time")
local function now() ffi.C.clock_gettime(1, at); return tonumber(at.sec) * 1000 + tonumber(at.nsec) / 1e6 end

local slot, interval, machine
local turn = 0

function init()
  interval = 2000 / tonumber(env("SOAK_RATE")) -- two threads
  slot = now()
  machine = post(env("TOKEN_PATH"), "MACHINE_BASIC", form { { "grant_type", "client_credentials" }, { "scope", "balances" } })
  read_families()
end

function delay()
  slot = math.max(slot + interval, now() - 1000) -- after a stop of the machine the missed moments are not made up for
  return math.max(0, slot - now())
end

function request()
  turn = turn + 1
  local token = turn % 10 == 0 and next_family()
  return token and renewal(token) or machine
end

function response(status, _, body)
  count(status == 200 and member(body, "access_token"), status, body)
  local token = status == 200 and member(body, "refresh_token")
  if token then keep(token) end
end
