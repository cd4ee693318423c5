/** A database in memory: Node's own SQLite, as a client of Effect. */
import { Effect, Layer, Semaphore, Stream } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient, type SqlConnection, SqlError, Statement } from "effect/sql"
import { DatabaseSync, type SQLInputValue } from "node:sqlite"

const isInput = (value: unknown): value is SQLInputValue =>
  value === null || ["number", "bigint", "string"].includes(typeof value) || ArrayBuffer.isView(value)

const connect = Effect.map(
  Effect.acquireRelease(Effect.sync(() => new DatabaseSync(":memory:")), (db) => Effect.sync(() => db.close())),
  (db): SqlConnection.Connection => {
    const all = (sql: string, params: ReadonlyArray<unknown>) =>
      Effect.try({
        try: () => db.prepare(sql).all(...params.filter(isInput)),
        catch: (cause) => new SqlError.SqlError({ reason: new SqlError.UnknownError({ cause }) })
      })
    const values = (sql: string, params: ReadonlyArray<unknown>) =>
      Effect.map(all(sql, params), (rows) => rows.map((row) => Object.values(row)))
    return {
      execute: all,
      executeRaw: all,
      executeUnprepared: all,
      executeValues: values,
      executeValuesUnprepared: values,
      executeStream: (sql, params) => Stream.fromIterableEffect(all(sql, params))
    }
  }
)

/** A client over a separate database. */
export const layerSqlite: Layer.Layer<SqlClient.SqlClient> = Layer.effect(
  SqlClient.SqlClient,
  Effect.gen(function*() {
    const connection = yield* connect
    const oneAtATime = yield* Semaphore.make(1)
    return yield* SqlClient.make({
      acquirer: Effect.succeed(connection),
      transactionAcquirer: Effect.as(oneAtATime.takeScoped(1), connection),
      compiler: Statement.makeCompilerSqlite(),
      driver: "node:sqlite",
      spanAttributes: []
    })
  })
).pipe(Layer.provide(Reactivity.layer))
