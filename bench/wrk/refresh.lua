-- Renewal: RFC 6749 §6.
dofile(os.getenv("BENCH_WRK") .. "/common.lua")
dofile(os.getenv("BENCH_WRK") .. "/families.lua")

init = read_families

function request() return renewal(next_family() or "none_left") end

function response(status, _, body)
  local token = member(body, "refresh_token")
  count(status == 200 and token and member(body, "access_token"), status, body)
  if status == 200 and token then keep(token) end
end
