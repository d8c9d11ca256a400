// The suite under PM2 7: docs/from-pm2.md. Servers run elsewhere; their addresses, and where the secrets are, come from
// the env file that `bin/stack up` writes, or one that you write like it.
//
//   pm2 start deploy/pm2/ecosystem.config.js
//
// PM2 knows no order. So this lists bootcheck alone, and bootcheck, when every schema is there, wakes the services: it
// has PM2 read this file once more, by wake.js, with PGO_WAKE=yes.
const fs = require('fs')
const path = require('path')

const root = path.resolve(__dirname, '..', '..')
const home = path.resolve(root, process.env.PGO_HOME || '.pgo')
const bin = path.resolve(root, process.env.PGO_BIN || 'bin')

// KEY=value lines, values as they are.
const env = { PGO_HOME: home }
for (const line of fs.readFileSync(path.join(home, 'env'), 'utf8').split('\n')) {
  const at = line.indexOf('=')
  if (at > 0 && !line.trimStart().startsWith('#')) env[line.slice(0, at).trim()] = line.slice(at + 1)
}
const need = (key) => {
  if (!env[key]) throw new Error(`${path.join(home, 'env')} has no ${key}`)
  return env[key]
}
const secret = (name) => path.join(home, 'secrets', name)
const services = ['user', 'school', 'task']

// What a Go program needs from PM2, whichever it is.
const program = (name, own) => ({
  name,
  namespace: 'pgo',
  cwd: root,
  script: path.join(bin, name),
  interpreter: 'none',
  exec_mode: 'fork', // cluster is for Node's own programs, and reports online while they crash
  instances: 1, // a second one could not bind the same port
  wait_ready: true, // it writes "ready" to NODE_CHANNEL_FD
  listen_timeout: 60000,
  kill_signal: 'SIGTERM',
  kill_timeout: 12000, // it drains for 7 s and then has 3 s for its last steps
  treekill: false, // needs ps, which small images have not, and there are no children
  autorestart: true,
  exp_backoff_restart_delay: 100,
  max_restarts: 1000,
  stop_exit_codes: [78], // wrong configuration does not get better by itself
  max_memory_restart: '1G',
  merge_logs: true,
  out_file: path.join(home, 'logs', `pm2-${name}.log`),
  error_file: path.join(home, 'logs', `pm2-${name}.log`),
  ...own
})

// wake is the command for that. It gets no more of an environment than it needs: PM2 would hand all of it on.
const wake = () => {
  const quoted = (text) => `'${text.replace(/'/g, `'\\''`)}'`
  const own = { PATH: process.env.PATH, HOME: process.env.HOME, PM2_HOME: process.env.PM2_HOME, PGO_HOME: home, PGO_BIN: bin, PGO_WAKE: 'yes' }
  const vars = Object.entries(own).filter(([, value]) => value).map(([key, value]) => `${key}=${value}`)
  return ['exec', 'env', '-i', ...vars, process.execPath, path.join(__dirname, 'wake.js'), process.argv[1], __filename, ...services].map(quoted).join(' ')
}

const servers = {
  PGO_CFG_MYSQL__ADDR: need('MYSQL_ADDR'),
  PGO_CFG_REDIS__ADDR: need('REDIS_ADDR'),
  PGO_CFG_RABBITMQ__ADDR: need('RABBITMQ_ADDR')
}

const bootcheck = program('bootcheck', {
  listen_timeout: 600000,
  stop_exit_codes: [65, 78],
  env: {
    ...env,
    ...servers,
    PGO_CFG_HTTP__ADDR: need('BOOTCHECK_HTTP'),
    PGO_CFG_GATEWAY_URL: `http://${need('GATEWAY_HTTP')}`,
    PGO_CFG_RABBITMQ__API: need('RABBITMQ_API'),
    PGO_CFG_WAKE: wake(),
    PGO_CFG_MYSQL__PASSWORD_FILE: secret('mysql_admin_password'),
    PGO_CFG_MONITOR__MYSQL_PASSWORD_FILE: secret('monitor_mysql_password'),
    PGO_CFG_MONITOR__REDIS_PASSWORD_FILE: secret('monitor_redis_password'),
    PGO_CFG_REDIS__PASSWORD_FILE: secret('redis_admin_password'),
    PGO_CFG_RABBITMQ__PASSWORD_FILE: secret('rabbitmq_admin_password'),
    ...Object.fromEntries(services.flatMap((name) => {
      const key = `PGO_CFG_SERVICES__${name.toUpperCase()}__`
      return [
        [`${key}BINARY`, path.join(bin, name)],
        ...['mysql', 'redis', 'rabbitmq'].map((of) => [`${key}${of.toUpperCase()}_PASSWORD_FILE`, secret(`${name}_${of}_password`)])
      ]
    }))
  }
})

const service = (name, own) => program(name, {
  // A new program in its place, by rename: a running one cannot be written over. PM2 stops the old one as soon as the
  // file changes, whole or not.
  watch: [path.join(bin, name)],
  watch_options: { usePolling: true, interval: 5000, binaryInterval: 5000 },
  watch_delay: 2000,
  env: {
    ...env,
    ...servers,
    PGO_CFG_HTTP__ADDR: need(`${name.toUpperCase()}_HTTP`),
    PGO_CFG_MYSQL__PASSWORD_FILE: secret(`${name}_mysql_password`),
    PGO_CFG_REDIS__PASSWORD_FILE: secret(`${name}_redis_password`),
    PGO_CFG_RABBITMQ__PASSWORD_FILE: secret(`${name}_rabbitmq_password`),
    ...own
  }
})

const woken = () => [
  service('user', {
    PGO_CFG_AUTH__SIGNING_KEY_FILE: secret('user_signing_key.pem'),
    PGO_CFG_MAIL__DIR: path.join(home, 'mail'),
    PGO_CFG_MAIL__BASE_URL: `http://${need('GATEWAY_HTTP')}`
  }),
  service('school', { PGO_CFG_AUTH__USER_URL: `http://${need('USER_HTTP')}` }),
  service('task', { PGO_CFG_AUTH__USER_URL: `http://${need('USER_HTTP')}` })
]

module.exports = { apps: process.env.PGO_WAKE ? woken() : [bootcheck] }
