import * as Predicate from "effect/Predicate"
import { inUnit, olderNames, type Row } from "./olderNames.ts"

type Section = Readonly<Record<string, unknown>>

/** A document in the names of today. */
export interface Current {
  readonly tree: unknown
  /** Where each moved value stands in the document, by its path of today. */
  readonly origins: ReadonlyMap<string, string>
  /** The older names that have no effect today. */
  readonly ignored: ReadonlyArray<string>
  /** What has no counterpart today and must not be ignored. */
  readonly faults: ReadonlyArray<Fault>
}

/** A value of the document that is not accepted, by its path there, and what is. */
interface Fault {
  readonly path: string
  readonly expected: string
}

const isSection = (value: unknown): value is Section => Predicate.isObject(value) && !Array.isArray(value)

const isOn = (value: unknown): boolean => value === true || value === "true"
const isOff = (value: unknown): boolean => value === false || value === "false"

const without = (section: Section, ...names: ReadonlyArray<string>): Section =>
  Object.fromEntries(Object.entries(section).filter(([name]) => !names.includes(name)))

/** Where an AWS bucket is, if no endpoint says it. */
const awsEndpoint = (region: unknown): string =>
  typeof region === "string" && region !== "" ? `https://s3.${region}.amazonaws.com` : "https://s3.amazonaws.com"

const seconds = inUnit("seconds")

/** The comparisons of rules on claims that `require.claims` makes. */
const operators: ReadonlySet<unknown> = new Set(["equals", "contains", "in"])

class Reader {
  readonly origins = new Map<string, string>()
  readonly ignored: Array<string> = []
  readonly faults: Array<Fault> = []

  /** Removes names that have no effect, and remembers those that are there. */
  drop(section: Section, at: string, ...names: ReadonlyArray<string>): Section {
    this.ignored.push(
      ...names.filter((name) => Object.hasOwn(section, name)).map((name) => at === "" ? name : `${at}.${name}`)
    )
    return without(section, ...names)
  }

  /** Reports members that have no meaning, and that nothing else decodes. */
  unknown(section: Section, at: string): void {
    this.faults.push(...Object.keys(section).map((name) => ({ path: `${at}.${name}`, expected: "a known option" })))
  }

  /** Renames the members of a section. A member that is there under both names keeps the older one, which is then an unknown option. */
  rename(section: unknown, rows: ReadonlyArray<Row>, now: string, older = now): unknown {
    if (!isSection(section)) return section
    return Object.fromEntries(
      Object.entries(section).map(([name, value]) => {
        const row = rows.find(([before]) => before === name)
        if (row === undefined || Object.hasOwn(section, row[1])) {
          if (now !== older) this.origins.set(`${now}.${name}`, `${older}.${name}`)
          return [name, value]
        }
        this.origins.set(`${now}.${row[1]}`, `${older}.${name}`)
        return [row[1], row[2] === undefined ? value : row[2](value)]
      })
    )
  }

  listen(server: unknown): unknown {
    if (!isSection(server)) return server
    const limits = isSection(server["security_limits"]) ? server["security_limits"] : {}
    this.drop(limits, "server.security_limits", "max_body_size", "max_uri_length")
    this.origins.set("listen.maxHeaderSize", "server.security_limits.max_header_size")
    this.origins.set("listen.host", "server.address")
    const address = server["address"]
    const [, host, port] = typeof address === "string" ? /^\[?([^\]]*?)\]?(?::(\d+))?$/.exec(address) ?? [] : []
    const rest = this.drop(without(server, "address", "security_limits", "rate_limit"), "server", "threads")
    const renamed = this.rename(rest, olderNames.server, "listen", "server")
    return {
      ...(address === undefined
        ? undefined
        : { host: typeof address === "string" && !address.includes("::") ? host : address }),
      ...(port === undefined || typeof address !== "string" || address.includes("::") ? undefined : { port }),
      ...(limits["max_header_size"] === undefined ? undefined : { maxHeaderSize: limits["max_header_size"] }),
      ...(isSection(renamed) ? renamed : undefined)
    }
  }

  /** A tier of the cache: absent where its own `enabled` is false. */
  tier(tier: unknown, rows: ReadonlyArray<Row>, at: string): unknown {
    if (!isSection(tier)) return tier
    if (isOff(tier["enabled"])) return undefined
    return this.rename(
      without(this.drop(tier, at, "sendfile"), ...(isOn(tier["enabled"]) ? ["enabled"] : [])),
      rows,
      at
    )
  }

  cache(cache: unknown): unknown {
    if (!isSection(cache)) return cache
    const renamed = this.rename(cache, olderNames.cache, "cache")
    if (!isSection(renamed)) return renamed
    // The sections of a disabled cache are not checked, only their names.
    if (!isOn(renamed["enabled"])) {
      return without(renamed, "layers", "memory", "disk", "redis", "buckets")
    }
    const tiers = {
      memory: this.tier(renamed["memory"], olderNames.memory, "cache.memory"),
      disk: this.tier(renamed["disk"], olderNames.disk, "cache.disk"),
      redis: this.tier(renamed["redis"], olderNames.redis, "cache.redis")
    }
    return {
      ...without(renamed, "memory", "disk", "redis"),
      ...Object.fromEntries(Object.entries(tiers).filter(([, tier]) => tier !== undefined))
    }
  }

  /** The section `jwt` as a policy. */
  policy(jwt: Section, now: string, older: string): unknown {
    const taken = [
      "enabled",
      "algorithm",
      "secret",
      "rsa_public_key_path",
      "ecdsa_public_key_path",
      "keys",
      "jwks_url",
      "jwks_refresh_interval_secs",
      "token_sources",
      "claims",
      "claims_verification"
    ]
    const rest = this.rename(this.drop(without(jwt, ...taken), older, "admin_claims"), olderNames.jwt, now, older)
    const algorithm = jwt["algorithm"]
    const path = jwt["rsa_public_key_path"] ?? jwt["ecdsa_public_key_path"]
    const { jwks_url: url, secret } = jwt
    const single = secret === undefined || secret === ""
      ? path === undefined ? [] : [{ algorithm, path }]
      : [{ algorithm, secret }]
    const several = Array.isArray(jwt["keys"]) ? jwt["keys"] : []
    const keys = several.length > 0 ? several : single
    const used = several.map((key: unknown) => isSection(key) ? key["algorithm"] : undefined)
    const algorithms = url === undefined && used.length > 0
      ? [...new Set(used)]
      : algorithm === undefined
      ? []
      : [algorithm]
    const ttl = jwt["jwks_refresh_interval_secs"]
    this.origins.set(`${now}.algorithms`, `${older}.algorithm`)
    this.origins.set(`${now}.algorithms.0`, `${older}.algorithm`)
    if (several.length > 0) this.origins.set(`${now}.keys`, `${older}.keys`)
    else {
      const file = jwt["rsa_public_key_path"] === undefined ? "ecdsa_public_key_path" : "rsa_public_key_path"
      this.origins.set(`${now}.keys.0`, `${older}.algorithm`)
      this.origins.set(`${now}.keys.0.algorithm`, `${older}.algorithm`)
      this.origins.set(`${now}.keys.0.path`, `${older}.${file}`)
      this.origins.set(`${now}.keys.0.secret`, `${older}.secret`)
    }
    this.origins.set(`${now}.jwks.url`, `${older}.jwks_url`)
    this.origins.set(`${now}.jwks.ttl`, `${older}.jwks_refresh_interval_secs`)
    this.origins.set(now, older)
    return {
      algorithms,
      ...(url === undefined
        ? undefined
        : { jwks: { url, ...(ttl === undefined ? undefined : { ttl: seconds(ttl) }) } }),
      ...(url === undefined && keys.length > 0 ? { keys } : undefined),
      ...this.sources(jwt["token_sources"]),
      ...(isSection(rest) ? rest : undefined)
    }
  }

  /** Where tokens are, beside `Authorization`. */
  sources(sources: unknown): Section {
    if (!Array.isArray(sources)) return {}
    const named = sources.filter(isSection).map((source) => ({
      type: source["type"],
      name: source["name"] ?? source["param_name"]
    }))
    const header = named.find(({ name, type }) => type === "header" && String(name).toLowerCase() !== "authorization")
    const query = named.find(({ type }) => type === "query" || type === "query_param")
    return {
      ...(header === undefined ? undefined : { header: header.name }),
      ...(query === undefined ? undefined : { queryParameter: query.name })
    }
  }

  /** Rules on claims: those that compare with one value or several. A rule that is left out would let more callers in. */
  claims(rules: unknown, at: string): Section | undefined {
    if (rules === undefined) return undefined
    const list: ReadonlyArray<unknown> = Array.isArray(rules) ? rules : [rules]
    const claims = new Map<string, unknown>()
    for (const [index, rule] of list.entries()) {
      const fault = (member: string, expected: string) =>
        this.faults.push({ path: `${at}.${index}${member}`, expected })
      if (
        !Array.isArray(rules) || !isSection(rule) || typeof rule["claim"] !== "string" || rule["value"] === undefined
      ) {
        fault("", "a section with claim, operator and value")
        continue
      }
      if (!operators.has(rule["operator"] ?? "equals")) {
        fault(".operator", "equals, contains or in")
      }
      if (claims.has(rule["claim"])) fault(".claim", "a claim that no other rule has")
      claims.set(rule["claim"], rule["value"])
    }
    return claims.size === 0 ? undefined : { claims: Object.fromEntries(claims) }
  }

  replica(s3: Section, now: string, older: string): unknown {
    const { access_key: id, endpoint, region, secret_key: secret, timeout } = s3
    const rest = this.drop(
      without(
        s3,
        "access_key",
        "secret_key",
        "endpoint",
        "timeout",
        "priority",
        "replicas",
        "circuit_breaker",
        "rate_limit"
      ),
      older,
      "retry"
    )
    const renamed = this.rename(rest, olderNames.replica, now, older)
    this.origins.set(`${now}.credentials.static.accessKeyId`, `${older}.access_key`)
    this.origins.set(`${now}.credentials.static.secretAccessKey`, `${older}.secret_key`)
    this.origins.set(`${now}.endpoint`, `${older}.endpoint`)
    this.origins.set(`${now}.timeouts.head`, `${older}.timeout`)
    this.origins.set(now, older)
    return {
      endpoint: endpoint ?? awsEndpoint(region),
      ...(id === undefined && secret === undefined
        ? undefined
        : {
          credentials: {
            static: {
              ...(id === undefined ? undefined : { accessKeyId: id }),
              ...(secret === undefined ? undefined : { secretAccessKey: secret })
            }
          }
        }),
      ...(timeout === undefined ? undefined : { timeouts: { head: seconds(timeout) } }),
      ...(isSection(renamed) ? renamed : undefined)
    }
  }

  /** The stores of the section `s3`, those with the lower priority first. */
  replicas(s3: Section, now: string, older: string): ReadonlyArray<unknown> {
    const { replicas } = s3
    if (!Array.isArray(replicas)) return [this.replica(s3, `${now}.replicas.0`, older)]
    // The members of a single store may stand beside a list, which is then used.
    const others = this.drop(without(s3, "replicas", "circuit_breaker", "rate_limit", ...singleStore), older, "retry")
    this.unknown(others, older)
    return replicas
      .map((replica: unknown, at) => ({ replica, older: `${older}.replicas.${at}` }))
      .toSorted((a, b) => priorityOf(a.replica) - priorityOf(b.replica))
      .map(({ older: from, replica }, at) =>
        isSection(replica) ? this.replica(replica, `${now}.replicas.${at}`, from) : replica
      )
  }
}

/** The members of `s3` that describe a single store. */
const singleStore = [
  "bucket",
  "region",
  "access_key",
  "secret_key",
  "endpoint",
  "timeout",
  "connection_pool_size"
]

const priorityOf = (replica: unknown): number => isSection(replica) ? Number(replica["priority"] ?? 0) : 0

export { isOff, isOn, isSection, Reader, type Section, without }
