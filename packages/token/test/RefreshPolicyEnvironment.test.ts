import { assert, it } from "@effect/vitest"
import { Configuration } from "@keelson/core"
import { ConfigProvider, Effect, String as Text } from "effect"
import { RefreshPolicy } from "../src/index.ts"

it.effect("[K-28 J16] [S2-24] RefreshPolicy from the environment has every option that was set", () =>
  Effect.gen(function*() {
    const set: RefreshPolicy.Options = {
      threshold: "90 seconds",
      cooldown: "3 minutes",
      maxSkew: "7 seconds",
      jitter: 0.05,
      defaultLifetime: "30 minutes",
      minLifetime: "2 minutes",
      maxLifetime: "12 hours",
      failureDelay: "3 seconds",
      maxFailureDelay: "4 minutes",
      refusalCooldown: "45 seconds",
      escalateAfter: 8
    }
    const env = Object.fromEntries(
      Object.entries(set).map(([name, value]) => [`TOKEN_${Text.constantCase(name)}`, String(value)])
    )
    const read = yield* Configuration.fromEnvironment(RefreshPolicy.RefreshPolicy, ["token"]).pipe(
      Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))
    )
    assert.deepStrictEqual(read, RefreshPolicy.make(set))
    for (const [name, value] of Object.entries(RefreshPolicy.make())) {
      assert.notDeepEqual(Reflect.get(read, name), value, `${name} is the default, so it would show nothing`)
    }
  }))
