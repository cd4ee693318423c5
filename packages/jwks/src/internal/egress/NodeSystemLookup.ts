import { lookup } from "node:dns"
import { env } from "node:process"
import type { Done, Resolve } from "./NodeResolver.ts"

/** Calls `getaddrinfo`, which nothing can interrupt. */
export type Lookup = (hostname: string, done: Done) => void

/**
 * Limits calls of `getaddrinfo`, which occupies a thread of libuv until the system's resolver gives up. There is one call for
 * each name, which all its callers share. A call that hangs is joined, never repeated. At most `limit` calls run at once, and
 * a cancelled caller leaves the queue.
 */
export const makeSystemResolve = (limit: number, call: Lookup): Resolve => {
  const running = new Map<string, Set<Done>>()
  const waiting = new Map<string, Set<Done>>()
  const startNext = (): void => {
    for (const [hostname, callers] of waiting) {
      if (running.size >= limit) return
      waiting.delete(hostname)
      running.set(hostname, callers)
      call(hostname, (error, addresses) => {
        running.delete(hostname)
        startNext()
        for (const done of callers) done(error, addresses)
      })
    }
  }
  return (hostname, done) => {
    const callers = running.get(hostname) ?? waiting.get(hostname) ?? new Set()
    callers.add(done)
    if (!running.has(hostname)) waiting.set(hostname, callers)
    startNext()
    return () => {
      callers.delete(done)
      if (callers.size === 0) waiting.delete(hostname)
    }
  }
}

/**
 * How many calls may run at once: one less than libuv runs, which is half of its threads (`UV_THREADPOOL_SIZE`, default 4).
 * So a lookup of the application always finds a thread.
 */
export const systemLimit = (threads: string | undefined): number => {
  const count = Math.min(1024, Math.max(1, Number.parseInt(threads ?? "", 10) || 4))
  return Math.max(1, Math.floor((count + 1) / 2) - 1)
}

/** The system resolver of this process. */
export const systemResolve: Resolve = makeSystemResolve(systemLimit(env["UV_THREADPOOL_SIZE"]), (hostname, done) => {
  lookup(hostname, { all: true, order: "verbatim" }, done)
})
