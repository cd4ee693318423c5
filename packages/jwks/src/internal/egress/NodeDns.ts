import { type LookupAddress, Resolver as DnsResolver } from "node:dns"
import { addressesInHosts, type NameFiles, namesToAsk, systemFiles } from "./NodeNameFiles.ts"
import type { Resolve } from "./NodeResolver.ts"
import { systemResolve } from "./NodeSystemLookup.ts"

/** Where names are resolved; tests replace each part. */
export interface Sources {
  readonly files: NameFiles
  /** The name servers, as address or address:port. Default: those of the system. */
  readonly servers?: ReadonlyArray<string> | undefined
  /** Resolves names that are neither in the hosts file nor in DNS. */
  readonly system: Resolve
}

/** Queries are retried after 1 second (`timeout`, in milliseconds), so that one fetch attempt reaches a second name server. */
const limits = { timeout: 1_000, tries: 3 }

/** Codes of the responses that a name does not exist, or has no address of the queried family. */
const negative: ReadonlySet<string> = new Set(["ENOTFOUND", "ENODATA"])

/** Codes that mean that no name server accepts queries. The system may resolve names in another way. */
const unserved: ReadonlySet<string> = new Set(["ECONNREFUSED", "EREFUSED", "ENOTIMP"])

interface Failed {
  readonly error: Error
  readonly code: string
}

/** The result of one query. */
type Answer = { readonly addresses: ReadonlyArray<LookupAddress> } | Failed

const isFailed = (answer: Answer): answer is Failed => "error" in answer

/** The running queries of a name, to cancel them when no caller waits any more. */
interface Running {
  isCancelled: boolean
  cancel: () => void
}

/** One query for one family. Each has its own channel, so that cancelling it cancels nothing else. */
const ask = (name: string, family: 4 | 6, servers: Sources["servers"]) => {
  const resolver = new DnsResolver(limits)
  if (servers !== undefined) resolver.setServers(servers)
  const answer = new Promise<Answer>((settle) => {
    resolver[family === 4 ? "resolve4" : "resolve6"](name, (error, addresses) =>
      settle(
        error === null
          ? { addresses: addresses.map((address) => ({ address, family })) }
          : { error, code: error.code ?? "" }
      ))
  })
  return { answer, cancel: () => resolver.cancel() }
}

/** The addresses of a name, IPv4 first; or the most specific failure. */
const query = async (name: string, servers: Sources["servers"], running: Running): Promise<Answer> => {
  const queries = [ask(name, 4, servers), ask(name, 6, servers)] as const
  running.cancel = () => queries.forEach(({ cancel }) => cancel())
  const answers = await Promise.all(queries.map(({ answer }) => answer))
  const addresses = answers.flatMap((answer) => isFailed(answer) ? [] : answer.addresses)
  if (addresses.length > 0) return { addresses }
  const failures = answers.filter(isFailed)
  return failures.find(({ code }) => code === "ENOTFOUND") ?? failures.find(({ code }) => !negative.has(code)) ??
    failures[0] ?? { addresses }
}

const cancelled = () => Object.assign(new Error("The name resolution was cancelled"), { code: "ECANCELLED" })

/** `localhost` is this machine, whatever the hosts file has or lacks (RFC 6761, 6.3). */
const loopback: ReadonlyArray<LookupAddress> = [{ address: "127.0.0.1", family: 4 }, { address: "::1", family: 6 }]

const throughSystem = (hostname: string, { system }: Sources, running: Running) =>
  new Promise<ReadonlyArray<LookupAddress>>((settle, reject) => {
    const cancel = system(hostname, (error, addresses) => error === null ? settle(addresses) : reject(error))
    running.cancel = () => {
      cancel?.()
      reject(cancelled())
    }
  })

/** Asks for the names in turn, until one has addresses. `undefined` if none exists. */
const askInTurn = async (
  hostname: string,
  [name, ...others]: ReadonlyArray<string>,
  sources: Sources,
  running: Running
): Promise<ReadonlyArray<LookupAddress> | undefined> => {
  if (running.isCancelled) throw cancelled()
  if (name === undefined) return undefined
  const answer = await query(name, sources.servers, running)
  if (!isFailed(answer)) return answer.addresses
  // The name servers of a search domain may fail while those of the name itself work.
  const isElsewhere = answer.code === "ESERVFAIL" && name !== hostname
  if (!isElsewhere && !negative.has(answer.code) && !unserved.has(answer.code)) throw answer.error
  return askInTurn(hostname, others, sources, running)
}

const find = async (hostname: string, sources: Sources, running: Running): Promise<ReadonlyArray<LookupAddress>> => {
  const listed = await addressesInHosts(sources.files, hostname)
  if (hostname === "localhost") {
    return [...listed, ...loopback.filter(({ address }) => !listed.some((one) => one.address === address))]
  }
  if (listed.length > 0) return listed
  const found = await askInTurn(hostname, await namesToAsk(sources.files, hostname), sources, running)
  return found ?? throughSystem(hostname, sources, running)
}

/**
 * Resolves names as the system does, without its uncancellable `getaddrinfo`: by the hosts file, then by DNS with the search
 * domains of `resolv.conf`. Only a name that both do not contain is resolved by the system, which may have other sources
 * (mDNS, a directory). A name server that does not respond therefore never occupies a thread of libuv. When no caller waits for
 * a name any more, its queries are cancelled.
 */
export const makeDnsResolve = (sources: Sources): Resolve => (hostname, settle) => {
  const running: Running = { isCancelled: false, cancel: () => {} }
  find(hostname, sources, running).then(
    (addresses) => settle(null, addresses),
    (error: unknown) => settle(error instanceof Error ? error : new Error("The name could not be resolved"), [])
  )
  return () => {
    running.isCancelled = true
    running.cancel()
  }
}

/** By the configuration of the system. */
export const dnsResolve: Resolve = makeDnsResolve({ files: systemFiles, system: systemResolve })
