import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as InvalidConfig from "@keelson/core/unstable/InvalidConfig"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Struct from "effect/Struct"
import * as ClientAuth from "../../ClientAuth.ts"
import type { OAuthOptions } from "../../OAuthOptions.ts"
import type { RequestOptions } from "./requestOptions.ts"

/** The options that a client authenticates with, which are not options of its requests. */
const names = [
  "authMethod",
  "clientSecret",
  "privateKey",
  "privateKeyPassphrase",
  "privateKeyAlgorithm",
  "privateKeyId",
  "certificate",
  "certificateThumbprint",
  "assertionAudience",
  "assertionTyp",
  "clientAssertionFile"
] as const

/** The options of a client's requests alone. */
export const requestOptionsOf = (options: OAuthOptions): RequestOptions => Struct.omit(options, names)

const needsFileSystem = () =>
  InvalidConfig.option("clientAssertionFile", "left out without a FileSystem in context", {
    message: "clientAssertionFile needs a FileSystem: provide one to this layer, such as NodeFileSystem.layer"
  })

const assertionFile = Effect.fnUntraced(function*(path: string) {
  const fs = yield* Effect.serviceOption(FileSystem.FileSystem)
  if (Option.isNone(fs)) return yield* needsFileSystem()
  return ClientAuth.clientAssertion(Effect.map(fs.value.readFileString(path), (text) => Redacted.make(text)))
})

/** The options' check requires what the method authenticates with. */
const given = <A>(value: A | undefined): Effect.Effect<A> =>
  value === undefined ? Effect.die(new Error("OAuthOptions without what its method needs")) : Effect.succeed(value)

const withKey = Effect.fnUntraced(function*(options: OAuthOptions) {
  const { assertionAudience: audience, assertionTyp: typ, certificateThumbprint: thumbprint, privateKey } = options
  const key = yield* ClientAuth.importKey({
    text: yield* given(privateKey),
    passphrase: options.privateKeyPassphrase,
    alg: options.privateKeyAlgorithm,
    kid: options.privateKeyId,
    certificate: options.certificate
  })
  return ClientAuth.privateKeyJwt(key, { audience, typ, thumbprint })
})

/**
 * The authentication of a client with checked options. Fails with `ConfigurationError`: `KEY_INVALID` for a private key that cannot
 * be used, `INVALID_CONFIG` for a file without a `FileSystem`.
 */
export const clientAuthFrom = (
  options: OAuthOptions
): Effect.Effect<ClientAuth.ClientAuth, KeelsonError.ConfigurationError> => {
  const { assertionAudience: audience, authMethod, clientAssertionFile, clientSecret } = options
  switch (authMethod) {
    case "client_secret_basic":
      return Effect.map(given(clientSecret), ClientAuth.secretBasic)
    case "client_secret_post":
      return Effect.map(given(clientSecret), ClientAuth.secretPost)
    case "client_secret_jwt":
      return Effect.map(given(clientSecret), (secret) => ClientAuth.secretJwt(secret, { audience }))
    case "private_key_jwt":
      return withKey(options)
    case "client_assertion":
      return Effect.flatMap(given(clientAssertionFile), assertionFile)
    case "tls_client_auth":
      return Effect.succeed(ClientAuth.certificate)
    case "none":
      return Effect.succeed(ClientAuth.none)
  }
}
