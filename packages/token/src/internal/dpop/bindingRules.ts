import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as BindingOptions from "../../BindingOptions.ts"
import { encodeText } from "../validation/platform.ts"
import type { BindingRules } from "./confirmation.ts"
import { modeOf } from "./modeOf.ts"
import { Nonces } from "./nonces.ts"

type Options = BindingOptions.BindingOptions

const decodeDPoP = Schema.decodeSync(BindingOptions.DPoP)

/** All options of proofs. */
export const dpopOptions = ({ dpop }: Options): BindingOptions.DPoP =>
  typeof dpop === "string" ? decodeDPoP({ mode: dpop }) : dpop

/** In which ways tokens may be bound. */
export const bindingRules = (options: Options): BindingRules => ({
  dpop: modeOf(options.dpop),
  mtls: modeOf(options.mtls),
  requireBinding: options.requireBinding,
  ignoresUnsupported: options.unsupportedBinding === "ignore"
})

/** The header in which a proxy sends client certificates. */
export const certificateHeader = ({ mtls }: Options): BindingOptions.CertificateHeader | undefined =>
  typeof mtls === "string" ? undefined : mtls.header

/** The nonces of an API; `undefined` where it requires none. */
export const makeNonces = (
  { nonce, nonceKey, noncePeriod }: BindingOptions.DPoP
): Effect.Effect<Nonces | undefined> => {
  if (nonce === "off") return Effect.undefined
  const secret = nonceKey === undefined
    ? new Uint8Array(SecureRandom.randomBytesUnsafe(32))
    : encodeText(Redacted.value(nonceKey))
  return Nonces.make(secret, Duration.toMillis(noncePeriod))
}
