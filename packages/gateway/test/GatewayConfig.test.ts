import { assert, describe, it } from "@effect/vitest"
import * as Configuration from "@keelson/core/Configuration"
import { GatewayConfig } from "@keelson/gateway"
import * as Effect from "effect/Effect"

const text = `
listen: { host: "::", port: 8080 }
auth:
  default: { profile: accessToken, issuers: [https://idp.example], audiences: [assets], algorithms: [RS256], jwks: {} }
cache: { enabled: true, layers: [memory, disk], memory: { maxItemSize: 10 MiB, maxSize: 1 GiB, ttl: 1 hour }, disk: { dir: /var/cache/keelson, maxSize: 10 GiB } }
buckets:
  - name: products
    path: /products
    replicas: [ { endpoint: https://s3.eu-west-1.amazonaws.com, region: eu-west-1, bucket: products, credentials: { env: PRODUCTS } } ]
    require: { scopes: [products:read], claims: { tenant: acme } }
    cache: { ttl: 2 hours, maxItemSize: 5 MiB }
    access: { allow: [10.0.0.0/8], block: [10.9.0.0/16] }
    rateLimit: { perUser: 100 per second, perAddress: 20 per second }
`

describe("GatewayConfig", () => {
  it.effect("decodes", () =>
    Effect.gen(function*() {
      const config = yield* Configuration.decodeText(GatewayConfig.GatewayConfig, { format: "yaml", text })
      assert.strictEqual(config.buckets[0]?.name, "products")
      console.log(JSON.stringify(config, (k, v) => typeof v === "bigint" ? String(v) : v, 1))
    }))
})
