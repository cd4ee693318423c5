/** Keys and sources for tests of shared tokens. */
import { createHash } from "node:crypto"

/** A key, the same for each seed. */
export const keyText = (seed: number): string => createHash("sha256").update(`key ${seed}`).digest("base64")
