import { Predicate, Result } from "effect"

/** SHA-256 of a text in base64url, at once. */
export type HashText = (text: string) => string

/** Node's one-shot hash (Node 20.12), which Bun, Deno and workerd have too. */
const isHash = (u: unknown): u is (algorithm: string, data: string, encoding: string) => string =>
  Predicate.isFunction(u)

const builtin = (name: string): unknown => {
  const { process } = globalThis
  return process?.getBuiltinModule?.(name)
}

/**
 * The platform's synchronous hash; `undefined` where there is none, as in browsers. It is reached without an import, so
 * that this file loads everywhere.
 */
export const hashText: HashText | undefined = Result.getOrUndefined(Result.try(() => {
  const module = builtin("node:crypto")
  if (!Predicate.hasProperty(module, "hash") || !isHash(module.hash)) return undefined
  const { hash } = module
  return (text: string) => hash("sha256", text, "base64url")
}))
