/** The reasons with which watched signals were aborted. */
const reasons = new WeakSet<object>()
/** The signals that are watched already, so that a signal that outlives many calls gets one listener. */
const watched = new WeakSet<AbortSignal>()

const note = (reason: unknown): void => {
  if ((typeof reason === "object" && reason !== null) || typeof reason === "function") reasons.add(reason)
}

/** Remembers the reason of a signal once it is aborted. */
export const watch = (signal: AbortSignal): void => {
  if (watched.has(signal)) return
  watched.add(signal)
  if (signal.aborted) note(signal.reason)
  else signal.addEventListener("abort", () => note(signal.reason), { once: true })
}

/** Whether an error is the reason of a watched signal. */
export const isCancellation = (error: object): boolean => reasons.has(error)
