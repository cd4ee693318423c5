import type { CodeInfo } from "../../ErrorCode.ts"
import { audit } from "./catalogue/audit.ts"
import { authentication } from "./catalogue/authentication.ts"
import { authorization } from "./catalogue/authorization.ts"
import { cache } from "./catalogue/cache.ts"
import { configuration } from "./catalogue/configuration.ts"
import { gateway } from "./catalogue/gateway.ts"
import { internal } from "./catalogue/internal.ts"
import { keys } from "./catalogue/keys.ts"
import { network } from "./catalogue/network.ts"
import { objectStore } from "./catalogue/objectStore.ts"
import { validation } from "./catalogue/validation.ts"

/** The entries by name. Ids and names are never reused for another meaning. */
export const catalogue = {
  ...configuration,
  ...authentication,
  ...network,
  ...keys,
  ...validation,
  ...authorization,
  ...internal,
  ...cache,
  ...audit,
  ...gateway,
  ...objectStore
} as const satisfies Record<string, CodeInfo>
