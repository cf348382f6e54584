-- A machine's own token: RFC 6749 §4.4.
dofile(os.getenv("BENCH_WRK") .. "/common.lua")

wrk.method, wrk.path = "POST", env("TOKEN_PATH")
wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
wrk.headers["Authorization"] = "Basic " .. env("MACHINE_BASIC")
wrk.body = form { { "grant_type", "client_credentials" }, { "scope", "balances" } }
expect('"access_token"', '"token_type"')
