import { decodeOnce } from "../target/path.ts"

/** What a request to the admin API names. */
export type AdminTarget =
  | { readonly _tag: "PurgeAll" | "Stats" | "Reload" }
  | { readonly _tag: "PurgeBucket" | "BucketStats"; readonly bucket: string }
  | { readonly _tag: "PurgeObject"; readonly bucket: string; readonly key: string }
  /** Another method is served at this path. */
  | { readonly _tag: "Method"; readonly allow: string }
  | { readonly _tag: "Unknown" }

const unknown: AdminTarget = { _tag: "Unknown" }
const roots = { purge: "/admin/cache/purge", stats: "/admin/cache/stats", reload: "/admin/reload" } as const

/** The rest of a path behind a root: empty for the root itself, `undefined` for another path. */
const behind = (path: string, root: string): string | undefined =>
  path === root ? "" : path.startsWith(`${root}/`) ? path.slice(root.length + 1) : undefined

const purgeOf = (rest: string): AdminTarget => {
  if (rest === "") return { _tag: "PurgeAll" }
  const slash = rest.indexOf("/")
  const bucket = decodeOnce(slash < 0 ? rest : rest.slice(0, slash))
  if (bucket === undefined || bucket === "") return unknown
  if (slash < 0) return { _tag: "PurgeBucket", bucket }
  const key = decodeOnce(rest.slice(slash + 1))
  return key === undefined || key === "" ? unknown : { _tag: "PurgeObject", bucket, key }
}

const statsOf = (rest: string): AdminTarget => {
  if (rest === "") return { _tag: "Stats" }
  const bucket = decodeOnce(rest)
  return bucket === undefined ? unknown : { _tag: "BucketStats", bucket }
}

/** Reads the raw target: the key of an object is decoded once, and nothing is normalized. */
export const adminTarget = (method: string, target: string): AdminTarget => {
  const [path = ""] = target.split("?", 1)
  const [purge, stats, reload] = [behind(path, roots.purge), behind(path, roots.stats), behind(path, roots.reload)]
  if (purge !== undefined) return method === "POST" ? purgeOf(purge) : { _tag: "Method", allow: "POST" }
  if (stats !== undefined) return method === "GET" ? statsOf(stats) : { _tag: "Method", allow: "GET" }
  if (reload === "") return method === "POST" ? { _tag: "Reload" } : { _tag: "Method", allow: "POST" }
  return unknown
}
