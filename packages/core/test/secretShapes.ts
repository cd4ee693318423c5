/**
 * 160 shapes in which a secret was seen in logs and errors: one text each, with the secret that must not survive. The secrets
 * are made up, and computed where a scanner could take them for real.
 */

export interface Shape {
  readonly name: string
  readonly text: string
  readonly secret: string
}

const pw = "Tr0ub4dor"
const hexadecimal = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b"
const opaque = ["q7Zx", "2mVt", "9LpW", "4nKd", "8sRb", "3fGh", "6jYc", "1aQe"].join("")
/** A line of standard base64, as in a PEM file. */
const line64 = ["MIIEvQIBADANBgkqhkiG9w0B", "AQEFAASCBKcwggSjAgEAAoIB", "AQC7VJTUt9Us8cKj"].join("")
const pemText = `-----BEGIN PRIVATE KEY-----\n${line64}\n-----END PRIVATE KEY-----\n`
const pemBase64 = btoa(pemText)
const jwt = [btoa("{\"alg\":\"HS256\"}"), btoa("{\"sub\":\"a\"}"), opaque].join(".").replaceAll("=", "")

const shape = (name: string, text: string, secret: string = pw): Shape => ({ name, text, secret })
const each = (names: ReadonlyArray<string>, make: (name: string) => Shape): ReadonlyArray<Shape> => names.map(make)

const urls: ReadonlyArray<Shape> = [
  shape("an encoded @ and / in a URL's password", "https://user:ab%40cd%2FTr0ub@db.example/x", "cd%2FTr0ub"),
  shape("an encoded @ in a URL's password, decoded", "https://user:ab@Tr0ub4dor@db.example/x"),
  shape("an encoded : in a URL's password", "https://user:a%3ATr0ub4dor@db.example/x"),
  shape("an encoded ? and # in a URL's password", "postgres://app:a%3Fb%23Tr0ub4dor@db:5432/main"),
  shape("a fully encoded URL with an encoded password", "next=https%3A%2F%2Fu%3Aa%2540Tr0ub4dor%40h.example%2F"),
  shape("a URL with an encoded password in quotes", "dial \"amqp://app:x%2FTr0ub4dor@mq:5672\": refused"),
  shape("a URL without a user", "redis://:Tr0ub4dor@cache:6379/0"),
  shape("a URL with a user only", "https://Tr0ub4dor@github.example/a.git"),
  shape("a URL of several hosts", "mongodb://app:Tr0ub4dor@a:1,b:2/db?replicaSet=x"),
  shape("a JDBC URL with parameters", "jdbc:postgresql://db:5432/main?user=app&password=Tr0ub4dor"),
  shape(
    "a JDBC URL of SQL Server",
    "jdbc:sqlserver://db:1433;databaseName=main;user=app;password=Tr0ub4dor;encrypt=true"
  ),
  shape("a JDBC URL of Oracle", "jdbc:oracle:thin:app/Tr0ub4dor@//db:1521/main"),
  shape("an ODBC connection string", "Driver={x};Server=db;Uid=app;Pwd=Tr0ub4dor;"),
  shape("a connection string of .NET", "Server=db;Database=main;User Id=app;Password=Tr0ub4dor;"),
  shape(
    "a connection string of Azure storage",
    `AccountName=a;AccountKey=${btoa(opaque)};EndpointSuffix=core`,
    btoa(opaque)
  ),
  shape(
    "a connection string of a service bus",
    `Endpoint=sb://a;SharedAccessKeyName=n;SharedAccessKey=${btoa(opaque)}`,
    btoa(opaque)
  ),
  shape(
    "a signature in a URL",
    `https://a.blob.example/c?sv=2020&sig=${encodeURIComponent("aB3/Tr0ub4dor+=")}&se=1`,
    "Tr0ub4dor"
  ),
  shape("a signature of S3 in a URL", `https://b.s3.example/k?X-Amz-Signature=${hexadecimal}`, hexadecimal),
  shape("a signature of GCS in a URL", `https://s.example/b/o?X-Goog-Signature=${hexadecimal}&x=1`, hexadecimal),
  shape("a code in a redirect", `https://app.example/cb?code=${opaque}&state=xyz`, opaque),
  shape("a token in a fragment", `https://app.example/#access_token=${opaque}&token_type=bearer`, opaque),
  shape("a git remote", `fatal: unable to access 'https://oauth2:${opaque}@gitlab.example/a.git/'`, opaque),
  shape("a webhook of Discord", `https://discord.com/api/webhooks/123456789012345678/${opaque}${opaque}`, opaque),
  shape("a bot URL of Telegram", `https://api.telegram.org/bot123456789:AA${opaque}${opaque.slice(0, 8)}/getMe`, opaque)
]

const encodings: ReadonlyArray<Shape> = [
  shape("a line of a PEM body", line64, line64),
  shape("two lines of a PEM body", `${line64}\n${line64.slice(8)}`, line64.slice(8)),
  shape("a PEM body without its label, quoted", `key material "${line64}" was not accepted`, line64),
  shape("client-key-data of a kubeconfig", `    client-key-data: ${pemBase64}`, pemBase64.slice(40, 90)),
  shape("client-key-data in JSON", JSON.stringify({ "client-key-data": pemBase64 }), pemBase64.slice(40, 90)),
  shape("a key file in base64", `KEY_FILE=${pemBase64}`, pemBase64.slice(40, 90)),
  shape("a PEM with \\n", JSON.stringify(JSON.stringify({ k: pemText })), line64),
  shape("a PEM in a variable", `PRIVATE_KEY="${pemText.replaceAll("\n", "\\n")}"`, line64),
  shape("an indented PEM in YAML", `key: |\n  ${pemText.replaceAll("\n", "\n  ")}next: 1`, line64),
  shape("an encrypted PEM", pemText.replaceAll("PRIVATE", "ENCRYPTED PRIVATE"), line64),
  shape(
    "a PuTTY key",
    `PuTTY-User-Key-File-3: ssh-ed25519\nPrivate-Lines: 1\n${line64}\nPrivate-MAC: ${hexadecimal}`,
    line64
  ),
  shape("a MAC of a PuTTY key", `Private-MAC: ${hexadecimal}`, hexadecimal),
  shape(
    "data of a Kubernetes secret",
    `kind: Secret\ndata:\n  password: ${btoa("hunter2-hunter2")}`,
    btoa("hunter2-hunter2")
  ),
  shape(
    "a Docker auth",
    JSON.stringify({ auths: { "r.example": { auth: btoa("user:Tr0ub4dor") } } }),
    btoa("user:Tr0ub4dor")
  ),
  shape("base64 of credentials after Basic", `Basic ${btoa("user:Tr0ub4dor-xyz")}`, btoa("user:Tr0ub4dor-xyz")),
  shape("a JWT", `got ${jwt}`, opaque),
  shape("a JWT in a cookie", `Cookie: a=1; id=${jwt}`, opaque),
  shape(
    "a JWT without a signature in a URL",
    `https://a.example/?t=${jwt.split(".").slice(0, 2).join(".")}`,
    jwt.split(".")[1]
  ),
  shape("unicode escapes", "{\"pass\\u0077ord\":\"Tr0ub4dor\"}"),
  shape("HTML entities", "{&quot;password&quot;:&quot;Tr0ub4dor&quot;}"),
  shape("percent twice", "a=%257B%2522password%2522%253A%2522Tr0ub4dor%2522%257D")
]

const headerNames = [
  "Ocp-Apim-Subscription-Key",
  "X-Functions-Key",
  "X-Api-Key",
  "X-Auth-Token",
  "X-Amz-Security-Token",
  "X-Goog-Api-Key",
  "X-Vault-Token",
  "X-Gitlab-Token",
  "X-Shopify-Access-Token",
  "X-CSRF-Token",
  "X-XSRF-TOKEN",
  "Private-Token",
  "Api-Key",
  "Apikey",
  "Authorization",
  "Proxy-Authorization",
  "X-Forwarded-Authorization",
  "X-Plex-Token",
  "X-MBX-APIKEY",
  "X-Client-Secret",
  "X-Hub-Signature-256",
  "Stripe-Signature",
  "DD-API-KEY",
  "DD-APPLICATION-KEY",
  "X-Honeycomb-Team"
]
const headers: ReadonlyArray<Shape> = [
  ...each(headerNames, (name) => shape(`the header ${name}`, `GET / HTTP/1.1\r\n${name}: ${pw}\r\nAccept: */*`)),
  ...each(
    ["Authorization", "cookie", "Ocp-Apim-Subscription-Key", "x-api-key", "Set-Cookie", "Proxy-Authorization"],
    (name) =>
      shape(
        `rawHeaders with ${name}`,
        `rawHeaders: [ 'Host', 'a.example', '${name}', '${name.endsWith("ookie") ? `a=${pw}` : pw}', 'Accept', '*/*' ]`
      )
  ),
  shape(
    "rawHeaders in JSON",
    JSON.stringify({ rawHeaders: ["Host", "a", "Authorization", `Bearer ${pw}`, "Accept", "*/*"] })
  ),
  shape("rawHeaders without a scheme in JSON", JSON.stringify({ rawHeaders: ["X-Api-Key", pw, "Accept", "*/*"] })),
  shape("pairs of a header list", JSON.stringify([["accept", "*/*"], ["x-api-key", pw]])),
  shape("a Headers object", `Headers { authorization: 'Bearer ${pw}', accept: '*/*' }`),
  shape("a header of curl", `curl -H 'X-Api-Key: ${pw}' https://a.example`),
  shape("a cookie with several values", `Cookie: theme=dark; connect.sid=s%3A${pw}; lang=en`),
  shape("a challenge's response", `Authorization: Digest username="u", response="${hexadecimal}"`, hexadecimal)
]

const commands: ReadonlyArray<Shape> = [
  shape("curl -u", `curl -u admin:${pw} https://a.example/`),
  shape("curl -u, quoted", `curl -u 'admin:${pw}' https://a.example/`),
  shape("curl -u without a space", `curl -sS -uadmin:${pw} https://a.example/`),
  shape("curl --user", `curl --user admin:${pw} https://a.example/`),
  shape("curl --user=", `curl --user=admin:${pw} https://a.example/`),
  shape("curl -U of a proxy", `curl -x proxy:1 -U admin:${pw} https://a.example/`),
  shape("curl --proxy-user", `curl --proxy-user "admin:${pw}" https://a.example/`),
  shape("curl -b", `curl -b 'sid=${pw}' https://a.example/`),
  shape("curl --cookie", `curl --cookie "sid=${pw}" https://a.example/`),
  shape("curl -d", `curl -d 'client_id=a&client_secret=${pw}' https://a.example/`),
  shape("curl --oauth2-bearer", `curl --oauth2-bearer ${pw} https://a.example/`),
  shape("curl --pass", `curl --key k.pem --pass ${pw} https://a.example/`),
  shape("curl --data-urlencode", `curl --data-urlencode 'password=${pw}' https://a.example/`),
  shape("wget --password", `wget --user=admin --password=${pw} https://a.example/`),
  shape("wget --http-password", `wget --http-password=${pw} https://a.example/`),
  shape("mysql -p", `mysql -h db -u app -p${pw} main`),
  shape("mysql --password", `mysqldump --password=${pw} main`),
  shape("PGPASSWORD", `PGPASSWORD=${pw} psql -h db`),
  shape("MYSQL_PWD", `MYSQL_PWD=${pw} mysql -h db`),
  shape("sshpass -p", `sshpass -p ${pw} ssh host`),
  shape("docker login -p", `docker login -u admin -p ${pw} r.example`),
  shape("az login -p", `az login --service-principal -u id -p ${pw} --tenant t`),
  shape("redis-cli -a", `redis-cli -h cache -a ${pw} ping`),
  shape("openssl -passin", `openssl rsa -in k.pem -passin pass:${pw}`),
  shape("openssl -passout", `openssl genrsa -aes256 -passout pass:${pw}`),
  shape("ldapsearch -w", `ldapsearch -D cn=admin -w ${pw} -b dc=a`),
  shape("keytool -storepass", `keytool -list -storepass ${pw} -keystore k.jks`),
  shape("java -D", `java -Djavax.net.ssl.keyStorePassword=${pw} -jar a.jar`),
  shape("helm --set", `helm upgrade a b --set db.password=${pw},x=1`),
  shape("kubectl --token", `kubectl --token=${pw} get pods`),
  shape("kubectl create secret", `kubectl create secret generic a --from-literal=password=${pw}`),
  shape("export", `export AWS_SECRET_ACCESS_KEY=${pw}`),
  shape("set of Windows", `set DB_PASSWORD=${pw}`),
  shape("env: of PowerShell", `$env:CLIENT_SECRET = "${pw}"`),
  shape("psql URL", `psql "host=db user=app password=${pw} dbname=main"`),
  shape("ENV of Docker", `ENV API_TOKEN ${pw}`)
]

const files: ReadonlyArray<Shape> = [
  shape("TOML with '''", `password = '''${pw}'''`),
  shape("TOML with ''' on several lines", `[db]\npassword = '''\n${pw}'''\nport = 1`),
  shape("TOML with \"\"\"", `client_secret = """\n${pw}\n"""`),
  shape("TOML with a dotted key", `db.password = "${pw}"`),
  shape("TOML with an inline table", `db = { user = "a", password = "${pw}" }`),
  shape(".NET appSettings", `<add key="ClientSecret" value="${pw}" />`),
  shape(".NET appSettings, quotes of one kind", `<add key='Api:Password' value='${pw}'/>`),
  shape(".NET appSettings, value first", `<add value="${pw}" key="ApiKey" />`),
  shape(".NET connectionStrings", `<add name="Main" connectionString="Server=db;Password=${pw};" />`),
  shape("an attribute of XML", `<server password="${pw}" port="1"/>`),
  shape("an element with attributes", `<password type="plain">${pw}</password>`),
  shape("CDATA", `<password><![CDATA[${pw}]]></password>`),
  shape("a property list", `<key>ApiKey</key>\n<string>${pw}</string>`),
  shape("settings.xml of Maven", `<server><id>r</id><password>${pw}</password></server>`),
  shape("a .properties file", `spring.datasource.password=${pw}`),
  shape("a .properties file with a colon", `spring.datasource.password: ${pw}`),
  shape(".npmrc", `//registry.example/:_authToken=${pw}`),
  shape(".npmrc _password", `//registry.example/:_password=${pw}`),
  shape(".npmrc _auth", `_auth=${btoa(`user:${pw}`)}`, btoa(`user:${pw}`)),
  shape(".netrc", `machine a.example login admin password ${pw}`),
  shape(".pgpass", `db.example:5432:main:app:${pw}`),
  shape(".env", `STRIPE_SECRET=${pw}`),
  shape(".env with quotes", `SMTP_PASS='${pw}'`),
  shape("an INI file", `[smtp]\nuser = a\npass = ${pw}`),
  shape("YAML in a block", `password: >-\n  ${pw}\nport: 1`),
  shape("YAML in a flow", `{user: a, password: ${pw}, port: 1}`),
  shape("YAML with a tag", `password: !!str ${pw}`),
  shape("YAML with an anchor", `password: &pw ${pw}`),
  shape("HCL", `variable "db" {\n  password = "${pw}"\n}`),
  shape("a heredoc", `password = <<EOT\n${pw}\nEOT`),
  shape("JSON5", `{ password: '${pw}', }`),
  shape("a name and value in JSON", `{"name":"DB_PASSWORD","value":"${pw}"}`),
  shape("a name and value in YAML", `- name: DB_PASSWORD\n  value: ${pw}`),
  shape("a key and value in JSON", `{"key":"client_secret","value":"${pw}","enabled":true}`)
]

const languages: ReadonlyArray<Shape> = [
  shape("a Python dictionary", `{'password': '${pw}', 'user': 'a'}`),
  shape("a Python call", `connect(user='a', password='${pw}')`),
  shape("a Ruby hash", `{:password=>"${pw}", :user=>"a"}`),
  shape("a PHP array", `['password' => '${pw}']`),
  shape("a Go struct", `{User:a Password:${pw} Port:1}`),
  shape("a Java toString", `Config(user=a, password=${pw}, port=1)`),
  shape("a Map of Node", `Map(1) { 'password' => '${pw}' }`),
  shape("an array of pairs", `[ [ 'password', '${pw}' ] ]`),
  shape("parameters of a query", `INSERT INTO users (name, password) VALUES ('a', '${pw}')`),
  shape("SQL that sets a password", `ALTER USER app WITH PASSWORD '${pw}'`),
  shape("SQL that identifies", `CREATE USER app IDENTIFIED BY '${pw}'`),
  shape("AUTH of Redis", `AUTH default ${pw}`),
  shape("AUTH of Redis, password only", `"AUTH" "${pw}"`),
  shape("requirepass", `requirepass ${pw}`),
  shape("a prompt", `Password: ${pw}`),
  shape("a sentence", `The password is ${pw}.`),
  shape("a logfmt line", `level=info user=a password=${pw} msg="x"`),
  shape("a GraphQL variable", `mutation { login(user: "a", password: "${pw}") { id } }`),
  shape("a multipart form", `Content-Disposition: form-data; name="password"\r\n\r\n${pw}\r\n--b--`)
]

export const shapes: ReadonlyArray<Shape> = [...urls, ...encodings, ...headers, ...commands, ...files, ...languages]
