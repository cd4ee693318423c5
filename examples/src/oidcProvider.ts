/** Types for what the examples use of `oidc-provider`, a certified OpenID provider without types. */
import type { RequestListener } from "node:http"
import { createRequire } from "node:module"

export interface OidcProvider {
  readonly callback: () => RequestListener
  /** Looks up an opaque token. */
  readonly ClientCredentials: { readonly find: (token: string) => Promise<{ readonly clientId: string } | undefined> }
}

interface Module {
  readonly Provider: new(issuer: string, configuration: object) => OidcProvider
}
export const { Provider }: Module = createRequire(import.meta.url)("oidc-provider")

/** An adapter that stores nothing, since JWTs need no store. */
export class NoStore {
  readonly upsert = async (): Promise<void> => {}
  readonly find = async (): Promise<undefined> => {}
  readonly destroy = async (): Promise<void> => {}
}
