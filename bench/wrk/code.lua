-- Authorization request of somebody who is signed in and has consented before, then the exchange of the code: RFC 6749 §4.1.
-- One iteration is both requests. A code waits for whichever connection of this thread is free next.
dofile(os.getenv("BENCH_WRK") .. "/common.lua")

local asks, asked, codes, first, last = {}, 0, {}, 1, 0

function init()
  asked = index
  for _, cookies in ipairs(lines(env("BENCH_STATE") .. "/cookies.txt")) do
    asks[#asks + 1] = wrk.format("GET", env("AUTHORIZE_REQUEST"), { ["Cookie"] = cookies })
  end
end

function request()
  if first <= last then
    local code = codes[first]
    codes[first] = nil
    first = first + 1
    return post(env("TOKEN_PATH"), "APP_BASIC", form {
      { "grant_type", "authorization_code" }, { "code", code }, { "redirect_uri", env("REDIRECT_URI") }, { "code_verifier", env("CODE_VERIFIER") } })
  end
  asked = asked + 1
  return asks[asked % #asks + 1]
end

function response(status, headers, body)
  if status == 302 or status == 303 then
    local code = (header(headers, "Location") or ""):match("[?&]code=([^&]+)")
    if code then
      last = last + 1
      codes[last] = code:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
    else
      count(false, status, header(headers, "Location") or "")
    end
  else
    count(status == 200 and member(body, "access_token") and member(body, "refresh_token") and member(body, "id_token"), status, body)
  end
end
