/** An upper bound of what a validator may accept, computed without the validator's code; and the validator of hostile inputs. */
import { StaticKeys } from "@keelson/jwks"
import { audience, issuer, validatorOf } from "@keelson/testing/tokens"
import { Redacted } from "effect"
import { ValidationPolicy } from "../../src/index.ts"
import { type Input, now, secret, trusted } from "./hostile.ts"

const json = (segment: string | undefined): Readonly<Record<string, unknown>> => {
  const value: unknown = JSON.parse(Buffer.from(segment ?? "", "base64url").toString())
  return typeof value === "object" && value !== null ? { ...value } : {}
}

const isList = (value: unknown): value is ReadonlyArray<unknown> => Array.isArray(value)

/** The reasons why an accepted token should have been rejected. */
export const objections = ({ isSigned, token }: Input): ReadonlyArray<string> => {
  const [head, body] = token.split(".")
  const header = json(head)
  const claims = json(body)
  const { aud, exp, iat, iss, nbf } = claims
  const checks: ReadonlyArray<readonly [string, boolean]> = [
    ["signature", isSigned],
    [
      "alg",
      (header["alg"] === "HS256" && header["kid"] === "h") || (header["alg"] === "EdDSA" && header["kid"] === "e") ||
      (header["kid"] === undefined && ["HS256", "EdDSA"].includes(String(header["alg"])))
    ],
    ["typ", header["typ"] === "at+jwt"],
    ["crit", header["crit"] === undefined && header["b64"] === undefined],
    ["iss", iss === issuer],
    ["aud", aud === audience || (isList(aud) && aud.includes(audience) && aud.length <= 64)],
    ["exp", typeof exp === "number" && Number.isFinite(exp) && exp > now - 30],
    ["nbf", nbf === undefined || (typeof nbf === "number" && nbf <= now + 30)],
    ["iat", typeof iat === "number" && iat <= now + 30],
    ["texts", ["sub", "client_id", "jti"].every((name) => typeof claims[name] === "string")]
  ]
  return checks.flatMap(([name, holds]) => holds ? [] : [name])
}

const keys = StaticKeys.layer({
  issuers: [issuer],
  keys: [
    { id: "h", algorithm: "HS256", secret: Redacted.make(secret) },
    { id: "e", algorithm: "EdDSA", jwk: trusted[1].publicKey?.export({ format: "jwk" }) ?? {} }
  ]
})

/** A validator that trusts the keys of hostile inputs. */
export const hostileValidator = (
  policy: ValidationPolicy.Options = ValidationPolicy.accessToken({
    issuers: [issuer],
    audiences: [audience],
    algorithms: ["HS256", "EdDSA"]
  })
) => validatorOf(policy, keys)
