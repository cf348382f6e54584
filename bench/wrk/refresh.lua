-- Renewal: RFC 6749 §6. Each thread has its share of the live families; the new token of an answer replaces the old one.
-- Tokens that are under way when the run ends are lost; bench/prepare.mjs fills up before the next run.
dofile(os.getenv("BENCH_WRK") .. "/common.lua")

tokens, first, last = {}, 1, 0

function init()
  for number, token in ipairs(lines(env("BENCH_STATE") .. "/refresh.txt")) do
    if number % 2 == index then
      last = last + 1
      tokens[last] = token
    end
  end
end

function request()
  local token = tokens[first]
  if token then
    tokens[first] = nil
    first = first + 1
  end
  return post(env("TOKEN_PATH"), "APP_BASIC", form { { "grant_type", "refresh_token" }, { "refresh_token", token or "none_left" } })
end

function response(status, _, body)
  local token = member(body, "refresh_token")
  count(status == 200 and token and member(body, "access_token"), status, body)
  if status == 200 and token then
    last = last + 1
    tokens[last] = token
  end
end

function finish(threads)
  local file = io.open(env("BENCH_STATE") .. "/refresh.txt", "w")
  for _, thread in ipairs(threads) do
    for _, token in pairs(thread:get("tokens")) do file:write(token, "\n") end
  end
  file:close()
end
