/**
 * Loaded before the programs that tests start. A turn of their event loop counts as a hundredth of a second at most, however
 * long it takes: on a busy machine they play the same as on an idle one, only slower, and no time limit of theirs runs out
 * for want of a processor. Their HTTP servers do not close idle connections, which Node does by its own timers: a client that
 * sends its next request at that moment, as after a pause, finds the connection reset.
 */
import { syncBuiltinESMExports } from "node:module"
import net from "node:net"
import timers from "node:timers"

/** The most milliseconds that a turn counts as. */
const most = 10

const { clearTimeout, setInterval, setTimeout } = timers
const realNow = performance.now.bind(performance)
const wall = Date.now() - realNow()

/** The time that did not count so far, and what the clock showed at the last look. */
let lost = 0
let shown = realNow()

const now = (): number => Math.min(realNow() - lost, shown + most)
setInterval(() => {
  shown = now()
  lost = realNow() - shown
}, most / 2).unref()

/** Timers in place of those that were handed out, which are set again when they end too soon. */
const replaced = new WeakMap<NodeJS.Timeout, NodeJS.Timeout>()

const unhurried = (
  callback: (...args: ReadonlyArray<unknown>) => void,
  millis = 0,
  ...args: ReadonlyArray<unknown>
) => {
  let due = now() + millis
  const look = (): void => {
    const left = due - now()
    if (left < 1) return callback(...args)
    const next = setTimeout(look, left)
    if (!hasRef) next.unref()
    replaced.set(first, next)
  }
  let hasRef = true
  const first = setTimeout(look, millis)
  const own = { refresh: first.refresh.bind(first), ref: first.ref.bind(first), unref: first.unref.bind(first) }
  return Object.assign(first, {
    refresh() {
      due = now() + millis
      clearTimeout(replaced.get(first))
      return own.refresh()
    },
    ref() {
      hasRef = true
      replaced.get(first)?.ref()
      own.ref()
      return first
    },
    unref() {
      hasRef = false
      replaced.get(first)?.unref()
      own.unref()
      return first
    }
  })
}

const cleared = (timer?: NodeJS.Timeout | number | string): void => {
  if (typeof timer === "object") clearTimeout(replaced.get(timer))
  clearTimeout(timer)
}

const hrtime = Object.assign(([seconds, rest]: readonly [number, number] = [0, 0]) => {
  const nanos = hrtime.bigint() - BigInt(seconds) * 1_000_000_000n - BigInt(rest)
  return [Number(nanos / 1_000_000_000n), Number(nanos % 1_000_000_000n)]
}, { bigint: () => BigInt(Math.round(now() * 1_000_000)) })

Date.now = () => Math.round(wall + now())
const UnhurriedDate = new Proxy(Date, {
  construct: (target, args, newTarget) => Reflect.construct(target, args.length === 0 ? [Date.now()] : args, newTarget)
})

performance.now = now
Object.assign(process, { hrtime })
Object.assign(globalThis, { Date: UnhurriedDate, setTimeout: unhurried, clearTimeout: cleared })
Object.assign(timers, { setTimeout: unhurried, clearTimeout: cleared })

const listen = Reflect.get(net.Server.prototype, "listen")
Object.assign(net.Server.prototype, {
  listen(this: net.Server, ...args: ReadonlyArray<unknown>): unknown {
    if ("keepAliveTimeout" in this) Object.assign(this, { keepAliveTimeout: 0 })
    return Reflect.apply(listen, this, args)
  }
})
syncBuiltinESMExports()
