import * as Duration from "effect/Duration"
import type { Outage, Server as ServerPolicy } from "../../testing/FleetOptions.ts"
import { exponential } from "./randomOf.ts"
import type { VirtualTime } from "./virtualTime.ts"

/** How a request ends for its caller. `refused`: there was no connection. */
export type Answer = "ok" | "overloaded" | "limited" | "failing" | "refused"

/** What the server reports to the ledger. */
export interface ServerListener {
  /** A request arrived. */
  readonly arrived: () => void
  /** The server finished a request whose caller had given up. */
  readonly wasted: () => void
}

/** A request at the server. */
interface Request {
  answer: ((answer: Answer) => void) | undefined
}

/** The modes of an outage in which no work begins. */
const turnsAway: ReadonlySet<Outage["mode"]> = new Set(["refuse", "error", "hang"])

const nanosOf = (duration: Duration.Duration): number => Duration.toMillis(duration) * 1e6

/**
 * The server as a queue with places: a request takes a place, or waits for one, or is rejected. It has no fibers, only timers,
 * since a request would cost several of them.
 */
export class Server {
  readonly #time: VirtualTime
  readonly #policy: ServerPolicy
  readonly #outage: Outage | undefined
  readonly #random: { readonly nextDoubleUnsafe: () => number }
  readonly #listener: ServerListener
  readonly #latency: number
  readonly #service: number
  readonly #slow: number
  #waiting: Array<Request> = []
  #next = 0
  #busy = 0
  #concurrency: number
  /** Requests that the rate limit still admits, as of `#permitsAt`. */
  #permits: number
  #permitsAt = 0

  constructor(
    time: VirtualTime,
    policy: ServerPolicy,
    outage: Outage | undefined,
    random: { readonly nextDoubleUnsafe: () => number },
    listener: ServerListener
  ) {
    this.#time = time
    this.#policy = policy
    this.#outage = outage
    this.#random = random
    this.#listener = listener
    this.#latency = nanosOf(policy.latency)
    this.#service = nanosOf(policy.serviceTime)
    this.#slow = nanosOf(policy.slowTime)
    this.#concurrency = policy.concurrency
    this.#permits = Math.max(1, policy.rateLimit ?? 0)
    if (outage?.mode === "shrink") {
      time.after(nanosOf(outage.begin), () => {
        this.#concurrency = Math.round(policy.concurrency * outage.capacity)
      })
      time.after(nanosOf(outage.end), () => {
        this.#concurrency = policy.concurrency
        this.#startWaiting()
      })
    }
  }

  /** Requests in work and waiting. */
  get load(): number {
    return this.#busy + this.#waiting.length - this.#next
  }

  /** Sends a request. The returned function is called when its caller gives up. */
  send(answer: (answer: Answer) => void): () => void {
    const request: Request = { answer }
    this.#receive(request)
    this.#listener.arrived()
    return () => {
      request.answer = undefined
    }
  }

  #receive(request: Request): void {
    const outage = this.#current()
    if (outage !== undefined && turnsAway.has(outage.mode) && this.#draw(outage.share)) {
      if (outage.mode === "refuse") this.#reply(request, "refused")
      if (outage.mode === "error") this.#reply(request, "failing")
      return
    }
    if (!this.#isWithinRate()) return this.#reply(request, "limited")
    if (this.#busy < this.#concurrency) return this.#work(request)
    if (this.#waiting.length - this.#next < this.#policy.queue) {
      this.#waiting.push(request)
    } else if (this.#policy.overload === "reject") this.#reply(request, "overloaded")
  }

  /** The outage if it is on. */
  #current(): Outage | undefined {
    const outage = this.#outage
    return outage !== undefined && this.#time.now >= nanosOf(outage.begin) && this.#time.now < nanosOf(outage.end)
      ? outage
      : undefined
  }

  #draw(share: number): boolean {
    return share >= 1 || (share > 0 && this.#random.nextDoubleUnsafe() < share)
  }

  /** A token bucket that holds the requests of one second. */
  #isWithinRate(): boolean {
    const { rateLimit } = this.#policy
    if (rateLimit === undefined) return true
    const outage = this.#current()
    const rate = outage?.mode === "shrink" ? rateLimit * outage.capacity : rateLimit
    const passed = (this.#time.now - this.#permitsAt) / 1e9
    this.#permits = Math.min(Math.max(1, rate), this.#permits + passed * rate)
    this.#permitsAt = this.#time.now
    if (this.#permits < 1) return false
    this.#permits--
    return true
  }

  #serviceTime(): number {
    const outage = this.#current()
    const factor = outage?.mode === "slow" && this.#draw(outage.share) ? outage.slowdown : 1
    if (this.#draw(this.#policy.slowShare)) return this.#slow * factor
    return this.#service * factor * (this.#policy.variation === "fixed" ? 1 : exponential(this.#random))
  }

  #work(request: Request): void {
    this.#busy++
    this.#time.after(this.#serviceTime(), () => {
      this.#busy--
      if (request.answer === undefined) this.#listener.wasted()
      else this.#reply(request, "ok")
      this.#startWaiting()
    })
  }

  #startWaiting(): void {
    while (this.#busy < this.#concurrency && this.#next < this.#waiting.length) {
      const request = this.#waiting[this.#next++]!
      if (request.answer !== undefined || this.#policy.abandoned === "serve") this.#work(request)
    }
    if (this.#next > 1000 && this.#next * 2 > this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#next)
      this.#next = 0
    }
  }

  #reply(request: Request, answer: Answer): void {
    this.#time.after(this.#latency, () => request.answer?.(answer))
  }
}
