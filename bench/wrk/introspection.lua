-- Introspection (RFC 7662) of the people's access tokens in turn, asked by the client that they were issued to.
dofile(os.getenv("BENCH_WRK") .. "/common.lua")

function init()
  local messages, next_one = {}, index
  for _, token in ipairs(lines(env("BENCH_STATE") .. "/access.txt")) do
    messages[#messages + 1] = post(env("INTROSPECTION_PATH"), "APP_BASIC", form { { "token", token } })
  end
  request = function()
    next_one = next_one + 1
    return messages[next_one % #messages + 1]
  end
end

expect('"active"%s*:%s*true', '"sub"')
