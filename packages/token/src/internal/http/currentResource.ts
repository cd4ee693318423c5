import * as Context from "effect/Context"
import type { ProtectionSpace } from "./challenge.ts"

/** What the challenges of an API take from its protected resource metadata, unless the API's own options say otherwise. */
export type ResourceSpace = Pick<ProtectionSpace, "resourceMetadata" | "scopes">

/** The protected resource whose metadata `ProtectedResource.layer` serves. Default none. */
export const CurrentResource = Context.Reference<ResourceSpace | undefined>("@keelson/token/CurrentResource", {
  defaultValue: () => undefined
})
