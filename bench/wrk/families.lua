-- Refresh tokens of live families (RFC 6749 §6). Each thread has its share; the new token of an answer replaces the old one. Tokens that
-- are under way when the run ends are lost; bench/prepare.mjs fills up before the next run.
tokens, first, last = {}, 1, 0

function keep(token)
  last = last + 1
  tokens[last] = token
end

function read_families()
  for number, token in ipairs(lines(env("BENCH_STATE") .. "/refresh.txt")) do
    if number % 2 == index then keep(token) end
  end
end

function next_family()
  local token = tokens[first]
  if token then
    tokens[first] = nil
    first = first + 1
  end
  return token
end

function renewal(token)
  return post(env("TOKEN_PATH"), "APP_BASIC", form { { "grant_type", "refresh_token" }, { "refresh_token", token } })
end

function finish(threads)
  local file = io.open(env("BENCH_STATE") .. "/refresh.txt", "w")
  for _, thread in ipairs(threads) do
    for _, token in pairs(thread:get("tokens")) do file:write(token, "\n") end
  end
  file:close()
end
