import { inUnit, olderNames } from "./olderNames.ts"
import { type Current, isOff, isOn, isSection, Reader, type Section, without } from "./olderShape.ts"

const perSecond = inUnit("per second")

/** A bucket in the names of today, and the policy of its own that an older one may have. */
const bucketOf = (
  reader: Reader,
  bucket: unknown,
  index: number,
  shared: { readonly require: Section | undefined; readonly perAddress: unknown },
  policies: Record<string, unknown>
): unknown => {
  if (!isSection(bucket)) return bucket
  const at = `buckets.${index}`
  const renamed = reader.rename(bucket, olderNames.bucket, at)
  if (!isSection(renamed)) return renamed
  const { access, auth, cache, s3 } = renamed
  const current: Record<string, unknown> = { ...without(renamed, "s3") }
  if (access !== undefined) {
    const older = bucket["access"] === undefined ? `${at}.ip_filter` : `${at}.access`
    current["access"] = reader.rename(access, olderNames.access, `${at}.access`, older)
  }
  if (cache !== undefined) current["cache"] = reader.rename(cache, olderNames.bucketCache, `${at}.cache`)
  if (isSection(s3)) {
    current["replicas"] = reader.replicas(s3, at, `${at}.s3`)
    const breaker = s3["circuit_breaker"]
    if (isSection(breaker)) {
      const known = reader.drop(breaker, `${at}.s3.circuit_breaker`, "half_open_max_requests")
      current["breaker"] = withProbes(
        reader.rename(known, olderNames.breaker, `${at}.breaker`, `${at}.s3.circuit_breaker`)
      )
    }
    const rate = isSection(s3["rate_limit"]) ? s3["rate_limit"]["requests_per_second"] : undefined
    const limits = {
      ...(rate === undefined ? undefined : { perBucket: perSecond(rate) }),
      ...(shared.perAddress === undefined ? undefined : { perAddress: perSecond(shared.perAddress) })
    }
    reader.origins.set(`${at}.rateLimit.perBucket`, `${at}.s3.rate_limit.requests_per_second`)
    reader.origins.set(`${at}.rateLimit.perAddress`, "server.rate_limit.per_ip.requests_per_second")
    if (Object.keys(limits).length > 0 && current["rateLimit"] === undefined) current["rateLimit"] = limits
  }
  if (!isSection(auth)) return current
  // Older buckets say whether they need a token; only an explicit `false` opens one.
  delete current["auth"]
  reader.unknown(without(auth, "enabled", "jwt"), `${at}.auth`)
  if (isOff(auth["enabled"])) return { ...current, public: true }
  const own = auth["jwt"]
  const name = String(renamed["name"])
  if (isSection(own)) {
    policies[name] = reader.policy(own, `auth.${name}`, `${at}.auth.jwt`)
    current["auth"] = name
  }
  const required = isSection(own) ? reader.claims(...claimsOf(own, `${at}.auth.jwt`)) : shared.require
  return required === undefined || current["require"] !== undefined ? current : { ...current, require: required }
}

/** The rules on claims of a policy, under the name that it has, and their path. */
const claimsOf = (jwt: Section, at: string): readonly [rules: unknown, at: string] =>
  jwt["claims"] === undefined
    ? [jwt["claims_verification"], `${at}.claims_verification`]
    : [jwt["claims"], `${at}.claims`]

/** A number of successes needs as many probes. */
const withProbes = (breaker: unknown): unknown =>
  isSection(breaker) && breaker["probeSuccesses"] !== undefined && breaker["probes"] === undefined
    ? { ...breaker, probes: breaker["probeSuccesses"] }
    : breaker

/** A policy without keys has the key set that its issuer's metadata name. */
const withKeys = (policy: unknown): unknown =>
  isSection(policy) && policy["keys"] === undefined && policy["jwks"] === undefined ? { ...policy, jwks: {} } : policy

/**
 * Reads a document in the names of today and of older configurations. What it does not know it leaves as it is, so that decoding rejects
 * it.
 */
export const current = (document: unknown): Current => {
  const reader = new Reader()
  if (!isSection(document)) return { tree: document, origins: reader.origins, ignored: [], faults: [] }
  const { audit_log: auditLog, buckets, cache, jwt, logging, server } = document
  const rest = reader.drop(without(document, "server", "jwt", "audit_log", "logging"), "", "metrics")
  const tree: Record<string, unknown> = { ...rest }
  const policies: Record<string, unknown> = {}
  if (server !== undefined) tree["listen"] = tree["listen"] ?? reader.listen(server)
  if (auditLog !== undefined && tree["audit"] === undefined) tree["audit"] = auditLog
  reader.origins.set("audit", document["audit"] === undefined ? "audit_log" : "audit")
  if (isSection(logging)) {
    reader.drop(logging, "logging", "format")
    const level = logging["level"]
    reader.origins.set("log.level", "logging.level")
    tree["log"] = tree["log"] ??
      { ...without(logging, "format"), ...(level === "trace" ? { level: "debug" } : undefined) }
  }
  if (cache !== undefined) tree["cache"] = reader.cache(cache)
  if (isSection(jwt) && !isOff(jwt["enabled"])) policies["default"] = reader.policy(jwt, "auth.default", "jwt")
  const limits = isSection(server) && isSection(server["rate_limit"]) ? server["rate_limit"] : {}
  const perIp = isOn(limits["enabled"]) && isSection(limits["per_ip"])
    ? limits["per_ip"]["requests_per_second"]
    : undefined
  if (isOn(limits["enabled"]) && limits["global"] !== undefined) {
    reader.faults.push({
      path: "server.rate_limit.global",
      expected: "left out: limit each bucket by rateLimit.perBucket"
    })
  }
  const shared = { require: isSection(jwt) ? reader.claims(jwt["claims"], "jwt.claims") : undefined, perAddress: perIp }
  if (Array.isArray(buckets)) {
    tree["buckets"] = buckets.map((bucket: unknown, index) => bucketOf(reader, bucket, index, shared, policies))
  }
  const auth = tree["auth"]
  if (isSection(auth) || Object.keys(policies).length > 0) {
    const all = { ...policies, ...(isSection(auth) ? auth : undefined) }
    tree["auth"] = Object.fromEntries(Object.entries(all).map(([name, policy]) => [name, withKeys(policy)]))
  }
  return { tree, origins: reader.origins, ignored: reader.ignored, faults: reader.faults }
}
