import * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Field from "@keelson/core/unstable/Field"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { digest } from "./seal.ts"
import type { RefreshTokenSettings } from "./sharedRefreshToken.ts"
import type { RefreshTokenOptions } from "./sharedTokensTag.ts"

const decode = Configuration.decode(Schema.Struct({
  name: Field.text(1, 200),
  initial: Schema.optionalKey(Schema.RedactedFromValue(Field.text(1, 16_384), { label: "initial" })),
  onStoreFailure: Field.defaulted(Schema.Literals(["refuse", "alone"]), "refuse")
}))

/** Checked options of a refresh token. Fails with `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound. */
export const refreshTokenSettings = Effect.fnUntraced(function*(
  options: RefreshTokenOptions
): Effect.fn.Return<RefreshTokenSettings, KeelsonError.ConfigurationError> {
  const { initial, name, onStoreFailure } = yield* decode(options)
  // A hash of a random text of this length reveals nothing; half of it is enough to tell refresh tokens apart.
  const seed = initial === undefined ? undefined : (yield* digest(`${name} ${Redacted.value(initial)}`)).slice(0, 22)
  return { name, initial, seed, isAloneAllowed: onStoreFailure === "alone" }
})
