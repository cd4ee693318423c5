/** A real rsyslogd for one test, on free ports of the loopback interface, which writes what it receives to a file. */
import { Effect, type Scope } from "effect"
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { createSocket } from "node:dgram"
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { connect, createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { eventually } from "./eventually.ts"

const binary = ["/usr/sbin/rsyslogd", "/usr/local/sbin/rsyslogd"].find((path) => existsSync(path))
const hasTls = globSync("/usr/lib{,/*}/rsyslog/lmnsd_ossl.so").length > 0

/** The reason to skip tests that need rsyslogd; `undefined` if they run. */
export const skipReason = binary === undefined ? "rsyslogd is not installed" : undefined

/** The same for tests that need TLS in it. */
export const tlsSkipReason = skipReason ?? (hasTls ? undefined : "rsyslog-openssl is not installed")

if (tlsSkipReason !== undefined && process.env["KEELSON_NO_SKIPS"] === "1") {
  throw new Error(`KEELSON_NO_SKIPS is set, and ${tlsSkipReason}`)
}

/** A message as rsyslogd parsed it (RFC 5424). */
export interface SyslogMessage {
  readonly pri: string
  readonly timestamp: string
  readonly hostname: string
  readonly appName: string
  readonly procId: string
  readonly msgId: string
  readonly structuredData: string
  readonly message: string
}

export interface SyslogServer {
  readonly tcpPort: number
  readonly udpPort: number
  /** The messages received so far, of all starts. */
  readonly messages: () => ReadonlyArray<SyslogMessage>
  /** Ends the process as an administrator does, and waits until it has written what it has read. */
  readonly stop: Effect.Effect<void>
  readonly kill: Effect.Effect<void>
  /** Suspends the process: connections stay open, and nothing is read. */
  readonly freeze: Effect.Effect<void>
  readonly thaw: Effect.Effect<void>
  /** Starts the process at the same ports, and waits until it listens. */
  readonly start: Effect.Effect<void>
}

export interface SyslogServerOptions {
  /** The files of TLS for TCP, in PEM. Default without TLS. */
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string } | undefined
}

const hasEnded = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null

const freeTcpPort: Effect.Effect<number> = Effect.callback((resume) => {
  const server = createServer()
  server.listen(0, "127.0.0.1", () => {
    const address = server.address()
    server.close(() => resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0)))
  })
})

const freeUdpPort: Effect.Effect<number> = Effect.callback((resume) => {
  const socket = createSocket("udp4")
  socket.bind(0, "127.0.0.1", () => {
    const { port } = socket.address()
    socket.close(() => resume(Effect.succeed(port)))
  })
})

const fields = [
  ["pri", "pri"],
  ["timestamp", "timereported:::date-rfc3339"],
  ["hostname", "hostname:::json"],
  ["appName", "app-name:::json"],
  ["procId", "procid:::json"],
  ["msgId", "msgid:::json"],
  ["structuredData", "structured-data:::json"],
  ["message", "msg:::json"]
] as const

const configuration = (
  dir: string,
  { tcpPort, udpPort }: Pick<SyslogServer, "tcpPort" | "udpPort">,
  { tls }: SyslogServerOptions
): string => {
  const driver = tls === undefined
    ? ""
    : ` DefaultNetstreamDriver="ossl" DefaultNetstreamDriverCAFile="${tls.ca}"` +
      ` DefaultNetstreamDriverCertFile="${tls.cert}" DefaultNetstreamDriverKeyFile="${tls.key}"`
  const stream = tls === undefined
    ? ""
    : " StreamDriver.Name=\"ossl\" StreamDriver.Mode=\"1\" StreamDriver.AuthMode=\"anon\""
  const template = fields.map(([name, property]) => `\\"${name}\\":\\"%${property}%\\"`).join(",")
  return [
    `global(workDirectory="${dir}"${driver})`,
    `module(load="imtcp"${stream})`,
    "module(load=\"imudp\")",
    `template(name="json" type="string" string="{${template}}\\n")`,
    "ruleset(name=\"received\") {",
    `  action(type="omfile" file="${join(dir, "messages")}" template="json")`,
    "}",
    `input(type="imtcp" address="127.0.0.1" port="${tcpPort}" ruleset="received")`,
    `input(type="imudp" address="127.0.0.1" port="${udpPort}" ruleset="received" rcvbufSize="4m")`,
    ""
  ].join("\n")
}

const accepts = (port: number): Effect.Effect<boolean> =>
  Effect.callback<boolean>((resume) => {
    const socket = connect(port, "127.0.0.1")
    const end = (isAccepted: boolean): void => {
      socket.destroy()
      resume(Effect.succeed(isAccepted))
    }
    socket.once("connect", () => end(true))
    socket.once("error", () => end(false))
  })

const read = (path: string): ReadonlyArray<SyslogMessage> =>
  existsSync(path)
    ? readFileSync(path, "utf8").split("\n").slice(0, -1).map((line): SyslogMessage => JSON.parse(line))
    : []

/** A server that is not started. */
export const makeSyslogServer = Effect.fnUntraced(function*(
  options: SyslogServerOptions = {}
): Effect.fn.Return<SyslogServer, never, Scope.Scope> {
  const state: { child: ChildProcess | undefined } = { child: undefined }
  const dir = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "keelson-syslog-"))),
    (made) => Effect.sync(() => rmSync(made, { recursive: true, force: true }))
  )
  const ports = { tcpPort: yield* freeTcpPort, udpPort: yield* freeUdpPort }
  const file = join(dir, "rsyslog.conf")
  writeFileSync(file, configuration(dir, ports, options))
  const end = (signal: NodeJS.Signals): Effect.Effect<void> =>
    Effect.suspend(() => {
      const { child } = state
      if (child === undefined || hasEnded(child)) return Effect.void
      child.kill("SIGCONT")
      child.kill(signal)
      return eventually(() => hasEnded(child))
    })
  yield* Effect.addFinalizer(() => end("SIGKILL"))
  return {
    ...ports,
    messages: () => read(join(dir, "messages")),
    stop: end("SIGTERM"),
    kill: end("SIGKILL"),
    freeze: Effect.sync(() => void state.child?.kill("SIGSTOP")),
    thaw: Effect.sync(() => void state.child?.kill("SIGCONT")),
    start: Effect.suspend(() => {
      const checked = spawnSync(binary ?? "rsyslogd", ["-N1", "-f", file], { encoding: "utf8" })
      if (checked.status !== 0) return Effect.die(new Error(checked.stderr))
      rmSync(join(dir, "pid"), { force: true })
      state.child = spawn(binary ?? "rsyslogd", ["-n", "-f", file, "-i", join(dir, "pid")], { stdio: "ignore" })
      return Effect.asVoid(Effect.repeat(accepts(ports.tcpPort), { until: (isAccepted) => isAccepted }))
    })
  }
})

/** A server that is started. */
export const syslogServer = (options?: SyslogServerOptions): Effect.Effect<SyslogServer, never, Scope.Scope> =>
  Effect.tap(makeSyslogServer(options), (server) => server.start)
