/** The package has no types of its own. */
declare module "pino-roll" {
  interface Options {
    readonly file: string
    readonly size: string
    readonly extension: string
    readonly mkdir: boolean
  }

  /** A stream that pino writes to, and that rotates its file. */
  interface Roll {
    write(line: string): boolean
    end(): void
    once(event: "close", listener: () => void): this
  }

  export default function pinoRoll(options: Options): Promise<Roll>
}
