#!/bin/sh
# effect 4.1.0, effect/sql SqlError.classifySqliteError with node:sqlite of Node 24.21.0 (installed from npm, since
# node:sqlite is missing in Node 20)
#
# node:sqlite puts the SQLite number into `errcode`, and `code` is "ERR_SQLITE_ERROR" for every error. Effect reads `code`
# and `errno`. Every error of node:sqlite therefore becomes `UnknownError`, also the duplicate key. With the number copied
# to `errno`, a duplicate in a UNIQUE column becomes `UniqueViolation`, but a duplicate PRIMARY KEY is a `ConstraintError`:
# SQLite numbers it apart (1555, not 2067) while its message also says "UNIQUE constraint failed". A table with an
# INTEGER PRIMARY KEY gives 1555 too.
#
# Guess: a function that classifies SQLite errors knows the SQLite that Node brings; and a duplicate key is a
# `UniqueViolation` (its documentation: a unique constraint), whichever key it is.
#
# Seen (Node v24.21.0; errcode, class of the error as thrown, class with errno = errcode):
#   duplicate in UNIQUE column     2067 UnknownError UniqueViolation
#   duplicate PRIMARY KEY, text    1555 UnknownError ConstraintError
#   duplicate PRIMARY KEY, integer 1555 UnknownError ConstraintError
#   CHECK                          275 UnknownError ConstraintError
#   NOT NULL                       1299 UnknownError ConstraintError
#   code of all                    ERR_SQLITE_ERROR
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
echo '{"private":true,"type":"module"}' > package.json
npm install --no-save --silent effect@4.1.0 node@24.21.0
cat > run.js <<'JS'
import assert from "node:assert"
import { DatabaseSync } from "node:sqlite"
import { SqlError } from "effect/sql"

const db = new DatabaseSync(":memory:")
db.exec("create table t (id text primary key, email text unique, n int not null check (n > 0)) strict")
db.exec("create table i (id integer primary key) strict")
db.exec("insert into t values ('a', 'a@x', 1); insert into i values (1)")
const codes = new Set()
const observe = (sql) => {
  try {
    db.exec(sql)
  } catch (error) {
    codes.add(error.code)
    const withNumber = { errno: error.errcode, message: error.message }
    return [error.errcode, SqlError.classifySqliteError(error)._tag, SqlError.classifySqliteError(withNumber)._tag].join(" ")
  }
}
const observed = {
  "duplicate in UNIQUE column": observe("insert into t values ('b', 'a@x', 1)"),
  "duplicate PRIMARY KEY, text": observe("insert into t values ('a', 'b@x', 1)"),
  "duplicate PRIMARY KEY, integer": observe("insert into i values (1)"),
  "CHECK": observe("insert into t values ('c', 'c@x', 0)"),
  "NOT NULL": observe("insert into t values ('d', 'd@x', null)"),
  "code of all": [...codes].join(" ")
}
console.log("node", process.version)
for (const [name, seen] of Object.entries(observed)) console.log(name.padEnd(31), seen)
assert.deepStrictEqual(observed, {
  "duplicate in UNIQUE column": "2067 UnknownError UniqueViolation",
  "duplicate PRIMARY KEY, text": "1555 UnknownError ConstraintError",
  "duplicate PRIMARY KEY, integer": "1555 UnknownError ConstraintError",
  "CHECK": "275 UnknownError ConstraintError",
  "NOT NULL": "1299 UnknownError ConstraintError",
  "code of all": "ERR_SQLITE_ERROR"
})
JS
./node_modules/.bin/node --disable-warning=ExperimentalWarning run.js
