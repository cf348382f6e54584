-- The public keys: RFC 7517.
dofile(os.getenv("BENCH_WRK") .. "/common.lua")
wrk.path = env("JWKS_PATH")
expect('"keys"')
