/**
 * Parsed documents of configuration: their bounds, and their values as text for codecs that read text.
 */
export { isBounded, unbounded } from "../internal/configuration/decodeResult.ts"

/** Every leaf as text, so that a number from `${VAR}` decodes as a number. */
export const stringTree = (tree: unknown): unknown => {
  if (Array.isArray(tree)) return tree.map(stringTree)
  if (typeof tree === "object" && tree !== null) {
    return Object.fromEntries(Object.entries(tree).map(([key, value]) => [key, stringTree(value)]))
  }
  return typeof tree === "number" || typeof tree === "boolean" || typeof tree === "bigint" ? String(tree) : tree
}
