/**
 * Compares Keelson with other libraries, in one process and in turns. `--help` prints the parts and options. Progress goes to standard
 * error, the figures to standard output.
 *
 * Fails only if a contestant behaves incorrectly. Slow times do not fail the run, since they depend on the machine.
 */
import { type BenchOptions, parseOptions, usage } from "./options.ts"

const options = ((): BenchOptions | undefined => {
  try {
    return parseOptions(process.argv.slice(2))
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n${usage}`)
    process.exitCode = 2
    return undefined
  }
})()

if (options?.help === true) console.log(usage)
else if (options?.program !== undefined) {
  const { runProgram } = await import("./programs.ts")
  await runProgram(options.program.name, options.program.minutes)
} else if (options !== undefined) {
  // Loads all contestants, which takes seconds.
  const { bench } = await import("./bench.ts")
  await bench(options)
}
