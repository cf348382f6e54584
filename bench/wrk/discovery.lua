-- Server metadata: RFC 8414, OpenID Connect Discovery §4.
dofile(os.getenv("BENCH_WRK") .. "/common.lua")
wrk.path = "/.well-known/openid-configuration"
expect('"token_endpoint"')
