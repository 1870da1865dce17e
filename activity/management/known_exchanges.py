"""Six exchanges to begin with, as their public documentation told them. A start, edited in the Django admin.

Limits carry their unit in their name. Fees are those of the lowest tier for spot trading, in percent of the traded
value. Restrictions name countries (ISO 3166-1 alpha-2) that the exchange's terms exclude, the most asked-for ones.
"""

from typing import Any, Final

KNOWN_EXCHANGES: Final[tuple[dict[str, Any], ...]] = (
    {
        "name": "binance",
        "display_name": "Binance",
        "ws_url": "wss://stream.binance.com:9443",
        "rest_url": "https://api.binance.com",
        "timeframes": ["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M"],
        "api_limits": {
            "request_weight_per_minute": 6000,
            "orders_per_10_seconds": 100,
            "orders_per_day": 200_000,
            "ws_connections_per_5_minutes": 300,
            "ws_streams_per_connection": 1024,
        },
        "fee_schedule": {"maker_percent": 0.1, "taker_percent": 0.1},
        "geo_restrictions": ["CA", "CU", "IR", "KP", "NL", "SY", "US"],
    },
    {
        "name": "binance_us",
        "display_name": "Binance.US",
        "ws_url": "wss://stream.binance.us:9443",
        "rest_url": "https://api.binance.us",
        "timeframes": ["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M"],
        "api_limits": {
            "request_weight_per_minute": 1200,
            "orders_per_10_seconds": 100,
            "orders_per_day": 200_000,
            "ws_connections_per_5_minutes": 300,
            "ws_streams_per_connection": 1024,
        },
        "fee_schedule": {"maker_percent": 0.38, "taker_percent": 0.57},
        "geo_restrictions": [],
    },
    {
        "name": "coinbase",
        "display_name": "Coinbase",
        "ws_url": "wss://advanced-trade-ws.coinbase.com",
        "rest_url": "https://api.coinbase.com/api/v3/brokerage",
        "timeframes": ["1m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "1d"],
        "api_limits": {
            "public_requests_per_second": 10,
            "private_requests_per_second": 30,
            "ws_connections_per_second": 8,
            "ws_unauthenticated_messages_per_second": 8,
        },
        "fee_schedule": {"maker_percent": 0.6, "taker_percent": 1.2},
        "geo_restrictions": ["CU", "IR", "KP", "RU", "SY"],
    },
    {
        "name": "kraken",
        "display_name": "Kraken",
        "ws_url": "wss://ws.kraken.com/v2",
        "rest_url": "https://api.kraken.com",
        "timeframes": ["1m", "5m", "15m", "30m", "1h", "4h", "1d", "1w"],
        "api_limits": {
            "public_requests_per_second": 1,
            "private_counter_limit": 15,
            "private_counter_decay_per_second": 0.33,
            "ws_connections_per_10_minutes": 150,
        },
        "fee_schedule": {"maker_percent": 0.25, "taker_percent": 0.4},
        "geo_restrictions": ["AF", "BY", "CU", "IR", "KP", "RU", "SY"],
    },
    {
        "name": "kucoin",
        "display_name": "KuCoin",
        "ws_url": "wss://ws-api-spot.kucoin.com",
        "rest_url": "https://api.kucoin.com",
        "timeframes": ["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "1w", "1M"],
        "api_limits": {
            "public_weight_per_30_seconds": 2000,
            "spot_weight_per_30_seconds": 4000,
            "ws_connections_per_30_minutes": 500,
            "ws_messages_per_10_seconds": 100,
            "ws_topics_per_connection": 400,
        },
        "fee_schedule": {"maker_percent": 0.1, "taker_percent": 0.1},
        "geo_restrictions": ["CN", "CU", "HK", "IR", "KP", "SG", "SY", "US"],
    },
    {
        "name": "mexc",
        "display_name": "MEXC",
        "ws_url": "wss://wbs-api.mexc.com/ws",
        "rest_url": "https://api.mexc.com",
        "timeframes": ["1m", "5m", "15m", "30m", "1h", "4h", "8h", "1d", "1w", "1M"],
        "api_limits": {
            "request_weight_per_10_seconds": 500,
            "ws_messages_per_second": 100,
            "ws_streams_per_connection": 30,
        },
        "fee_schedule": {"maker_percent": 0.0, "taker_percent": 0.05},
        "geo_restrictions": ["CA", "CN", "CU", "IR", "KP", "SG", "SY", "US"],
    },
)
