from plugin_api.sidecar.shoppers.rate_limiter import RateLimiter


def test_a_client_may_spend_its_minute_and_then_waits() -> None:
    now = [0.0]
    limiter = RateLimiter(60, lambda: now[0])
    assert limiter.spend("a", 60)
    assert not limiter.spend("a", 1)
    assert limiter.spend("b", 1)
    now[0] = 10.0
    assert limiter.spend("a", 10)
    assert not limiter.spend("a", 1)
