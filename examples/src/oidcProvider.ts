/** `oidc-provider`, a certified OpenID provider: what the examples use of the package, which has no types. */
import type { RequestListener } from "node:http"
import { createRequire } from "node:module"

export interface OidcProvider {
  readonly callback: () => RequestListener
  /** Tokens that it knows by heart, since they are no JWTs. */
  readonly ClientCredentials: { readonly find: (token: string) => Promise<{ readonly clientId: string } | undefined> }
}

interface Module {
  readonly Provider: new(issuer: string, configuration: object) => OidcProvider
}
export const { Provider }: Module = createRequire(import.meta.url)("oidc-provider")

/** An adapter that keeps nothing: JWTs need no store. */
export class Forgetful {
  readonly upsert = async (): Promise<void> => {}
  readonly find = async (): Promise<undefined> => {}
  readonly destroy = async (): Promise<void> => {}
}
