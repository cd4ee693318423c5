import * as Schema from "effect/Schema"
import type { Auth } from "../../AuthOptions.ts"
import type { Bucket } from "../../BucketOptions.ts"
import type { Admin, Listen } from "../../ListenOptions.ts"

/** The parts of a configuration that depend on each other. */
interface Parts {
  readonly listen: Listen
  readonly auth: Readonly<Record<string, Auth>>
  readonly admin: Admin
  readonly buckets: ReadonlyArray<Bucket>
  readonly cache: { readonly buckets: Readonly<Record<string, unknown>> }
}

const quoted = (names: ReadonlyArray<string>): string => names.length === 0 ? "is empty" : `has ${names.join(", ")}`

/** The place of the first bucket that has the same member as one before it. */
const repeated = (buckets: ReadonlyArray<Bucket>, member: "name" | "path") => {
  const index = buckets.findIndex((bucket, at) => buckets.findIndex((other) => other[member] === bucket[member]) < at)
  return index === -1 || { path: ["buckets", index, member], issue: `a ${member} that no other bucket has` }
}

const policyExists = ({ auth, buckets }: Parts) => {
  const index = buckets.findIndex((bucket) => !bucket.public && !Object.hasOwn(auth, bucket.auth))
  return index === -1 || {
    path: ["buckets", index, "auth"],
    issue: `the name of a policy in auth, which ${quoted(Object.keys(auth))}; or set public for a bucket without tokens`
  }
}

const adminPolicy = ({ admin, auth, buckets }: Parts) => {
  if (!admin.enabled) return true
  const own = Object.hasOwn(auth, admin.auth) ? auth[admin.auth] : undefined
  if (own === undefined) {
    return { path: ["admin", "auth"], issue: `the name of a policy in auth, which ${quoted(Object.keys(auth))}` }
  }
  const users = buckets.filter((bucket) => !bucket.public)
  if (users.some((bucket) => bucket.auth === admin.auth)) {
    return { path: ["admin", "auth"], issue: "a policy that no bucket uses" }
  }
  const shared = own.audiences.findIndex((audience) =>
    users.some((bucket) => auth[bucket.auth]?.audiences.includes(audience) === true)
  )
  return shared === -1 ||
    { path: ["auth", admin.auth, "audiences", shared], issue: "an audience that no policy of a bucket accepts" }
}

const ports = ({ admin, listen }: Parts) =>
  !admin.enabled || admin.port === 0 || admin.port !== listen.port ||
  { path: ["admin", "port"], issue: "another port than that of listen" }

const cachedBuckets = ({ buckets, cache }: Parts) => {
  const unknown = Object.keys(cache.buckets).find((name) => !buckets.some((bucket) => bucket.name === name))
  return unknown === undefined || { path: ["cache", "buckets", unknown], issue: "the name of a bucket" }
}

/** The rules between parts of a configuration. */
export const configChecks = [
  Schema.makeFilter(({ buckets }: Parts) => repeated(buckets, "name")),
  Schema.makeFilter(({ buckets }: Parts) => repeated(buckets, "path")),
  Schema.makeFilter(policyExists),
  Schema.makeFilter(adminPolicy),
  Schema.makeFilter(ports),
  Schema.makeFilter(cachedBuckets)
] as const
