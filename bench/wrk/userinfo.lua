-- Userinfo: OpenID Connect Core §5.3, with the people's access tokens in turn.
dofile(os.getenv("BENCH_WRK") .. "/common.lua")

function init()
  local messages, next_one = {}, index
  for _, token in ipairs(lines(env("BENCH_STATE") .. "/access.txt")) do
    messages[#messages + 1] = wrk.format("GET", env("USERINFO_PATH"), { ["Authorization"] = "Bearer " .. token })
  end
  request = function()
    next_one = next_one + 1
    return messages[next_one % #messages + 1]
  end
end

expect('"sub"', '"name"')
