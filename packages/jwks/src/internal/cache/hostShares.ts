import * as Host from "@keelson/core/unstable/Host"

/** The fetches of a host or zone, and how the last ones ended. */
interface Group {
  running: number
  /** How many hung in a row; `undefined` before the first result. */
  hung: number | undefined
}

/** A host with its zone. */
export interface HostStanding {
  readonly host: Group
  readonly zone: Group
}

/** How a running fetch was counted when it started, so that its end is subtracted from the same counts. */
export interface Admission {
  readonly isProven: boolean
  readonly isDoubtful: boolean
}

/** Number of consecutive hanging fetches after which all hosts of a zone are doubtful. */
const doubtfulAfter = 3

/** How many hosts and zones are remembered. */
const capacity = 10_000

/** The zone of a host: the domain above it, unless that is a top-level domain. An address is its own zone. */
const zoneOf = (host: string): string => {
  const parent = host.slice(host.indexOf(".") + 1)
  return parent !== host && parent.includes(".") && Host.literal(host) === undefined ? parent : host
}

const groupIn = (groups: Map<string, Group>, name: string): Group => {
  const group = groups.get(name) ?? { running: 0, hung: undefined }
  groups.delete(name)
  groups.set(name, group)
  for (const [oldest, { running }] of groups) {
    if (groups.size <= capacity) break
    if (running === 0) groups.delete(oldest)
  }
  return group
}

const isFailing = ({ host }: HostStanding): boolean => (host.hung ?? 0) > 0
const isDoubtful = (standing: HostStanding): boolean =>
  isFailing(standing) || (standing.zone.hung ?? 0) >= doubtfulAfter

/**
 * The share of the permits that each host may use.
 *
 * - A host may use three quarters, and so may all hosts of a zone together. A host whose last fetch hung may use an eighth, a
 *   zone whose last fetches hung may use half.
 * - All hosts that have not responded yet may together use three quarters, all doubtful hosts half.
 *
 * So a host that responds finds a permit soon even if many others hang. Each share is at least one permit.
 */
export class HostShares {
  readonly #most: number
  readonly #half: number
  readonly #least: number
  readonly #hosts = new Map<string, Group>()
  readonly #zones = new Map<string, Group>()
  #unproven = 0
  #doubtful = 0

  constructor(permits: number) {
    this.#most = Math.max(1, permits - Math.floor(permits / 4))
    this.#half = Math.max(1, Math.floor(permits / 2))
    this.#least = Math.max(1, Math.floor(permits / 8))
  }

  of(host: string): HostStanding {
    return { host: groupIn(this.#hosts, host), zone: groupIn(this.#zones, zoneOf(host)) }
  }
  /** Whether another fetch of the host may run. */
  hasRoom(standing: HostStanding): boolean {
    const { host, zone } = standing
    if (host.hung !== 0 && this.#unproven >= this.#most) return false
    if (!isDoubtful(standing)) return host.running < this.#most && zone.running < this.#most
    return this.#doubtful < this.#half && zone.running < this.#half &&
      host.running < (isFailing(standing) ? this.#least : this.#most)
  }
  enter(standing: HostStanding): Admission {
    const admission = { isProven: standing.host.hung === 0, isDoubtful: isDoubtful(standing) }
    this.#count(standing, admission, 1)
    return admission
  }
  leave(standing: HostStanding, admission: Admission): void {
    this.#count(standing, admission, -1)
  }
  succeeded({ host, zone }: HostStanding): void {
    host.hung = 0
    zone.hung = 0
  }
  hung({ host, zone }: HostStanding): void {
    host.hung = (host.hung ?? 0) + 1
    zone.hung = (zone.hung ?? 0) + 1
  }

  #count({ host, zone }: HostStanding, admission: Admission, by: 1 | -1): void {
    host.running += by
    zone.running += by
    if (!admission.isProven) this.#unproven += by
    if (admission.isDoubtful) this.#doubtful += by
  }
}
