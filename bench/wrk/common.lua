-- What every scenario shares. Settings come from the environment (bench/lib.sh): the same script drives each server.
-- BENCH_CHECK=status leaves bodies unread: for answers so cheap that reading them would be most of the load's own work.

local threads = {}
good, bad, first_bad = 0, 0, ""

function env(name) return os.getenv(name) or error(name .. " is not set") end

function setup(thread)
  thread:set("index", #threads)
  table.insert(threads, thread)
end

function lines(file)
  local all = {}
  for line in io.lines(file) do all[#all + 1] = line end
  return all
end

function encode(text)
  return (text:gsub("[^%w%-%._~]", function(c) return string.format("%%%02X", c:byte()) end))
end

function form(fields)
  local parts = {}
  for _, field in ipairs(fields) do parts[#parts + 1] = field[1] .. "=" .. encode(field[2]) end
  return table.concat(parts, "&")
end

-- A POST of a form by the client whose Basic credentials are in the variable named.
function post(path, credentials, body)
  return wrk.format("POST", path, { ["Content-Type"] = "application/x-www-form-urlencoded", ["Authorization"] = "Basic " .. env(credentials) }, body)
end

-- Names of header fields come as the server wrote them.
function header(headers, name) return headers[name] or headers[name:lower()] end

function count(ok, status, body)
  if ok then good = good + 1 else
    bad = bad + 1
    if first_bad == "" then first_bad = (status .. " " .. body):gsub("%s+", " "):sub(1, 300) end
  end
end

-- Counts an answer as good when its status is 200 and its body has each of the patterns.
function expect(...)
  local patterns = { ... }
  if os.getenv("BENCH_CHECK") == "status" then return end
  response = function(status, _, body)
    local ok = status == 200
    for _, pattern in ipairs(patterns) do ok = ok and body:find(pattern) ~= nil end
    count(ok, status, body)
  end
end

-- A member of a JSON object whose value is a string.
function member(body, name) return body:match('"' .. name .. '"%s*:%s*"([^"]+)"') end

function done(summary, latency)
  local sum = { good = 0, bad = 0 }
  local first = ""
  for _, thread in ipairs(threads) do
    sum.good, sum.bad = sum.good + thread:get("good"), sum.bad + thread:get("bad")
    if first == "" then first = thread:get("first_bad") end
  end
  if sum.good + sum.bad == 0 then sum.good = summary.requests - summary.errors.status end
  local e = summary.errors
  io.write(string.format("RESULT duration_us=%d requests=%d good=%d bad=%d status_errors=%d socket_errors=%d timeouts=%d p50_us=%d p99_us=%d\n",
    summary.duration, summary.requests, sum.good, sum.bad, e.status, e.connect + e.read + e.write, e.timeout, latency:percentile(50), latency:percentile(99)))
  if first ~= "" then io.write("BAD " .. first .. "\n") end
  if finish then finish(threads) end
end
